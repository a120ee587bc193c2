"""The arrows of the design: data ← ranking ← federated ← app, and who may import what."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("data", "ranking", "federated", "app")
ONLY_IN = {"streamlit": "app/", "typer": "app/", "flwr": "federated/engines/", "ray": "federated/engines/"}
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    layer = LAYERS.index(place.split("/")[0])
    for name in imported(path):
        top = name.split(".")[0]
        if top in LAYERS:
            assert LAYERS.index(top) <= layer, f"{place} imports {name}: against the arrow"
        if top in ONLY_IN:
            assert place.startswith(ONLY_IN[top]), f"{place} imports {name}"
        assert top not in ("pickle", "joblib", "cloudpickle"), f"{place} imports {name}"


def test_only_tasks_know_what_is_learned() -> None:
    for path in (ROOT / "federated").rglob("*.py"):
        if path.parent.name != "tasks":
            assert not any(name.startswith("ranking") for name in imported(path)), path


def test_nothing_in_app_web_hides_a_top_level_package() -> None:
    names = {path.stem for path in (ROOT / "app" / "web").iterdir()}
    assert not names & {"data", "ranking", "federated", "tests", "app", "streamlit", "torch", "typer", "rich"}


def test_top_level() -> None:
    allowed = {*LAYERS, "tests", "pyproject.toml", "README.md", "constraints.txt", "Makefile"}
    seen = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert seen <= allowed, f"unexpected at the top: {seen - allowed}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 320, "a file this long has a second subject"
    assert ast.get_docstring(ast.parse(text)), "the first sentence says what the file is"
