"""The app opened on any runs, without a browser."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.web import jobs
from app.web.server import VARIABLE
from tests.app.web.forms import Started

ENTRY = str(Path(__file__).resolve().parents[3] / "app" / "web" / "entry.py")
Open = Callable[..., AppTest]


@pytest.fixture
def open_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the app opened on a folder and some runs."""

    def call(folder: Path, runs: Sequence[Path] = (), demo: bool = False, moved: Sequence[Path] = ()) -> None:
        told = {"folder": str(folder), "runs": list(map(str, runs)), "demo": demo}
        told["moved"] = list(map(str, moved))
        monkeypatch.setenv(VARIABLE, json.dumps(told))

    return call


@pytest.fixture
def open_page(open_on: Callable[..., None]) -> Open:
    """A page of the app on a folder and some runs, drawn once."""

    def call(
        page: str, folder: Path, runs: Sequence[Path] = (), moved: Sequence[Path] = (), **query: str
    ) -> AppTest:
        open_on(folder, runs, moved=moved)
        app = AppTest.from_file(ENTRY, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        if page != "suggest":
            app.switch_page(f"screens/{page}.py")
        return app.run()

    return call


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What would be run, instead of running it."""
    seen: Started = []

    def start(folder: Path, words: Sequence[str], place: Path) -> str:
        seen.append((list(words), place))
        return "1"

    monkeypatch.setattr(jobs, "start", start)
    return seen
