"""Trains a ranker into a run directory, from the start or from the last checkpoint."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.runs.directory import (
    CHECKPOINTS,
    REPORT,
    SUMMARY,
    RunError,
    Started,
    clear,
    created,
    discard,
    finished,
    locked,
    write_config,
)
from app.runs.following import Marked, Watch, identity
from app.runs.learning import Learned, learn
from app.runs.phases import SAVING, Phases
from app.runs.settings import Settings
from app.runs.shell import command
from app.runs.stop import Stop
from data.files import write_bytes
from data.progress import UNKNOWN
from federated import checkpoint
from federated.objectives import Objective
from federated.objectives.strength import AUTO
from federated.state import Snapshot
from ranking.persistence import save

Learner = Callable[..., Learned]
"""Whoever learns, called as `learning.learn` is; with data of the kind that it knows."""


class UnfinishedError(Exception):
    """Training ended early, by the user's wish or for want of disk; it can be resumed."""

    def __init__(self, message: str, run: Path, summary: dict[str, Any] | None = None) -> None:
        self.summary = summary
        super().__init__(f"{message} Go on with: {command('resume', run)}")


class NotFiniteError(Exception):
    """The users' own models are not finite; what they were made from is saved."""

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        self.summary = summary
        super().__init__(message)


def train_run(
    settings: Settings,
    data: Path,
    dataset: Marked,
    out: Path,
    watch: Watch,
    phases: Phases | None = None,
    until: int | None = None,
    learner: Learner = learn,
) -> dict[str, Any]:
    """Train, save, and return the summary.

    Args:
        settings: of the run.
        data: where the dataset lies.
        dataset: what it holds.
        out: the run directory to be made.
        watch: sees every event as it happens.
        phases: what was done before, as reading the data, and who is told how far the work is.
        until: stop and save as soon as so many updates have arrived, for `resume_run` to go on; the summary
            then says that the run is not finished. Trees are fitted in one piece whatever it is.
        learner: who learns; usually this process, from the data.

    Raises:
        RunError: ``out`` exists already, or somebody else is training there.
        DataError: a user has nothing to train on.
        UnfinishedError: Ctrl-C, or the disk is full; what was learned until then is saved.
        NotFiniteError: of the users' own models; what they were made from is saved.
    """
    with Stop() as stop, created(out, settings, data, dataset.fingerprint):
        try:
            return _complete(settings, dataset, out, watch, phases or Phases(), stop, learner, until=until)
        except (UnfinishedError, NotFiniteError):
            raise
        except BaseException:
            if checkpoint.latest(out / CHECKPOINTS) is None and finished(out) is None:
                discard(out)  # it would only be in the way of the next try
            raise


def resume_run(
    started: Started,
    dataset: Marked,
    watch: Watch,
    warn: Callable[[str], None],
    phases: Phases | None = None,
    overrides: Mapping[str, Any] | None = None,
    until: int | None = None,
    learner: Learner = learn,
) -> dict[str, Any]:
    """Go on with a run from its newest readable checkpoint, to the same bits as if nothing had happened.

    Args:
        started: the run; a finished one is left as it is.
        dataset: the data it was started with.
        watch: sees every event.
        warn: is told of damaged checkpoints that were passed over.
        phases: as in `train_run`; those of this process count.
        overrides: other hyper-parameters for the finding of own models, see `Settings.personalised`.
        until, learner: as in `train_run`.

    Raises:
        ConfigError: one of them matters to training itself.
        RunError: other data or files, or nothing readable is left, or somebody else is training this run.
        UnfinishedError, NotFiniteError: as in `train_run`.
    """
    if dataset.fingerprint != started.fingerprint:
        raise RunError(
            f"{started.directory} was begun on data {started.fingerprint}, this is {dataset.fingerprint}."
        )
    settings = started.settings.personalised(overrides or {})
    started.require_files()
    with Stop() as stop, locked(started.directory):
        summary = finished(started.directory)
        if summary is not None:  # by another process, a moment ago
            return summary
        try:
            snapshot, problems = checkpoint.load(started.directory / CHECKPOINTS)
        except checkpoint.CheckpointError as error:
            raise RunError(f"{error} Train it anew, with another --out.") from error
        if snapshot and snapshot.plain["identity"] != identity(settings, dataset):
            raise RunError(f"{started.directory}: its checkpoints were made with other settings or data.")
        if settings != started.settings:
            write_config(started.directory, settings, started.data, started.fingerprint)
        for problem in problems:
            warn(f"{problem} Going on from the one before.")
        place = started.directory
        return _complete(settings, dataset, place, watch, phases or Phases(), stop, learner, snapshot, until)


def _complete(
    settings: Settings,
    dataset: Marked,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    learner: Learner,
    snapshot: Snapshot | None = None,
    until: int | None = None,
) -> dict[str, Any]:
    """Learn until the end or somebody's wish, and save the model and the summary."""
    with _checkpoints_named(out), changes_named(settings):
        learned = learner(settings, dataset, out, watch, phases, stop, snapshot, until)
        phases.tell(SAVING, 0, UNKNOWN)
        save(learned.model, out, settings.ranker_name)
        (out / REPORT).unlink(missing_ok=True)  # of the model that an interruption had left
        summary = _summary(settings, out, learned) | {"phases": phases.seconds()}
        write_bytes(out / SUMMARY, (json.dumps(summary, allow_nan=False) + "\n").encode())
        phases.tell(SAVING, 1, 1)
        if summary["finished"]:
            clear(out)
            return summary
    updates = learned.tally.updates
    there = updates >= min(settings.updates, until or settings.updates)
    if there and learned.diverged:
        raise _own_models_lost(settings, out, summary)
    if there:
        return summary
    raise UnfinishedError(
        f"stopped after {updates} updates; the model so far is saved in {out}.", out, summary
    )


@contextmanager
def _checkpoints_named(out: Path) -> Iterator[None]:
    """If the disk is full or the user will not wait, say from where the run can go on, if from anywhere."""
    try:
        yield
    except (OSError, KeyboardInterrupt) as error:
        reached = checkpoint.latest(out / CHECKPOINTS)
        if reached is None:
            raise
        what = error.strerror if isinstance(error, OSError) else "interrupted"
        raise UnfinishedError(f"{what}: the last checkpoint is that after {reached} updates.", out) from error


@contextmanager
def changes_named(settings: Settings) -> Iterator[None]:
    """If training diverges, say also which settings are not those that are known to work."""
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}{settings.changes()}") from error


def _own_models_lost(settings: Settings, out: Path, summary: dict[str, Any]) -> NotFiniteError:
    """What to say when what own models were made from is all there is."""
    lost = summary["warnings"][0]["message"]
    message = f"{lost[0].upper()}{lost[1:]}{settings.changes()}"
    gentler = _gentler(settings.row.objective)
    if not gentler:
        return NotFiniteError(f"{message} Train another run with smaller steps.", summary)
    pairs = " ".join(f"--set {name}={value}" for name, value in gentler.items())
    advice = f"Find them anew, e.g. with: {command('resume', out)} {pairs}"
    return NotFiniteError(f"{message} {advice}", summary)


def _gentler(objective: Objective) -> dict[str, Any]:
    """Smaller values for the settings that only own models depend on: the defaults, or a tenth of them.

    What validation chooses is not among them. None, if all are as small already.
    """
    defaults = type(objective)()
    smaller: dict[str, Any] = {}
    for name in objective.personal_settings:
        value, default = getattr(objective, name), getattr(defaults, name)
        if value == AUTO:
            continue
        if default == AUTO:
            smaller[name] = AUTO
            continue
        less = min(value, default) if value != default else value / 10
        smaller[name] = max(1, round(less)) if isinstance(value, int) else less
    return smaller if any(getattr(objective, name) != value for name, value in smaller.items()) else {}


def _summary(settings: Settings, out: Path, learned: Learned) -> dict[str, Any]:
    tally, seconds = learned.tally, learned.seconds
    reached = settings.fitted or tally.updates >= settings.updates
    return {
        "run": str(out),
        "finished": reached and not learned.diverged,
        "algorithm": settings.label,
        "ranker": settings.ranker_name,
        "loss": settings.loss,
        "seed": settings.seed,
        "updates": tally.updates,
        "refused": tally.refused,
        "seconds": round(seconds, 3),
        "updates_per_second": round(tally.updates / max(seconds, 1e-9), 1),
        "virtual_time": round(tally.time, 3),
        "staleness": tally.staleness(),
        "concurrency": tally.in_flight_max,
        "network": tally.network,
        "bytes_up": tally.bytes_up,
        "bytes_down": tally.bytes_down,
        "kept": None if settings.fitted else learned.kept(settings.keep),
        "own_models": learned.own_models,
        "validation_nmrr": learned.nmrr,
    } | learned.told()
