"""The demo is prepared once, part by part, and its trainings can be watched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.runs.following import Watch
from app.runs.phases import Phases
from app.suggestions.demo import RUNS, ready
from app.suggestions.preparation import prepare
from federated.events import Event, Finished


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
