"""Help and names: help tells what the tables hold, and a misspelt name is answered with the nearest."""

import platform
import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
import torch
from typer.main import get_command

from app.commands.line import commands
from app.runs.settings import resolve
from federated.algorithms import ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES
from ranking.rankers import RANKERS

Cli = Callable[..., Any]


def all_commands(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    """How each command is called."""
    if isinstance(command, click.Group):
        for name, member in command.commands.items():
            yield from all_commands(member, *words, name)
    else:
        yield words


COMMAND = get_command(commands)
COMMANDS = list(all_commands(COMMAND))


def told(cli: Cli, *words: str) -> str:
    """Help, without its frame and its line ends."""
    lines = cli(*words, "--help").out.splitlines()
    return " ".join(" ".join(line.strip("│ ") for line in lines).split())


def test_help_names_what_the_tables_hold(cli: Cli, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    train = told(cli, "train")
    for table in (ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES, RANKERS):
        for name in table:
            assert re.search(rf"[ :]{re.escape(name)}[,. :]", train), name
    usual = resolve({}, {})
    assert f"[default: {usual.algorithm}]" in train
    assert f"[default: {usual.ranker_name}]" in train
    assert "of forest: bce or mse; of lightgbm: lambdarank, bce, mse or softmax; of mlp and mlp-cnn:" in train
    assert "; of memrl: nmrr" in train
    assert "Slates of train, validation or test." in told(cli, "evaluate")
    assert "A search log: .csv, .tsv" in told(cli, "data", "import"), "arguments are explained too"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_its_terminal(cli: Cli, monkeypatch: Any, words: tuple[str, ...], width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    called = cli(*words, "--help")
    assert called.code == 0
    assert max(map(len, called.out.splitlines())) <= width
    assert "{" not in called.out, "a name that stands for others is left"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_everything_is_explained(words: tuple[str, ...]) -> None:
    command = COMMAND
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    command.get_help(click.Context(command))
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


def test_version(cli: Cli) -> None:
    called = cli("--version")
    assert called.code == 0
    parts = f"Python {platform.python_version()}, torch {torch.__version__}"
    assert re.fullmatch(rf"persarank \d+\.\d+\.\d+ \({re.escape(parts)}\)\n", called.out)


MISSPELT = {
    "command": (["trian"], "No such command 'trian'. Did you mean 'train'?\n"),
    "data command": (["data", "imprt"], "No such command 'imprt'. Did you mean 'import'?\n"),
    "option": (["train", "--algoritm", "x"], "Did you mean '--algorithm'?\n"),
    "experiment": (["reproduce", "stalenes", "--out", "x"], "not 'stalenes'; did you mean 'staleness'?\n"),
    "split": (["evaluate", "x", "--split", "tset"], "not 'tset'; did you mean 'test'?\n"),
    "average": (["evaluate", "x", "--average", "user"], "not 'user'; did you mean 'users'?\n"),
    "metric": (["compare", "x", "--by", "nrmr"], "not 'nrmr'; did you mean 'nmrr'?\n"),
    "report": (["report", "x", "--json", "--split", "tests"], "not 'tests'; did you mean 'test'?\n"),
    "format": (["export", "x", "--out", "x", "--format", "trek"], "not 'trek'; did you mean 'trec'?\n"),
    "nothing near": (["evaluate", "x", "--split", "all"], "train, validation, test, not 'all'.\n"),
}


@pytest.mark.parametrize(("arguments", "end"), MISSPELT.values(), ids=MISSPELT)
def test_the_nearest_name(cli: Cli, arguments: list[str], end: str) -> None:
    called = cli(*arguments)
    assert (called.code, called.out) == (2, "")
    assert called.err.endswith(end)
    assert called.err.lower().count("did you mean") == end.lower().count("did you mean"), "once is enough"


BAD = {
    "objective": (["--objective", "mamal"], "unknown objective 'mamal'; did you mean 'maml'?"),
    "schedule": (["--schedule", "gosip"], "unknown schedule 'gosip'; did you mean 'gossip'?"),
    "preset": (["--preset", "tlak"], "unknown preset 'tlak'; did you mean 'talk'?"),
    "model to keep": (["--keep", "bset"], "unknown model to keep 'bset'; did you mean 'best'?"),
    "section": (["--set", "schedul.lr=1"], "did you mean"),
}


@pytest.mark.parametrize(("arguments", "part"), BAD.values(), ids=BAD)
def test_the_nearest_setting(cli: Cli, arguments: list[str], part: str) -> None:
    called = cli("train", "--data", "x", "--out", "x", *arguments)
    assert called.code == 4
    assert part in called.err


def test_the_nearest_of_what_tune_tries(cli: Cli, tiny: Any, tmp_path: Any) -> None:
    called = cli("tune", "--data", tiny, "--out", tmp_path / "x", "--over", "local_stps=1,2")
    assert called.code == 4
    assert "did you mean 'local_steps'?" in called.err
