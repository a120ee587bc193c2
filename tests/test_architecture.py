"""The arrows of the design: data ← ranking ← federated ← app, those inside them, and who may import what."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("data", "ranking", "federated", "app")
FLOORS = (
    ("runs",),
    ("reports",),
    ("suggestions",),
    ("experiments", "web", "service", "devices"),
    ("commands",),
    ("door",),
)
"""The rooms of app/: each imports from floors below, and nothing from its neighbour."""

ONLY_IN = {
    "streamlit": "app/web/",
    "typer": "app/commands/",
    "click": "app/commands/",
    "starlette": "app/service/",
    "uvicorn": "app/service/",
    "onnx": "app/devices/",
    "flwr": "federated/engines/",
    "ray": "federated/engines/",
}
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def rooms(layer: str) -> dict[str, set[str]]:
    """Every folder and file at the top of a layer, and which others of these it imports from."""
    seen: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / layer).rglob("*.py"):
        room = path.relative_to(ROOT / layer).parts[0].removesuffix(".py")
        parts = [name.split(".") for name in imported(path)]
        others = {part[1] for part in parts if part[0] == layer and len(part) > 1}
        seen[room] |= others - {room}
    return seen


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


def test_arrows_inside_app() -> None:
    floors = {room: floor for floor, neighbours in enumerate(FLOORS) for room in neighbours}
    found = rooms("app")
    assert found.keys() - {"__init__"} == floors.keys(), "a room that stands on no floor"
    assert not found["__init__"]
    for room, others in found.items():
        for other in others:
            assert floors[other] < floors[room], f"app/{room} imports app/{other}: against the arrow"


def test_rooms_of_federated_close_no_circle() -> None:
    found = rooms("federated")
    assert {"schedules", "virtual_time", "network", "server", "tasks"} <= found.keys()
    assert found["schedules"], "schedules use what is in other rooms"
    tuple(TopologicalSorter(found).static_order())  # a CycleError names the circle


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
