"""Every page without a browser: it draws, it answers, and tampering gets a polite sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.runs.learning import Watch
from app.runs.phases import Phases
from app.suggestions.demo import RUNS, ready
from app.suggestions.preparation import prepare
from federated.training import Event, Finished

ENTRY = str(Path(__file__).resolve().parents[3] / "app" / "web" / "entry.py")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    prepare(directory, users=5, updates=40)
    return directory


def page(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("PERSARANK_DEMO", str(directory))
    return AppTest.from_file(ENTRY, default_timeout=60).run()


def test_search_page_answers(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(prepared, monkeypatch)
    assert not app.exception
    assert app.selectbox(key="user").options == [f"user {u:03d}" for u in range(5)]
    assert [m.label for m in app.metric][:2] == ["accuracy@10, personal", "NMRR, personal"]
    app.text_input(key="typed").set_value("h").run()
    assert not app.exception
    html = " ".join(element.proto.body for element in app.get("html"))
    assert "personal suggestions for h" in html
    assert "global suggestions for h" in html


@pytest.mark.parametrize("typed", ["<script>alert(1)</script>", "\x00", ":red[x] **y** $z$", "a" * 5000])
def test_hostile_text(prepared: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    app = page(prepared, monkeypatch)
    app.text_input(key="typed").set_value(typed).run()
    assert not app.exception
    assert "<script>" not in " ".join(element.proto.body for element in app.get("html"))


def test_a_missing_demo_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(tmp_path, monkeypatch)
    assert not app.exception
    assert "persarank demo --prepare-only" in app.error[0].value


def test_a_damaged_demo_is_a_sentence(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(prepared, broken)
    model = broken / RUNS[1] / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    app = page(broken, monkeypatch)
    assert not app.exception
    assert "damaged" in app.error[0].value


def test_prepare_makes_only_what_is_missing(prepared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    told: list[str] = []
    prepare(prepared, users=5, updates=40, tell=told.append)
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before
    assert ready(prepared)
    assert not told, "nothing was missing"


class Phased:
    """Keeps which phases have come to their end."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def tell(self, phase: str, done: int, total: int) -> None:
        if done == total:
            self.ended.add(phase)


def test_preparation_tells_of_every_part_and_lets_trainings_be_watched(tmp_path: Path) -> None:
    told: list[str] = []
    seen: dict[str, list[Event]] = {}
    phases: dict[str, Phased] = {}

    @contextmanager
    def watching(title: str, updates: int) -> Iterator[tuple[Watch, Phases]]:
        assert updates == 10
        yield seen.setdefault(title, []).append, Phases(phases.setdefault(title, Phased()).tell)

    prepare(tmp_path, users=5, updates=10, tell=told.append, watching=watching)
    assert [sentence.split(" ")[0] for sentence in told] == ["Simulating", "Training", "Training"]
    assert tuple(seen) == RUNS
    assert all(isinstance(events[-1], Finished) for events in seen.values())
    assert phases["fedavg"].ended == {"features", "compiling", "validation", "saving"}
    parts = {"features", "compiling", "validation", "personal models", "saving"}
    assert phases[RUNS[1]].ended == parts
