"""Trains a ranker into a run directory, from the start or from the last checkpoint."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.journal import Journal, Tally
from app.runs import CHECKPOINTS, METRICS, REPORT, SUMMARY, RunError, Started, create, locked
from app.settings import Settings
from app.stop import Stop
from data.files import write_bytes
from data.schema import DataError, Dataset, column
from federated import checkpoint
from federated.schedules import Snapshot
from federated.tasks.ranking import RankingTask
from federated.training import Event, Finished, Training
from ranking.features import build, feature_names
from ranking.history import PublicStatistics
from ranking.metrics import missed
from ranking.models import Model, NeuralModel, TreeModel
from ranking.persistence import save
from ranking.slates import Slates

Watch = Callable[[Event], None]


class UnfinishedError(Exception):
    """Training ended early, by the user's wish or for want of disk; it can be resumed."""

    def __init__(self, message: str, run: Path, summary: dict[str, Any] | None = None) -> None:
        self.summary = summary
        super().__init__(f"{message} Go on with: persarank resume {run}")


def split_slates(dataset: Dataset, slates: Slates, split: str) -> Slates:
    """The slates of one split, in user and time order."""
    of_slate = column(dataset.events, "split")[column(dataset.slates, "event_id")]
    chosen = torch.from_numpy(np.flatnonzero(of_slate == split))
    if not len(chosen):
        raise DataError(f"no slate is left in the {split} part of the data: import it without --drop-missed.")
    picked = slates[chosen]
    return picked[torch.argsort(picked.user, stable=True)]


def train_run(settings: Settings, data: Path, dataset: Dataset, out: Path, watch: Watch) -> dict[str, Any]:
    """Train, save, and return the summary; ``watch`` sees every event as it happens.

    Raises:
        RunError: ``out`` exists already.
        DataError: a user has nothing to train on.
        UnfinishedError: Ctrl-C, or the disk is full; what was learned until then is saved.
    """
    task, learn = _task(settings, dataset)  # before the directory is made: nothing is left of a failure
    create(out, settings, data, dataset)
    with locked(out):
        try:
            return _complete(settings, dataset, task, learn, out, watch)
        except UnfinishedError:
            raise
        except BaseException:
            if checkpoint.latest(out / CHECKPOINTS) is None:
                shutil.rmtree(out, ignore_errors=True)  # it would only be in the way of the next try
            raise


def resume_run(
    started: Started, dataset: Dataset, watch: Watch, warn: Callable[[str], None]
) -> dict[str, Any]:
    """Go on with a run from its newest readable checkpoint, to the same bits as if nothing had happened.

    Args:
        started: the run; a finished one is left as it is.
        dataset: the data it was started with.
        watch: sees every event.
        warn: is told of damaged checkpoints that were passed over.

    Raises:
        RunError: other data, or nothing readable is left, or somebody else is training this run.
        UnfinishedError: as in `train_run`.
    """
    if dataset.fingerprint != started.fingerprint:
        raise RunError(
            f"{started.directory} was begun on data {started.fingerprint}, this is {dataset.fingerprint}."
        )
    with locked(started.directory):
        try:
            snapshot, problems = checkpoint.load(started.directory / CHECKPOINTS)
        except checkpoint.CheckpointError as error:
            raise RunError(f"{error} Train the run anew.") from error
        for problem in problems:
            warn(f"{problem} Going on from the one before.")
        task, learn = _task(started.settings, dataset)
        return _complete(started.settings, dataset, task, learn, started.directory, watch, snapshot)


def _task(settings: Settings, dataset: Dataset) -> tuple[RankingTask | None, Slates]:
    """The learning task, None where trees are fitted, and the slates to learn from."""
    public = PublicStatistics(dataset)
    slates = build(dataset, public)
    learn = _teaching(split_slates(dataset, slates, "train"))
    if settings.fitted:
        return None, learn
    network = settings.ranker.network(len(feature_names(public)), public.texts)
    validation = split_slates(dataset, slates, "validation")
    return RankingTask.of(network, settings.loss, learn, validation, dataset.users.num_rows), learn


def _teaching(slates: Slates) -> Slates:
    """Without misses, which show nothing that was wanted; but a user who has no other slate keeps them."""
    hit = ~missed(slates)
    hits = torch.bincount(slates.user[hit], minlength=int(slates.user.max()) + 1)
    return slates[(hit | (hits[slates.user] == 0)).nonzero().squeeze(1)]


def _complete(
    settings: Settings,
    dataset: Dataset,
    task: RankingTask | None,
    learn: Slates,
    out: Path,
    watch: Watch,
    snapshot: Snapshot | None = None,
) -> dict[str, Any]:
    """Learn until the end or the user's wish, and save the model and the summary."""
    began = time.perf_counter()
    if task is not None:
        model, tally, seconds, finished = _learn(settings, task, out, watch, snapshot)
    else:
        write_bytes(out / METRICS, b"")
        model, tally = _fit(settings, learn, dataset.users.num_rows)
        seconds, finished = time.perf_counter() - began, True
    for stale in (SUMMARY, REPORT):  # of an interruption before; what follows replaces them
        (out / stale).unlink(missing_ok=True)
    save(model, out, settings.ranker_name)
    summary = _summary(settings, out, tally, seconds, finished)
    write_bytes(out / SUMMARY, (json.dumps(summary, allow_nan=False) + "\n").encode())
    if not finished:
        raise UnfinishedError(
            f"stopped after {tally.updates} updates; the model so far is saved in {out}.", out, summary
        )
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return summary


def _learn(
    settings: Settings, task: RankingTask, out: Path, watch: Watch, snapshot: Snapshot | None
) -> tuple[Model, Tally, float, bool]:
    training = Training(
        task, settings.row, settings.seed, settings.updates, settings.evaluations, settings.compile
    )
    if snapshot:
        training.unpack(snapshot)
    try:
        journal = Journal(out / METRICS, snapshot.plain["journal"] if snapshot else None)
    except ValueError as error:
        raise RunError(f"{error} Train the run anew.") from error
    with journal, Stop() as stop:
        saved = journal.tally.updates
        try:
            for event in training.events(stop.asked):
                watch(event)
                journal.see(event)
                if training.at_rest and event.updates - saved >= settings.checkpoint_every:
                    saved = event.updates
                    _save(training, journal, out)
            if stop.asked():
                _save(training, journal, out)
        except OSError as error:
            reached = checkpoint.latest(out / CHECKPOINTS)
            if reached is None:
                raise
            message = f"{error.strerror}: the last checkpoint is that after {reached} updates."
            raise UnfinishedError(message, out) from error
    assert isinstance(event, Finished), "training ends with Finished"
    return (
        NeuralModel(task.network, event.common, event.personal),
        journal.tally,
        event.seconds,
        (event.updates >= settings.updates),
    )


def _save(training: Training, journal: Journal, out: Path) -> None:
    packed = training.pack()
    whole = Snapshot(packed.tensors, {**packed.plain, "journal": journal.pack()})
    checkpoint.save(out / CHECKPOINTS, journal.tally.updates, whole)


def _fit(settings: Settings, learn: Slates, users: int) -> tuple[TreeModel, Tally]:
    """Fit trees: one ranker on everything, or one for each user."""
    ranker: Any = settings.ranker
    if settings.algorithm == "pooled":
        return TreeModel(ranker.fit(learn, settings.loss, settings.seed), ()), Tally(updates=1)
    for user in range(users):
        if not (learn.user == user).any():
            raise DataError(f"user {user} has no slate to train on: leave such users out.")
    own = [learn[(learn.user == u).nonzero().squeeze(1)] for u in range(users)]
    return TreeModel(None, [ranker.fit(s, settings.loss, settings.seed) for s in own]), Tally(updates=users)


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
    }
