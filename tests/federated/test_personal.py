"""How far own models go: what is planted is found, what only fits the latest is not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from federated import personal
from federated.clients import Clients, LocalSGD
from federated.objectives import Ditto, Reptile, Vanilla
from federated.personal import PRIOR, Choice, choose, settled, shrunk, simplest
from federated.tasks import Rehearsal
from federated.tasks.autograd import ByAutograd
from federated.tasks.ranking import RankingTask
from ranking.metrics import slate_metrics
from ranking.rankers.mlp import MLP
from ranking.scoring import network_scores
from ranking.slates import Slates

CURVE = 15.0
"""Of the toy's losses: own models at price λ are CURVE / (CURVE + λ) of the way to a user's mean."""


@dataclass(frozen=True)
class Places(ByAutograd):
    """Every user wants to be where their samples (U, n) are on average, and later where ``after`` (U,) is."""

    seen: Tensor
    after: Tensor
    votes: Tensor
    gap: int = 2

    @property
    def samples(self) -> Tensor:
        return torch.full((len(self.seen),), self.seen.shape[1])

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> Sequence[Tensor]:
        return [self.seen[users].mean(1)]

    def loss(self, w: Tensor, batch: Tensor) -> Tensor:
        return CURVE / 2 * (w[:, 0] - batch).square()

    def rehearsal(self) -> Rehearsal:
        older = replace(self, seen=self.seen[:, : self.seen.shape[1] - self.gap])
        return Rehearsal(older, self.votes, self.judged)  # type: ignore[arg-type]

    def judged(self, users: Tensor, w: Tensor) -> Tensor:
        lost = (w[:, 0] - self.after[users]).square().double()
        return torch.where(self.votes[users] > 0, lost, torch.nan)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def planted(lam: float, users: int = 60) -> Places:
    """Own models at this price are right; the latest samples are as the others."""
    taste = normal(0, users)
    after = taste * CURVE / (CURVE + lam)
    return Places(taste[:, None].expand(-1, 4), after, torch.full((users,), 2))


def clients_of(task: Places, keep_common: bool = False, objective: Ditto | None = None) -> Clients:
    local = LocalSGD(keep_common=keep_common)
    return Clients(task, objective or Ditto(), local, 0)  # type: ignore[arg-type]


W = torch.zeros(1)


@pytest.mark.parametrize("lam", [30.0, 7.0, 0.7])
def test_the_planted_price_is_chosen(lam: float) -> None:
    chosen = choose(clients_of(planted(lam)), W)
    assert (chosen.name, chosen.strength, chosen.users, chosen.nobody) == ("lam", lam, 60, False)
    assert dict(chosen.losses)[lam] == min(dict(chosen.losses).values()) < 1e-3
    assert chosen.kept is None


def test_what_is_set_is_not_chosen() -> None:
    assert choose(clients_of(planted(7), objective=Ditto(lam=3)), W) == Choice("lam", 3)


def test_models_that_only_fit_the_latest_are_not_given_to_anybody() -> None:
    """Users drift: what was long ago says nothing of what comes, and the latest does."""
    long_ago, lately = normal(1, 80), normal(2, 80)
    seen = torch.stack([long_ago, long_ago, 2 * lately, 2 * lately], 1)
    task = Places(seen, lately, torch.full((80,), 2))
    assert choose(clients_of(task), W).nobody
    assert not choose(clients_of(replace(task, gap=0)), W).nobody, "without the gap it seems worth it"


def test_users_without_validation_samples_are_not_asked_and_without_any_nothing_is_chosen() -> None:
    task = planted(7)
    some = torch.where(torch.arange(60) < 30, 2, 0)
    silent = replace(task, votes=some, after=torch.where(some > 0, task.after, 99.0))
    chosen = choose(clients_of(silent), W)
    assert (chosen.strength, chosen.users) == (7, 30)
    assert choose(clients_of(replace(task, votes=torch.zeros(60))), W) == Choice("lam", 15)


def test_candidates_that_are_not_finite_are_never_chosen() -> None:
    """One user's model at the best price is lost: the next best is chosen."""

    class Lost(Ditto):
        def personalise(self, task, w, data, strength=None):  # type: ignore[no-untyped-def]
            own = super().personalise(task, w, data, strength)
            return own / 0 if strength == 7 else own

    chosen = choose(clients_of(planted(7), objective=Lost()), W)
    assert dict(chosen.losses)[7.0] == float("inf")
    assert chosen.strength in (15.0, 3.0)


def test_no_more_users_are_asked_than_that_and_they_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    judged = Places.judged

    def listening(self: Places, users: Tensor, w: Tensor) -> Tensor:
        asked.append(users.tolist())
        return judged(self, users, w)

    monkeypatch.setattr(Places, "judged", listening)
    monkeypatch.setattr(personal, "CHOOSERS", 5)
    assert choose(clients_of(planted(7, users=81)), W).users == 5
    assert asked == [[0, 20, 40, 60, 80]] * len(asked)
    assert len(asked) > 2


def test_who_is_worse_off_keeps_the_common_model_if_that_is_wanted() -> None:
    """The first three users' tastes turn around, and they have samples enough to tell."""
    task = planted(7)
    turned = torch.arange(60) < 3
    task = replace(
        task, after=torch.where(turned, -task.after, task.after), votes=torch.where(turned, 10_000, 2)
    )
    chosen = choose(clients_of(task, keep_common=True), W)
    assert not chosen.nobody
    assert chosen.kept is not None
    assert torch.equal(chosen.kept, turned), "others lose too little, or gain"
    assert choose(clients_of(task), W).kept is None
    there = choose(clients_of(task, keep_common=True, objective=Ditto(lam=7)), W)
    assert (there.strength, there.losses, there.users) == (7, (), 0), "it was set, so nobody was asked"
    assert there.kept is not None
    assert torch.equal(there.kept, turned)


@pytest.mark.parametrize("own", [False, True])
def test_threads_change_nothing(own: bool, tiny_slates: Slates) -> None:
    task = half(tiny_slates)
    clients = Clients(task, Reptile(), LocalSGD(keep_common=True), 0)
    w = task.initial(0)
    w = w.expand(20, -1) + 0.1 * normal(3, 20, len(w)) if own else w
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(choose(clients, w))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert other.losses == found[0].losses
        assert other.strength == found[0].strength
        assert (other.kept is None) == (found[0].kept is None)
        assert other.kept is None or found[0].kept is None or torch.equal(other.kept, found[0].kept)


def test_who_has_no_own_models_chooses_nothing(tiny_slates: Slates) -> None:
    assert not choose(Clients(half(tiny_slates), Vanilla(), LocalSGD(), 0), W).losses


# by hand


def test_the_simplest_within_one_standard_error_of_the_best() -> None:
    # Behind the best by 0, .2, 0, .2: mean .1, standard error .1155/2 = .058; by 0, .1, 0, −.04: mean .015.
    best = torch.tensor([1.0, 1.0, 1.0, 1.0])
    far = best + torch.tensor([0.0, 0.2, 0.0, 0.2])
    near = best + torch.tensor([0.0, 0.1, 0.0, -0.04])
    assert simplest(torch.stack([far, near, best])) == 1
    assert simplest(torch.stack([far, best, near])) == 1
    assert simplest(torch.stack([near, far, best])) == 0
    assert simplest(torch.stack([far, far, best])) == 2
    assert simplest(torch.tensor([[2.0], [1.0]])) == 1, "one user has no error"
    assert simplest(torch.tensor([[1.0, 1.0], [torch.inf, 0.0]])) == 0


def test_no_more_is_asked_once_more_change_is_clearly_worse() -> None:
    draw = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 400)))
    means = torch.tensor([0.5, 0.3, 0.302, 0.6, 0.7, 0.9])
    losses = means[:, None] + 0.1 * draw
    asked = [number for number in range(1, 7) if not settled(losses[:number])]
    assert asked == [1, 2, 3, 4], "a standard error is .007: the fourth and the fifth are worse by more"
    assert not settled(losses[:2])
    assert not settled(torch.tensor([[0.1, 0.2]] * 5)), "all are equal"
    assert settled(torch.cat([losses[:1], torch.full((2, 400), torch.inf)])), "lost models are worse"
    assert settled(torch.zeros(1, 0)), "nobody knows"


def test_gains_are_drawn_to_their_mean() -> None:
    gains = torch.tensor([1.0, -1.0, torch.nan, 3.0])
    samples = torch.tensor([PRIOR, 3 * PRIOR, 5, 0])
    # The mean of who has seen something is 0; half and three quarters of the rest is their own.
    assert shrunk(gains, samples).tolist() == pytest.approx([0.5, -0.75, 0, 0])
    assert shrunk(gains, torch.zeros(4)).tolist() == [0] * 4
    lost = torch.tensor([0.05, 0.05, -torch.inf, 0.05])
    assert shrunk(lost, torch.full((4,), 10)).tolist() == pytest.approx([0.05, 0.05, -torch.inf, 0.05])
    assert shrunk(lost[2:3], torch.tensor([1])).tolist() == [-torch.inf], "nobody else is there"


# users of slates


def half(slates: Slates) -> RankingTask:
    """Of every user the first two thirds to learn from, and of all but one user the rest to judge by."""
    slates = slates[torch.argsort(slates.user, stable=True)]
    place = torch.cat([torch.arange(int(n)) / n for n in torch.bincount(slates.user)])
    learn, rest = place < 2 / 3, (place >= 2 / 3) & (slates.user != 4)
    rest[slates.user == 7] = True  # user 7 has more to judge by than to learn from
    train = slates[learn.nonzero().squeeze(1)]
    return RankingTask.of(
        MLP((5,)).network(slates.features.shape[-1], []), "bce", train, slates[rest.nonzero().squeeze(1)], 20
    )


def test_held_back_are_as_many_of_the_latest_as_there_are_to_judge_by(tiny_slates: Slates) -> None:
    task = half(tiny_slates)
    rehearsal = task.rehearsal()
    assert rehearsal is not None
    older = rehearsal.task
    assert isinstance(older, RankingTask)
    for user in range(20):
        whole = task.rows[task.start[user] : task.start[user + 1]].tolist()
        judges = int((task.validation.user == user).sum())
        assert int(rehearsal.samples[user]) == judges
        kept = older.rows[older.start[user] : older.start[user + 1]].tolist()
        assert kept == whole[: max(len(whole) - judges, 1)]
    assert older.samples[4] == task.samples[4]
    assert older.samples[7] == 1
    assert replace(task, validation=task.validation[torch.arange(0)]).rehearsal() is None


def test_judged_is_what_is_missing_to_a_perfect_ranking(
    tiny_slates: Slates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federated.tasks.ranking.JUDGED", 17)
    task = half(tiny_slates)
    users = torch.tensor([9, 4, 0, 7])
    w = torch.stack([task.initial(seed) for seed in range(4)])
    rehearsal = task.rehearsal()
    assert rehearsal is not None
    judged = rehearsal.losses(users, w)
    assert judged[1].isnan()
    w[2, 0] = torch.inf
    assert rehearsal.losses(users, w).isinf().tolist() == [False, False, True, False]
    for place in (0, 3):
        theirs = task.validation.where_user(users[place : place + 1])
        nmrr = slate_metrics(network_scores(task.network, w[place], theirs), theirs)["nmrr"]
        assert float(judged[place]) == pytest.approx(1 - float(nmrr.double().mean()), abs=1e-6)
