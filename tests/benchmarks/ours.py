"""PersaRank's side of the benchmark: the problem as a `Task`, the workloads as rows of its own table.

Everything that is timed is the product's: its clients, objectives and schedules. Only the task is made
here, as a user would make one: what a batch is, and its loss.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from workload import BATCH, INNER_LEARNING_RATE, INNER_STEPS, LAMBDA, LAYERS, LEARNING_RATE, STEPS, Problem

from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MoreauEnvelope
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks import Chance
from ranking.rankers.network import Layout, dense, dense_shapes

Batch = tuple[Tensor, Tensor]

SEED = 0
COHORT = 200
CONCURRENCY = 40
LOCAL = LocalSGD(lr=LEARNING_RATE, local_steps=STEPS, batch_size=BATCH, sampling="in-order")
MOREAU = MoreauEnvelope(lam=LAMBDA, inner_steps=INNER_STEPS, inner_lr=INNER_LEARNING_RATE, tolerance=0)
ROUNDS = replace(ALGORITHMS["fedavg"], local=LOCAL, schedule=Cohort(cohort=COHORT, shares="equal"))
ARRIVALS = replace(ALGORITHMS["persa-fl"], local=LOCAL, schedule=Arrivals(concurrency=CONCURRENCY))
ROWS: dict[str, Row] = {
    "w-sync": ROUNDS,
    "w-async": ARRIVALS,
    "w-me": replace(ALGORITHMS["persa-fl-me"], local=LOCAL, objective=MOREAU, schedule=ARRIVALS.schedule),
    "w-scale": ROUNDS,
}
COMPILED_FOR = (1, 3, 16, 2 * CONCURRENCY, COHORT)
"""Clients that compute together, once for each of these numbers, before the clock starts."""


@dataclass(frozen=True)
class Classification:
    """Every client's own samples, classified by an MLP; a `Task` in the sense of `federated.tasks`.

    Attributes:
        X: (U, S, features) and y (U, S); they may lie in a mapped file.
        start: (P,) where training begins.
    """

    X: Tensor
    y: Tensor
    start: Tensor
    layout: Layout = field(default_factory=lambda: Layout(dense_shapes(list(LAYERS))))

    @classmethod
    def of(cls, problem: Problem) -> "Classification":
        """The task of a problem; memory is shared with it."""
        return cls(*(torch.from_numpy(part) for part in (problem.X, problem.y, problem.start)))

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`."""
        return torch.full((self.y.shape[0],), self.y.shape[1])

    def initial(self, seed: int) -> Tensor:
        """The problem's start, whatever the seed, since all engines have the same."""
        return self.start

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[list[Batch]]:
        """See `Task.batches`."""
        rows = (users[:, None] * self.y.shape[1] + index).reshape(-1)
        x = self.X.flatten(0, 1).index_select(0, rows).view(*index.shape, -1)
        y = self.y.flatten().index_select(0, rows).view(index.shape)
        return [list(zip(xs, ys, strict=True)) for xs, ys in zip(x, y, strict=True)]

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> list[Batch]:
        """See `Task.everything`; users are small here, and ``most`` of no account."""
        return [(self.X[users], self.y[users])]

    def loss(self, w: Tensor, batch: Batch) -> Tensor:
        """See `Task.loss`."""
        x, y = batch
        logit = dense(self.layout.split(w), x, len(LAYERS) - 1).squeeze(-1)
        return binary_cross_entropy_with_logits(logit, y, reduction="none").mean(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """Nothing: the gate evaluates, with the same code for every engine."""
        return {}

    def pooled(self) -> "Classification":
        """See `Task.pooled`."""
        return replace(self, X=self.X.flatten(0, 1)[None], y=self.y.flatten()[None])


def clients(task: Classification, workload: str, compiled: bool) -> Clients:
    """The clients of a workload."""
    return Clients(task, ROWS[workload].objective, LOCAL, SEED, compiled)


def compile_s(ready: Clients) -> float:
    """Seconds of the first updates in stacks of all sizes, in which compiled programs are made.

    An update changes nobody, so these leave no trace in what is learned later.
    """
    since = time.perf_counter()
    for size in COMPILED_FOR if ready.compiled else ():
        users = [place % ready.number for place in range(size)]
        ready.deltas(users, [0] * size, ready.task.initial(SEED).expand(size, -1))
    return time.perf_counter() - since


def run_rounds(
    ready: Clients, workload: str, rounds: int, gate_rounds: int, between: Callable[[], None] = lambda: None
) -> tuple[list[float], NDArray[np.float32]]:
    """Seconds of every synchronous round, ``between`` included, and the model after the gate's rounds."""
    w = gate = ready.task.initial(SEED)
    schedule: Any = ROWS[workload].schedule
    merges = schedule.run(ready, schedule.start(ready, w))
    seconds = []
    for number in range(1, rounds + 1):
        since = time.perf_counter()
        w = next(merges).w
        between()
        seconds.append(time.perf_counter() - since)
        if number == gate_rounds:
            gate = w
    return seconds, gate.numpy()


@dataclass
class Arrived:
    """What an asynchronous run leaves: the order of its events, its clock, its gate.

    Attributes:
        users: whose update arrived, one by one.
        versions: which version of the model each of them had read.
        server_lr: how much of an update is merged.
        seconds: for the arrivals after the first ``skipped``.
        gate: the model after the gate's arrivals.
    """

    users: list[int]
    versions: list[int]
    server_lr: float
    seconds: float
    gate: NDArray[np.float32]


def run_arrivals(ready: Clients, workload: str, arrivals: int, gate_arrivals: int, skipped: int) -> Arrived:
    """Run a workload of the asynchronous server."""
    w = gate = ready.task.initial(SEED)
    schedule: Any = ROWS[workload].schedule
    merges = islice(schedule.run(ready, schedule.start(ready, w)), arrivals)
    users, versions = [], []
    since = time.perf_counter()
    for version, merge in enumerate(merges):
        users.append(merge.users[0])
        versions.append(version - merge.staleness[0])
        if version + 1 == skipped:
            since = time.perf_counter()
        if version + 1 == gate_arrivals:
            gate = merge.w
    seconds = time.perf_counter() - since
    return Arrived(users, versions, schedule.server_lr or 1 / ready.number, seconds, gate.numpy())
