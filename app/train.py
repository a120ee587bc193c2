"""Trains a ranker into a run directory; progress bars and metrics files consume one stream of events."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.runs import METRICS, SUMMARY, create
from app.settings import Settings
from app.stop import Stop
from data.schema import DataError, Dataset, column
from federated.tasks.ranking import RankingTask
from federated.training import Evaluated, Event, Finished, Merged, train
from ranking.features import build, feature_names
from ranking.history import PublicStatistics
from ranking.metrics import missed
from ranking.models import Model, NeuralModel, TreeModel
from ranking.persistence import save, write_bytes
from ranking.slates import Slates


class InterruptedByUserError(Exception):
    """Training was stopped by the user; what was learned until then is saved, with this ``summary``."""

    def __init__(self, summary: dict[str, Any]) -> None:
        self.summary = summary
        super().__init__(
            f"stopped after {summary['updates']} updates; the model so far is saved in {summary['run']}."
        )


@dataclass
class Tally:
    """What the summary line reports of a stream of merges."""

    updates: int = 0
    time: float = 0.0
    merges: int = 0
    staleness_sum: int = 0
    staleness_max: int = 0
    in_flight_max: int = 0

    def add(self, merged: Merged) -> None:
        """Count one merge."""
        self.updates, self.time = merged.updates, merged.time
        self.staleness_sum += sum(merged.staleness)
        self.staleness_max = max(self.staleness_max, *merged.staleness)
        self.in_flight_max = max(self.in_flight_max, merged.in_flight)


def split_slates(dataset: Dataset, slates: Slates, split: str) -> Slates:
    """The slates of one split, in user and time order."""
    of_slate = column(dataset.events, "split")[column(dataset.slates, "event_id")]
    chosen = torch.from_numpy(np.flatnonzero(of_slate == split))
    if not len(chosen):
        raise DataError(f"no slate is left in the {split} part of the data: import it without --drop-missed.")
    picked = slates[chosen]
    return picked[torch.argsort(picked.user, stable=True)]


def train_run(
    settings: Settings, data: Path, dataset: Dataset, out: Path, watch: Callable[[Event], None]
) -> dict[str, Any]:
    """Train, save, and return the summary; ``watch`` sees every event as it happens.

    Raises:
        RunError: ``out`` exists already.
        DataError: a user has nothing to train on.
        InterruptedByUserError: Ctrl-C; the model as it was then is saved.
    """
    public = PublicStatistics(dataset)
    slates = build(dataset, public)
    learn = _teaching(split_slates(dataset, slates, "train"))
    task = None
    if not settings.fitted:
        network = settings.ranker.network(len(feature_names(public)), public.texts)
        validation = split_slates(dataset, slates, "validation")
        task = RankingTask.of(network, settings.loss, learn, validation, dataset.users.num_rows)
    create(out, settings, data, dataset)
    try:
        began = time.perf_counter()
        if task is not None:
            model, tally, seconds, interrupted = _learn(settings, task, out, watch)
        else:
            write_bytes(out / METRICS, b"")
            model, tally = _fit(settings, learn, dataset.users.num_rows)
            seconds, interrupted = time.perf_counter() - began, False
        save(model, out, settings.ranker_name)
        summary = _summary(settings, out, tally, seconds)
        write_bytes(out / SUMMARY, (json.dumps(summary, allow_nan=False) + "\n").encode())
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # half a run would only be in the way of the next try
        raise
    if interrupted:
        raise InterruptedByUserError(summary)
    return summary


def _teaching(slates: Slates) -> Slates:
    """Without misses, which show nothing that was wanted; but a user who has no other slate keeps them."""
    hit = ~missed(slates)
    hits = torch.bincount(slates.user[hit], minlength=int(slates.user.max()) + 1)
    return slates[(hit | (hits[slates.user] == 0)).nonzero().squeeze(1)]


def _learn(
    settings: Settings, task: RankingTask, out: Path, watch: Callable[[Event], None]
) -> tuple[Model, Tally, float, bool]:
    tally = Tally()
    stop = Stop()
    with (out / METRICS).open("w") as metrics, stop:
        for event in train(task, settings.row, settings.seed, settings.updates, stop=stop.asked):
            watch(event)
            if isinstance(event, Merged):
                tally.add(event)
            if isinstance(event, Merged | Evaluated):
                record = {"event": type(event).__name__.lower(), **asdict(event)}
                metrics.write(json.dumps(record) + "\n")
            if isinstance(event, Evaluated):
                metrics.flush()
    assert isinstance(event, Finished), "training ends with Finished"
    return NeuralModel(task.network, event.common, event.personal), tally, event.seconds, stop.asked()


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


def _summary(settings: Settings, out: Path, tally: Tally, seconds: float) -> dict[str, Any]:
    merged = max(tally.updates, 1)
    return {
        "run": str(out),
        "algorithm": settings.algorithm,
        "ranker": settings.ranker_name,
        "loss": settings.loss,
        "seed": settings.seed,
        "updates": tally.updates,
        "seconds": round(seconds, 3),
        "updates_per_second": round(tally.updates / max(seconds, 1e-9), 1),
        "virtual_time": round(tally.time, 3),
        "staleness": {"mean": round(tally.staleness_sum / merged, 3), "max": tally.staleness_max},
        "concurrency": tally.in_flight_max,
    }
