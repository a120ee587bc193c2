"""Runs with kernels have the same bits with any number of threads, and whatever is in flight together."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from data.schema import Dataset
from federated.algorithms import ALGORITHMS
from federated.clients import Clients
from federated.events import Finished
from federated.tasks.ranking import RankingTask
from federated.training import train
from ranking.building import build
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP

USERS = 20


@pytest.fixture(scope="module")
def task(tiny_dataset: Dataset, tiny_public: PublicStatistics) -> RankingTask:
    slates, judged = (build(tiny_dataset, tiny_public, split) for split in ("train", "validation"))
    network = MLP((8,)).network(slates.features.shape[-1], [])
    task = RankingTask.of(network, "listmle", slates, judged, USERS)
    assert task.compiled is not None
    return task


def with_threads(threads: int, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return compute()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["persa-fl-ditto", "persa-fl-me", "persa-fl-maml", "fedavg", "push-sum"])
def test_a_run_has_the_same_bits_with_any_number_of_threads(name: str, task: RankingTask) -> None:
    def run() -> list[Tensor]:
        *_, end = train(task, ALGORITHMS[name], seed=0, updates=100, evaluations=2)
        assert isinstance(end, Finished)
        return [part for part in (end.learned, end.adapted) if part is not None]

    one, *others = (with_threads(threads, run) for threads in (1, 2, 4))
    for other in others:
        assert len(other) == len(one)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["persa-fl-ditto", "persa-fl-me", "persa-fl-maml"])
def test_an_update_has_the_same_bits_whoever_is_computed_beside_it(name: str, task: RankingTask) -> None:
    row = ALGORITHMS[name]
    clients = Clients(task, row.objective, replace(row.local, local_steps=3), 0)
    w = torch.stack([task.initial(seed) for seed in range(USERS)])
    users, counters = list(range(USERS)), [seed % 3 for seed in range(USERS)]

    def deltas(some: list[int]) -> list[Tensor]:
        return [clients.deltas([users[u] for u in some], [counters[u] for u in some], w[some])]

    (together,) = with_threads(4, lambda: deltas(users))
    for some in ([7], [19, 7], list(range(5, 14))):
        assert torch.equal(deltas(some)[0], together[some])
    own = with_threads(4, lambda: [clients.personalise(w)])[0]
    for some in ([7], [19, 7]):
        assert torch.equal(clients.personalise(w, users=torch.tensor(some)), own[some])
