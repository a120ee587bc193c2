"""Trains a ranker into a run directory, from the start or from the last checkpoint."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.runs.directory import (
    CHECKPOINTS,
    METRICS,
    REPORT,
    SUMMARY,
    RunError,
    Started,
    create,
    finished,
    locked,
)
from app.runs.journal import Journal, Tally
from app.runs.phases import SAVING, TRAINING, Phases
from app.runs.settings import Settings
from app.runs.stop import Patience, Stop
from data.files import write_bytes
from data.progress import UNKNOWN, Tell
from data.schema import DataError, Dataset, ragged
from federated import checkpoint
from federated.state import Snapshot
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import RankingPolicy, learned
from federated.training import Event, Finished, Training
from ranking.building import FEATURES, build
from ranking.features import feature_names
from ranking.history import PublicStatistics
from ranking.models import Model, NeuralModel, TreeModel
from ranking.persistence import save
from ranking.slates import StoredSlates

Watch = Callable[[Event], None]
SLATES = "slates"
IN_MEMORY = 2**30
"""Bytes of features that are kept in memory; more are kept on disk while training lasts."""


class UnfinishedError(Exception):
    """Training ended early, by the user's wish or for want of disk; it can be resumed."""

    def __init__(self, message: str, run: Path, summary: dict[str, Any] | None = None) -> None:
        self.summary = summary
        super().__init__(f"{message} Go on with: persarank resume {run}")


def train_run(
    settings: Settings,
    data: Path,
    dataset: Dataset,
    out: Path,
    watch: Watch,
    phases: Phases | None = None,
) -> dict[str, Any]:
    """Train, save, and return the summary.

    Args:
        settings: of the run.
        data: where the dataset lies.
        dataset: what it holds.
        out: the run directory to be made.
        watch: sees every event as it happens.
        phases: what was done before, as reading the data, and who is told how far the work is.

    Raises:
        RunError: ``out`` exists already.
        DataError: a user has nothing to train on.
        UnfinishedError: Ctrl-C, or the disk is full; what was learned until then is saved.
    """
    with Stop() as stop:
        create(out, settings, data, dataset)
        with locked(out):
            try:
                return _complete(settings, dataset, out, watch, phases or Phases(), stop)
            except UnfinishedError:
                raise
            except BaseException:
                if checkpoint.latest(out / CHECKPOINTS) is None and finished(out) is None:
                    shutil.rmtree(out, ignore_errors=True)  # it would only be in the way of the next try
                raise


def resume_run(
    started: Started,
    dataset: Dataset,
    watch: Watch,
    warn: Callable[[str], None],
    phases: Phases | None = None,
) -> dict[str, Any]:
    """Go on with a run from its newest readable checkpoint, to the same bits as if nothing had happened.

    Args:
        started: the run; a finished one is left as it is.
        dataset: the data it was started with.
        watch: sees every event.
        warn: is told of damaged checkpoints that were passed over.
        phases: as in `train_run`; those of this process count.

    Raises:
        RunError: other data, or nothing readable is left, or somebody else is training this run.
        UnfinishedError: as in `train_run`.
    """
    if dataset.fingerprint != started.fingerprint:
        raise RunError(
            f"{started.directory} was begun on data {started.fingerprint}, this is {dataset.fingerprint}."
        )
    with Stop() as stop, locked(started.directory):
        summary = finished(started.directory)
        if summary is not None:  # by another process, a moment ago
            return summary
        try:
            snapshot, problems = checkpoint.load(started.directory / CHECKPOINTS)
        except checkpoint.CheckpointError as error:
            raise RunError(f"{error} Train it anew, with another --out.") from error
        if snapshot and snapshot.plain["identity"] != _identity(started.settings, dataset):
            raise RunError(f"{started.directory}: its checkpoints were made with other settings or data.")
        for problem in problems:
            warn(f"{problem} Going on from the one before.")
        return _complete(
            started.settings, dataset, started.directory, watch, phases or Phases(), stop, snapshot
        )


def _task(
    settings: Settings, dataset: Dataset, public: PublicStatistics, out: Path, tell: Tell
) -> RankingTask | RankingPolicy:
    """What a network learns; where there is much of it, it lies on disk, in the run's directory."""
    features = len(feature_names(public))
    large = len(ragged(dataset.slates, "pool")[1]) * features * 4 > IN_MEMORY
    parts = [
        build(dataset, public, split, out / SLATES / split if large else None, tell)
        for split in ("train", "validation")
    ]
    network = settings.network(features, public.texts)
    users = dataset.users.num_rows
    slates = RankingTask.of(network, settings.loss, parts[0], parts[1], users, _teaching(parts[0]))
    slates = replace(slates, tell=tell)
    return learned(slates, settings.row.policy)


def _teaching(slates: StoredSlates) -> Tensor:
    """Which to learn from: not misses, which show nothing that was wanted, unless a user has nothing else."""
    hit = ~slates.missed
    hits = torch.bincount(slates.user[hit], minlength=int(slates.user.max()) + 1)
    return (hit | (hits[slates.user] == 0)).nonzero().squeeze(1)


def _complete(
    settings: Settings,
    dataset: Dataset,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    snapshot: Snapshot | None = None,
) -> dict[str, Any]:
    """Learn until the end or the user's wish, and save the model and the summary."""
    with _checkpoints_named(out):
        model, tally, seconds = _learned(settings, dataset, out, watch, phases, stop, snapshot)
        phases.tell(SAVING, 0, UNKNOWN)
        done = settings.fitted or tally.updates >= settings.updates
        save(model, out, settings.ranker_name)
        (out / REPORT).unlink(missing_ok=True)  # of the model that an interruption had left
        summary = _summary(settings, out, tally, seconds, done) | {"phases": phases.seconds()}
        write_bytes(out / SUMMARY, (json.dumps(summary, allow_nan=False) + "\n").encode())
        phases.tell(SAVING, 1, 1)
        if done:
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
            return summary
    raise UnfinishedError(
        f"stopped after {tally.updates} updates; the model so far is saved in {out}.", out, summary
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


def _learned(
    settings: Settings,
    dataset: Dataset,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    snapshot: Snapshot | None,
) -> tuple[Model, Tally, float]:
    """The model, what the summary tells of its training, and seconds."""
    if not settings.fitted:
        try:
            return _train(settings, dataset, out, watch, phases, stop, snapshot)
        finally:
            shutil.rmtree(out / SLATES, ignore_errors=True)
    phases.enter(FEATURES)
    with stop.at_once():
        public = PublicStatistics(dataset)
        began = time.perf_counter()
        write_bytes(out / METRICS, b"")
        slates = build(dataset, public, "train", None, phases.tell)
        phases.tell(TRAINING, 0, UNKNOWN)
        model, tally = _fit(settings, slates.subset(_teaching(slates)), dataset.users.num_rows, phases.tell)
        return model, tally, time.perf_counter() - began


def _train(
    settings: Settings,
    dataset: Dataset,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    snapshot: Snapshot | None,
) -> tuple[NeuralModel, Tally, float]:
    identity = _identity(settings, dataset)
    patience = Patience(stop, phases)
    phases.enter(FEATURES)
    with stop.at_once():  # nothing has been learned yet
        task = _task(settings, dataset, PublicStatistics(dataset), out, patience.tell)
        size = (settings.seed, settings.updates, settings.evaluations, settings.compile)
        training = Training(task, settings.row, *size, patience.tell, patience)
        if snapshot:
            training.unpack(snapshot)
    try:
        journal = Journal(out / METRICS, snapshot.plain["journal"] if snapshot else None)
    except ValueError as error:
        raise RunError(f"{error} Train it anew, with another --out.") from error
    with journal:
        saved = journal.tally.updates

        def trained() -> None:
            """Before the users' own models are found, which may take long, all is saved."""
            if (settings.row.objective.personal or stop.asked()) and saved != journal.tally.updates:
                _save(training, journal, identity, out)
            patience.trained(journal.tally.updates)

        phases.enter(TRAINING)
        for event in training.events(stop.asked, trained):
            watch(event)
            journal.see(event)
            due = event.updates - saved >= settings.checkpoint_every
            if training.at_rest and not isinstance(event, Finished) and (due or stop.asked()):
                saved = event.updates
                _save(training, journal, identity, out)
            phases.enter(TRAINING)
    assert isinstance(event, Finished), "training ends with Finished"
    return NeuralModel(task.network, event.common, event.personal), journal.tally, event.seconds


def _save(training: Training, journal: Journal, identity: str, out: Path) -> None:
    packed = training.pack()
    context = {"journal": journal.pack(), "identity": identity}
    whole = Snapshot(packed.tensors, packed.plain | context)
    checkpoint.save(out / CHECKPOINTS, journal.tally.updates, whole)


def _identity(settings: Settings, dataset: Dataset) -> str:
    """What a checkpoint belongs to: these settings, and this data."""
    return hashlib.sha256(settings.to_toml({"data": dataset.fingerprint}).encode()).hexdigest()


def _fit(settings: Settings, learn: StoredSlates, users: int, tell: Tell) -> tuple[TreeModel, Tally]:
    """Fit trees: one ranker on everything, or one for each user."""
    ranker: Any = settings.ranker
    if settings.algorithm == "pooled":
        return TreeModel(ranker.fit(learn, settings.loss, settings.seed), ()), Tally(updates=1)
    for user in range(users):
        if not (learn.user == user).any():
            raise DataError(f"user {user} has no slate to train on: leave such users out.")
    own = []
    for user in range(users):
        tell(TRAINING, user, users)
        slates = learn.subset((learn.user == user).nonzero().squeeze(1))
        own.append(ranker.fit(slates, settings.loss, settings.seed))
    return TreeModel(None, own), Tally(updates=users)


def _summary(settings: Settings, out: Path, tally: Tally, seconds: float, finished: bool) -> dict[str, Any]:
    return {
        "run": str(out),
        "finished": finished,
        "algorithm": settings.label,
        "ranker": settings.ranker_name,
        "loss": settings.loss,
        "seed": settings.seed,
        "updates": tally.updates,
        "refused": tally.refused,
        "seconds": round(seconds, 3),
        "updates_per_second": round(tally.updates / max(seconds, 1e-9), 1),
        "virtual_time": round(tally.time, 3),
        "staleness": {
            "mean": round(tally.staleness_sum / max(tally.merged, 1), 3),
            "max": tally.staleness_max,
        },
        "concurrency": tally.in_flight_max,
        "network": tally.network,
    }
