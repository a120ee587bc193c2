"""What is printed on terminals of any width: no figure is cut, no column lost, no command folded."""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from app.commands.training_progress import TrainingBars
from app.reports import choices, layout, tables
from app.runs.settings import resolve
from app.runs.training import train_run
from data.schema import Dataset

WIDTHS = [20, 30, 40, 60, 80, 200]
FRAME = re.compile("[─-╿]")


def words(text: str) -> list[str]:
    return FRAME.sub(" ", text).split()


def figures(text: str) -> set[str]:
    return {word.strip(":") for word in words(text) if re.search(r"\d", word)}


def drawn(width: int, draw: Callable[[Console], None], terminal: bool = True) -> str:
    file = StringIO()
    draw(Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


@pytest.fixture(scope="module")
def run(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("a run") / "of a very long name that no terminal can hold"
    train_run(
        resolve({"algorithm": "pars-push", "updates": 20}, {}), tiny, tiny_dataset, out, lambda event: None
    )
    return out


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_of_every_command(
    width: int, run: Path, tiny: Path, cli: Callable[..., Any], monkeypatch: Any
) -> None:
    """The same figures whatever the width: those of a table that nothing limits."""
    for arguments in (["data", "check", tiny], ["evaluate", run, run], ["resume", run], ["list"]):
        monkeypatch.setenv("COLUMNS", "500")
        whole = cli(*arguments)
        monkeypatch.setenv("COLUMNS", str(width))
        narrow = cli(*arguments)
        assert (whole.code, narrow.code) == (0, 0)
        assert figures(narrow.out) == figures(whole.out)
        assert "…" not in narrow.out


@pytest.mark.parametrize("width", WIDTHS)
def test_an_evaluation_prints_every_figure_whole(width: int, run: Path, cli: Callable[..., Any]) -> None:
    result = json.loads(cli("evaluate", run, "--json").out)
    text = drawn(width, lambda console: tables.evaluation(result, console))
    shown = words(text)
    for metrics in result["runs"][0]["metrics"].values():
        for name in tables.COLUMNS if metrics else ():
            assert f"{metrics[name]:.4f}" in shown
    assert all(cell_len(line) <= max(width, 23) for line in text.splitlines() if FRAME.search(line))


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_letters_and_long_numbers(width: int) -> None:
    rows = [
        ("名前がとても長い利用者", "0.123456789012345", "-1.5e-300"),
        ("👩‍👩‍👧 " * 9, "1234567890.1234", "[0, 1]"),
    ]
    text = drawn(width, lambda console: layout.draw(console, ("who", "a", "b"), rows, figures=True))
    shown = words(text)
    for row in rows:
        for cell in row[1:]:
            assert set(cell.split()) <= set(shown)
    assert "名前がとても長い利用者" in text.replace(":", "")


@pytest.mark.parametrize("width", [20, 80])
def test_what_is_no_terminal_gets_whole_lines(width: int) -> None:
    sentence = "1234567 updates " * 20
    assert drawn(width, lambda console: layout.say(console, sentence), terminal=False) == f"{sentence}\n"
    told = drawn(width, lambda console: layout.say(console, sentence))
    assert all(cell_len(line) <= width for line in told.splitlines())
    assert drawn(width, lambda console: layout.paste(console, sentence)) == f"{sentence}\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_choices_break_no_word(width: int) -> None:
    text = drawn(width, lambda console: choices.tables(choices.table_of_everything(), console))
    for word in ("persa-fl-maml-buffered", "updates=8000,", "shares=equal"):
        assert word in [shown.rstrip(":") for shown in words(text)]


@pytest.mark.parametrize("width", WIDTHS)
def test_progress_leaves_figures_out_instead_of_cutting_them(width: int, monkeypatch: Any) -> None:
    detail = ["loss 0.345", "NMRR 0.455", "staleness 12.3", "2345 updates/s"]
    file = StringIO()
    console = Console(file=file, width=width, height=9, force_terminal=True, color_system=None)
    monkeypatch.setattr("app.commands.progress.Console", lambda **options: console)
    with TrainingBars("persa-fl-maml-buffered", 8000) as bars:
        bars.tell("persa-fl-maml-buffered", 4321, 8000, "  ".join(detail))
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue()).strip().splitlines()[-1]
    assert "54%" in last
    shown = [part for part in detail if part in last]
    assert shown == detail[: len(shown)]
    assert not any(part.split()[0] in last for part in detail[len(shown) :]), "cut"
    assert width < 200 or shown == detail
