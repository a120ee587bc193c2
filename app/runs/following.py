"""A training followed to its end: its metrics are written as they come, and it is saved from time to time."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.runs.directory import CHECKPOINTS, METRICS, RunError
from app.runs.journal import Journal, Tally
from app.runs.phases import TRAINING, Phases
from app.runs.settings import Settings
from app.runs.stop import Patience, Stop
from federated import checkpoint
from federated.events import Event, Finished
from federated.state import Snapshot
from federated.training import Training

Watch = Callable[[Event], None]


class Marked(Protocol):
    """Data, of which only the fingerprint matters."""

    @property
    def fingerprint(self) -> str:
        """See `Dataset.fingerprint`."""
        ...


def follow(
    training: Training,
    settings: Settings,
    dataset: Marked,
    out: Path,
    watch: Watch,
    phases: Phases,
    patience: Patience,
    stop: Stop,
    snapshot: Snapshot | None,
    until: int | None,
) -> tuple[Finished, Tally]:
    """Train to the end; arguments and errors as of `learning.learn`, besides what is trained."""
    belonging = identity(settings, dataset)
    try:
        journal = Journal(out / METRICS, snapshot.plain["journal"] if snapshot else None)
    except ValueError as error:
        raise RunError(f"{error} Train it anew, with another --out.") from error
    with journal:
        saved = journal.tally.updates

        def enough() -> bool:
            return stop.asked() or (until is not None and journal.tally.updates >= until)

        def trained() -> None:
            """Before the users' own models are found, which may take long, all is saved."""
            if (settings.row.objective.personal or enough()) and saved != journal.tally.updates:
                _save(training, journal, belonging, out)
            patience.trained(journal.tally.updates)

        phases.enter(TRAINING)
        for event in training.events(enough, trained):
            watch(event)
            journal.see(event)
            due = event.updates - saved >= settings.checkpoint_every
            if not isinstance(event, Finished) and (due or enough()):
                saved = event.updates
                _save(training, journal, belonging, out)
            phases.enter(TRAINING)
        assert isinstance(event, Finished), "training ends with Finished"
    return event, journal.tally


def _save(training: Training, journal: Journal, belonging: str, out: Path) -> None:
    packed = training.pack()
    context = {"journal": journal.pack(), "identity": belonging}
    whole = Snapshot(packed.tensors, packed.plain | context)
    checkpoint.save(out / CHECKPOINTS, journal.tally.updates, whole)


def identity(settings: Settings, dataset: Marked) -> str:
    """What a checkpoint belongs to: the settings that training itself reads, and this data."""
    kept = settings.to_toml({"data": dataset.fingerprint}, without=settings.personal_settings)
    return hashlib.sha256(kept.encode()).hexdigest()
