"""The app opened on any runs, without a browser."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.web.server import VARIABLE

ENTRY = str(Path(__file__).resolve().parents[3] / "app" / "web" / "entry.py")
Open = Callable[..., AppTest]


@pytest.fixture
def open_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the app opened on a folder and some runs."""

    def call(folder: Path, runs: Sequence[Path] = (), demo: bool = False) -> None:
        told = {"folder": str(folder), "runs": [str(run) for run in runs], "demo": demo}
        monkeypatch.setenv(VARIABLE, json.dumps(told))

    return call


@pytest.fixture
def open_page(open_on: Callable[..., None]) -> Open:
    """A page of the app on a folder and some runs, drawn once."""

    def call(page: str, folder: Path, runs: Sequence[Path] = (), **query: str) -> AppTest:
        open_on(folder, runs)
        app = AppTest.from_file(ENTRY, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        if page != "suggest":
            app.switch_page(f"screens/{page}.py")
        return app.run()

    return call
