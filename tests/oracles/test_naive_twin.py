"""Stacked clients and the asynchronous server against twins that anyone can read, in float64.

The twins loop over users, slates and candidates one by one, with torch.nn layers, no padding and no
stacking; they share with the product only the keyed draws of batches and delays.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from data.randomness import generator
from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, Ditto, MoreauEnvelope, Objective, Proximal, Reptile, Vanilla
from federated.schedules.arrivals import Arrivals
from federated.tasks.ranking import RankingTask
from ranking.rankers.mlp import MLP
from ranking.slates import Slates

LOCAL = LocalSGD(lr=0.01, local_steps=3, batch_size=2)


@pytest.fixture(scope="module")
def task(tiny_slates: Slates) -> RankingTask:
    """Real features with unequal pools and unequal users, in float64."""
    order = torch.argsort(tiny_slates.user, stable=True)
    slates = tiny_slates[order[tiny_slates.user[order] < 6]]
    slates = replace(slates, features=slates.features.double())
    return RankingTask.of(MLP((7, 5)).network(slates.features.shape[-1], []), "bce", slates, slates, 6)


def naive_loss(w: Tensor, task: RankingTask, rows: list[int]) -> Tensor:
    """Mean over slates of the summed cross-entropy, candidate by candidate."""
    named = task.network.layout.split(w[None])
    total = w.new_zeros(())
    for row in rows:
        for x, position, real in zip(
            task.train.features[row], task.train.position[row], task.train.mask[row], strict=True
        ):
            if real:
                for layer in range(3):
                    weight, bias = named[f"dense{layer}.weight"][0], named[f"dense{layer}.bias"][0]
                    x = nn.functional.linear(x, weight.T, bias)
                    x = x.relu() if layer < 2 else x
                total = total + binary_cross_entropy_with_logits(x[0], (position > 0).double())
    return total / len(rows)


def slope(w: Tensor, task: RankingTask, rows: list[int]) -> Tensor:
    w = w.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(naive_loss(w, task, rows), w)
    return gradient


def naive_gradient(
    objective: Objective, w: Tensor, task: RankingTask, draws: list[list[int]], read: Tensor
) -> Tensor:
    """Each objective once more, for one user, as its formula reads."""
    if isinstance(objective, Vanilla | Reptile | Ditto):
        return slope(w, task, draws[0])
    if isinstance(objective, Proximal):
        return slope(w, task, draws[0]) + objective.mu * (w - read)
    if isinstance(objective, MoreauEnvelope):
        theta, lam = w.clone(), 15 if objective.lam == "auto" else objective.lam
        for _ in range(objective.inner_steps):
            h = slope(theta, task, draws[0]) + lam * (theta - w)
            if h.norm() > objective.tolerance:
                theta = theta - objective.inner_lr * h
        return lam * (w - theta)
    assert isinstance(objective, MAML)
    inner, outer, *hessian = draws
    v = slope(w - objective.alpha * slope(w, task, inner), task, outer)
    if objective.curvature == "exact":
        leaf = w.detach().requires_grad_()
        (first,) = torch.autograd.grad(naive_loss(leaf, task, hessian[0]), leaf, create_graph=True)
        (product,) = torch.autograd.grad(first @ v, leaf)
        v = v - objective.alpha * product
    return v


def naive_delta(
    objective: Objective, task: RankingTask, seed: int, user: int, counter: int, w: Tensor
) -> Tensor:
    """Q local steps of one user."""
    start = w
    held = int(task.samples[user])
    index = generator(seed, "batch", user, counter).integers(
        held, size=(LOCAL.local_steps, objective.draws, LOCAL.batch_size)
    )
    for step in index:
        rows = [[int(task.start[user]) + int(i) for i in batch] for batch in step]
        w = w - LOCAL.lr * naive_gradient(objective, w, task, rows, start)
    return start - w


OBJECTIVES = [
    Vanilla(),
    MAML(0.01),
    MAML(0.01, curvature="first-order"),
    MoreauEnvelope(inner_lr=0.01),
    MoreauEnvelope(lam=7, inner_lr=0.01),
    Reptile(),
    Proximal(20.0),
    Ditto(),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{type(o).__name__}")
def test_stacked_updates_equal_a_loop_over_clients(objective: Objective, task: RankingTask) -> None:
    clients = Clients(task, objective, LOCAL, seed=5)
    w = torch.stack([task.initial(s).double() for s in range(4)])
    users, counters = [4, 0, 2, 5], [1, 0, 7, 0]
    stacked = clients.deltas(users, counters, w)
    for row, (user, counter) in enumerate(zip(users, counters, strict=True)):
        alone = naive_delta(objective, task, 5, user, counter, w[row])
        torch.testing.assert_close(stacked[row], alone, rtol=0, atol=1e-6)
    assert stacked.abs().max() > 1e-4, "an update that does nothing proves nothing"


@pytest.mark.parametrize("objective", OBJECTIVES[:2], ids=["Vanilla", "MAML"])
def test_arrivals_equal_a_server_that_reads_like_the_paper(objective: Objective, task: RankingTask) -> None:
    """Every client computes alone at the moment of its arrival, from a copy of what it read."""
    schedule, seed, updates = Arrivals(concurrency=3), 2, 10
    double = _Double(task)
    clients = Clients(double, objective, LOCAL, seed)
    state = schedule.start(clients, double.initial(seed))
    merges = list(islice(schedule.run(clients, state), updates))
    w, now = double.initial(seed), 0.0
    turn, flying, waiting = turns(6, seed), [], []
    for version, merge in enumerate(merges):
        while len(flying) < 3:
            busy = {user for _, user, *_ in flying}
            at = next((i for i, (user, _) in enumerate(waiting) if user not in busy), None)
            user, counter = next(turn) if at is None else waiting.pop(at)
            while user in busy:
                waiting.append((user, counter))
                user, counter = next(turn)
            down, up = generator(seed, "delay", user, counter).exponential(size=2)
            flying.append((now + down + up, user, counter, version, w))
        now, user, counter, read, seen = flying.pop(flying.index(min(flying, key=lambda job: job[0])))
        w = w - naive_delta(objective, task, seed, user, counter, seen) / 6
        assert (merge.users, merge.staleness, merge.in_flight) == ((user,), (version - read,), 3)
        assert merge.time == pytest.approx(now)
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-6)


def turns(users: int, seed: int) -> Iterator[tuple[int, int]]:
    """Everyone once, in random order, then everyone again in another."""
    for counter in count():
        for user in generator(seed, "turn", counter).permutation(users).tolist():
            yield user, counter


class _Double:
    """A task whose start parameters are float64 too."""

    def __init__(self, task: RankingTask) -> None:
        self._task = task

    def __getattr__(self, name: str) -> object:
        return getattr(self._task, name)

    def initial(self, seed: int) -> Tensor:
        return self._task.initial(seed).double()


def test_every_row_of_the_table_is_covered_by_a_twin() -> None:
    covered = {type(o) for o in OBJECTIVES}
    assert all(type(row.objective) in covered for row in ALGORITHMS.values() if isinstance(row, Row))
