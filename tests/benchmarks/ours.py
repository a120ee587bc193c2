"""PersaRank's side of the benchmark: the problem as a `Task`, the workloads as rows of its own table.

Everything that is timed is the product's: its task, clients, objectives and schedules.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from workload import BATCH, INNER_LEARNING_RATE, INNER_STEPS, LAMBDA, LAYERS, LEARNING_RATE, STEPS, Problem

from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MoreauEnvelope
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks.ranking import RankingTask
from federated.workers import one_thread
from ranking.rankers.mlp import MLPNetwork
from ranking.slates import StoredSlates

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


@dataclass(frozen=True)
class Classification(RankingTask):
    """The problem as the product's main job: a sample is a slate with one candidate, wanted where y is 1.

    The binary cross-entropy of such slates is the problem's loss. Memory is shared with the samples, which
    may lie in a mapped file.

    Attributes:
        begin: (P,) where training begins.
    """

    begin: Tensor = field(default_factory=lambda: torch.zeros(0))

    @classmethod
    def of_problem(cls, problem: Problem) -> "Classification":
        """The task of a problem."""
        users, samples = problem.y.shape
        number = users * samples
        nothing = torch.zeros(number, dtype=torch.int16)
        slates = StoredSlates(
            offsets=torch.arange(number + 1),
            features=torch.from_numpy(problem.X).flatten(0, 1),
            candidates=torch.zeros(number, dtype=torch.int32),
            position=torch.from_numpy(problem.y.reshape(-1) > 0).to(torch.int16),
            wanted=nothing,
            user=torch.arange(users).repeat_interleave(samples),
            typed=nothing,
            widest=1,
        )
        plain = RankingTask.of(MLPNetwork(LAYERS), "bce", slates, slates, users)
        values = {f.name: getattr(plain, f.name) for f in fields(plain)}
        return cls(**values, begin=torch.from_numpy(problem.start))

    def initial(self, seed: int) -> Tensor:
        """The problem's start, whatever the seed, since all engines have the same."""
        return self.begin


def clients(task: Classification, workload: str) -> Clients:
    """The clients of a workload."""
    return Clients(task, ROWS[workload].objective, LOCAL, SEED)


def warm_up_s(ready: Clients) -> float:
    """Seconds in which what is compiled is compiled, or found in its cache; nothing is learned."""
    since = time.perf_counter()
    ready.warm_up()
    return time.perf_counter() - since


def run_rounds(
    ready: Clients, workload: str, rounds: int, gate_rounds: int, between: Callable[[], None] = lambda: None
) -> tuple[list[float], NDArray[np.float32]]:
    """Seconds of every synchronous round, ``between`` included, and the model after the gate's rounds."""
    w = gate = ready.task.initial(SEED)
    schedule: Any = ROWS[workload].schedule
    merges = schedule.run(ready, schedule.start(ready, w))
    seconds = []
    with one_thread():  # as `Training` does
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
    with one_thread():  # as `Training` does
        for version, merge in enumerate(merges):
            users.append(merge.users[0])
            versions.append(version - merge.staleness[0])
            if version + 1 == skipped:
                since = time.perf_counter()
            if version + 1 == gate_arrivals:
                gate = merge.w
    seconds = time.perf_counter() - since
    return Arrived(users, versions, schedule.server_lr or 1 / ready.number, seconds, gate.numpy())
