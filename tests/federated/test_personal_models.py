"""Finding users' own models: bounded for who has much data, and nothing else where data are few."""

from dataclasses import replace

import pytest
import torch

from data.schema import Dataset
from federated.clients import MOST_TOGETHER, PERSONAL, STACK, Clients, LocalSGD, _alike
from federated.objectives import MoreauEnvelope, Reptile, Vanilla
from federated.tasks.ranking import RankingTask
from ranking.building import build
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP

USERS = 20


@pytest.fixture(scope="module")
def task(tiny_dataset: Dataset, tiny_public: PublicStatistics) -> RankingTask:
    slates = build(tiny_dataset, tiny_public, "train")
    network = MLP((8,)).network(slates.features.shape[-1], [])
    return RankingTask.of(network, "bce", slates, slates, USERS)


def personal(task: RankingTask, most: int) -> torch.Tensor:
    clients = Clients(task, MoreauEnvelope(), LocalSGD(personal_samples=most), 0)
    return clients.personalise(task.initial(0))


def test_who_has_few_slates_is_served_with_all_of_them(task: RankingTask) -> None:
    """To the last bit, whatever others have."""
    bound = int(task.samples.median())
    few = task.samples <= bound
    assert 0 < few.sum() < USERS
    everything, bounded = personal(task, 10**6), personal(task, bound)
    torch.testing.assert_close(bounded[few], everything[few], atol=1e-5, rtol=0)
    assert torch.equal(personal(task, int(task.samples.max())), everything)
    assert not torch.allclose(bounded[~few], everything[~few], atol=1e-3)


@pytest.mark.parametrize("most", [1, 7, 30])
def test_others_by_their_latest(task: RankingTask, most: int) -> None:
    """As if nothing else were theirs."""
    ends = task.start[1:]
    size = task.samples.clamp(max=most)
    latest = torch.cat(
        [task.rows[end - n : end] for end, n in zip(ends.tolist(), size.tolist(), strict=True)]
    )
    start = torch.nn.functional.pad(size.cumsum(0), (1, 0))
    expected = personal(replace(task, rows=latest, start=start), 10**6)
    torch.testing.assert_close(personal(task, most), expected, atol=1e-6, rtol=0)


def test_twenty_steps_rank_as_well_as_hundreds(task: RankingTask) -> None:
    """At the kinks of a network gradient steps waver for ever; what they waver about is found by then."""
    clients = Clients(task, Vanilla(), LocalSGD(), 0)
    w = task.initial(0)
    for turn in range(20):  # a common model that has learned something, as where users' own begin
        everyone = list(range(USERS))
        w = w - clients.deltas(everyone, [turn] * USERS, w.expand(USERS, -1)).mean(0)

    def ranked(steps: int) -> dict[str, float]:
        own = Clients(task, MoreauEnvelope(personal_steps=steps), LocalSGD(), 0).personalise(w)
        return task.evaluate(own)

    few, many = ranked(20), ranked(400)
    assert few["nmrr"] == pytest.approx(many["nmrr"], abs=1e-3)
    assert few["loss"] == pytest.approx(many["loss"], rel=1e-3)
    assert task.evaluate(w)["nmrr"] < many["nmrr"] - 0.01, "own models are worth something"


def test_nobody_waits_for_those_with_thousands() -> None:
    """Stacks hold users of like size, and of those with much data few together."""
    sizes = torch.tensor([1] * 100 + [40] * 30 + [100] * 20)
    pieces = _alike(sizes, 25)
    assert sorted(torch.cat(pieces).tolist()) == list(range(150))
    for piece in pieces:
        assert len(piece) <= STACK // 2
        assert len(piece) == 1 or len(piece) * int(sizes[piece].max()) <= MOST_TOGETHER
    assert [len(piece) for piece in _alike(torch.tensor([MOST_TOGETHER + 1] * 2), 25)] == [1, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_it_tells_how_far_it_is_and_can_be_stopped(task: RankingTask, threads: int) -> None:
    clients = Clients(task, Reptile(adapt_steps=1), LocalSGD(), 0)
    told: list[tuple[str, int, int]] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        clients.personalise(task.initial(0), lambda *how: told.append(how))
        assert told[0] == (PERSONAL, 0, USERS)
        assert told[-1] == (PERSONAL, USERS, USERS)
        assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})

        def enough(phase: str, done: int, total: int) -> None:
            if done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            clients.personalise(task.initial(0), enough)
    finally:
        torch.set_num_threads(before)
