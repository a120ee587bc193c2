"""Prepares the demo once: simulated users, a FedAvg and a PersA-FL run, and their figures."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from app.runs.directory import RunError, discard, workplace
from app.runs.evaluation import evaluate, save_report
from app.runs.following import Watch
from app.runs.phases import Phases
from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions.demo import DATA, REPORT, RUNS
from data.folders import FolderError, require_free
from data.manifests import MANIFEST
from data.simulator import simulate
from data.storage import discard as discard_dataset
from data.storage import read, write
from federated.events import Event

Watching = Callable[[str, int], AbstractContextManager[tuple[Watch, Phases]]]
"""Opens, for a training of this title and so many updates, what sees its events and its phases."""


def _say_nothing(sentence: str) -> None:
    pass


def _see_nothing(event: Event) -> None:
    pass


def _unwatched(title: str, updates: int) -> AbstractContextManager[tuple[Watch, Phases]]:
    return nullcontext((_see_nothing, Phases()))


def prepare(
    directory: Path,
    users: int = 200,
    updates: int | None = None,
    tell: Callable[[str], None] = _say_nothing,
    watching: Watching = _unwatched,
) -> None:
    """Make what is missing of the demo; a part that was interrupted is made anew.

    Args:
        directory: where the demo lies.
        users: fewer make a smaller demo, e.g. for a test.
        updates: the same; None: each algorithm's own.
        tell: is told what is done next.
        watching: called before each training, for whoever wants to see its events.

    Raises:
        RunError: another process prepares it, or somebody else's files are in the way.
    """
    with workplace(directory):
        data = directory / DATA
        if not (data / MANIFEST).is_file():
            tell(f"Simulating {users} users …")
            _clear(data, discard_dataset)
            write(simulate(users), data)
        for algorithm in RUNS:
            run = directory / algorithm
            if (run / REPORT).is_file():
                continue
            tell(f"Training {algorithm} (once; about 20 seconds) …")
            _clear(run, discard)
            settings = resolve({"algorithm": algorithm, "updates": updates}, {})
            with watching(algorithm, settings.updates) as (watch, phases):
                train_run(settings, data, read(data), run, watch, phases)
            save_report(*evaluate([run], data, "test"))


def _clear(place: Path, discard: Callable[[Path], None]) -> None:
    """Remove what an interrupted preparation has left at a place."""
    if place.is_dir():
        with workplace(place):
            discard(place)
    try:
        require_free(place)
    except FolderError as error:
        raise RunError(f"{error}: move away what PersaRank has not written.") from error
