"""Rankings drawn by a policy: what is paid for them, whose they are, and what the gradient is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from data.randomness import generator
from federated.clients import Clients, LocalSGD
from federated.objectives import MoreauEnvelope, Vanilla
from federated.tasks import Chance, Task
from federated.tasks.autograd import gradient_of
from federated.tasks.navigation import Navigation, draw_goals
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import PlackettLuce, PolicyBatch, RankingPolicy
from ranking.metrics import slate_metrics
from ranking.plackett_luce import draw_rankings
from ranking.rankers.mlp import MLP
from ranking.slates import Slates


@pytest.fixture(scope="module")
def task(tiny_slates: Slates) -> RankingPolicy:
    """Slates of many sizes, of 20 users."""
    slates = tiny_slates[torch.argsort(tiny_slates.user, stable=True)]
    network = MLP(hidden=(6,)).network(slates.features.shape[-1], [])
    return RankingPolicy(RankingTask.of(network, "nmrr", slates, slates, 20), PlackettLuce(rankings=3))


def start(task: Task, clients: int) -> Tensor:
    return torch.stack([task.initial(seed) for seed in range(clients)])


def batch(task: RankingPolicy, users: list[int], counters: list[int], seed: int = 0) -> PolicyBatch:
    index = torch.stack([torch.arange(5).view(1, 5) + user % 3 for user in users], 1)
    return task.batches(torch.tensor(users), index, Chance(seed, "test", users, counters))[0]


def test_the_loss_is_minus_the_metric_of_the_rankings_that_were_drawn(task: RankingPolicy) -> None:
    w, given = start(task, 2), batch(task, [3, 11], [0, 7])
    slates = given.slates
    scores = slates.rows.unpack(task.network.scores(w, slates.rows))
    rankings = draw_rankings(scores, slates.mask, given.exponential)
    paid = torch.zeros(2, 5, 3, dtype=torch.float64)
    for client, user in enumerate((3, 11)):
        there = task.slates.train.where_user(torch.tensor([user]))[torch.arange(5) + user % 3]
        for m in range(3):
            order = torch.empty_like(rankings[client, :, m]).scatter_(
                1, rankings[client, :, m], -torch.arange(rankings.shape[-1]).expand(5, -1)
            )
            paid[client, :, m] = slate_metrics(order.float(), there)["nmrr"]
    torch.testing.assert_close(task.loss(w, given).double(), -100 * paid.mean((1, 2)), rtol=0, atol=1e-3)
    half = replace(task, policy=PlackettLuce(rankings=3, reward_scale=50))
    torch.testing.assert_close(half.loss(w, given) * 2, task.loss(w, given))


def test_the_gradient_is_what_a_loop_over_rankings_and_places_gives(task: RankingPolicy) -> None:
    w, given = start(task, 2), batch(task, [3, 11], [0, 7])
    ours, slates = gradient_of(task.loss, w, given), given.slates
    x = w.clone().requires_grad_()
    scores = slates.rows.unpack(task.network.scores(x, slates.rows))
    rankings = draw_rankings(scores.detach(), slates.mask, given.exponential)
    loss = torch.zeros(())
    for client in range(2):
        for slate in range(5):
            size = int(slates.mask[client, slate].sum())
            s, wanted = scores[client, slate], slates.position[client, slate] > 0
            harmonic = sum(1 / r for r in range(1, 1 + int(slates.wanted[client, slate])))
            orders = [rankings[client, slate, m, :size].tolist() for m in range(3)]
            gains = [[float(wanted[j]) / k / harmonic for k, j in enumerate(order, 1)] for order in orders]
            for m, order in enumerate(orders):
                for k, chosen in enumerate(order):
                    others = [sum(gains[other][k:]) for other in range(3) if other != m]
                    advantage = sum(gains[m][k:]) - sum(others) / 2
                    loss = loss - 100 / 5 / 3 * advantage * (s[chosen] - s[order[k:]].logsumexp(0))
    (expected,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_a_users_rankings_depend_on_the_users_own_key_alone(task: RankingPolicy) -> None:
    w = start(task, 3)
    together = task.loss(w, batch(task, [3, 11, 5], [0, 7, 2]))
    alone = task.loss(w[1:2], batch(task, [11], [7]))
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)
    for user, counter, seed in ((11, 8, 0), (11, 7, 1)):
        other = task.loss(w[1:2], batch(task, [user], [counter], seed))
        assert not torch.equal(other, alone)


def test_personal_steps_draw_new_rankings_of_all_slates(task: RankingPolicy) -> None:
    users = torch.tensor([2, 9])
    batches, again = task.everything(users, 0), task.everything(users, 0)
    assert torch.equal(batches[1].exponential, again[1].exponential)
    assert not torch.equal(batches[1].exponential, batches[2].exponential)
    assert not torch.equal(batches[1].exponential, task.everything(users, 1)[1].exponential)
    other = task.everything(torch.tensor([5, 9]), 0)[1].exponential
    size = min(other.shape[1], batches[1].exponential.shape[1])
    assert torch.equal(other[1, :size], batches[1].exponential[1, :size]), "whoever is beside the user"
    assert not torch.equal(other[0, :size], batches[1].exponential[0, :size])
    assert batches[1].slates.weight.sum(1).tolist() == pytest.approx([1, 1])
    assert (batches[1].slates.weight > 0).sum(1).tolist() == task.samples[users].tolist()


def test_no_two_purposes_share_random_numbers(task: RankingPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning, a user's own steps and judging, of rankings and of navigation, of one user at counter 0."""
    seen = []
    generators = Chance.generators

    def remembering(self: Chance) -> list[np.random.Generator]:
        seen.append(self.purpose)
        return generators(self)

    monkeypatch.setattr(Chance, "generators", remembering)
    for learned, what in ((task, "rankings"), (goals(), "episodes")):
        Clients(learned, Vanilla(), LocalSGD(local_steps=1), 0).deltas([0], [0], start(learned, 1))
        assert learned.everything(torch.tensor([0]), 0)[0] is not None
        learned.evaluate(learned.initial(0))
        assert set(seen) == {"behaviour", f"personal {what}", f"judged {what}"}
        seen.clear()


def test_validation_says_what_is_paid_and_the_nmrr_of_the_best_guess(task: RankingPolicy) -> None:
    w = task.initial(0)
    told = task.evaluate(w)
    assert told["nmrr"] == replace(task.slates, loss_name="bce").evaluate(w)["nmrr"]
    assert told == task.evaluate(w)
    still = task.evaluate(torch.zeros_like(w))
    assert still["loss"] == pytest.approx(-100 * still["nmrr"], abs=2), "ties at random, as the policy draws"


# λ → ∞


def goals() -> Navigation:
    return Navigation(torch.from_numpy(draw_goals(generator(0, "goals"), 4)), episodes=5)


@pytest.mark.parametrize(("kind", "first"), [("navigation", 10), ("rankings", 300)])
def test_a_large_lambda_is_multi_task_policy_gradient(kind: str, first: int, task: RankingPolicy) -> None:
    """The same update, of the same episodes, but for an error like 1/λ."""
    learned: Task = task if kind == "rankings" else goals()
    w = start(learned, 3)
    local = LocalSGD(lr=0.1, local_steps=1, batch_size=5)

    def deltas(objective: MoreauEnvelope | Vanilla) -> Tensor:
        return Clients(learned, objective, local, 0).deltas([0, 1, 3], [2, 0, 5], w)

    plain = deltas(Vanilla())
    apart = []
    for lam in (first, 10 * first, 100 * first):
        # Half of what is missing to the envelope's minimum in each of many steps; the episodes stay the same.
        envelope = MoreauEnvelope(lam, inner_steps=25, inner_lr=0.5 / lam, tolerance=0)
        apart.append(float((deltas(envelope) - plain).norm() / plain.norm()))
    assert apart[2] < 0.02, apart
    assert apart[2] < apart[0] / 5, apart


def test_with_fresh_episodes_it_is_the_mean_of_several_gradients() -> None:
    """w moves by what the fresh gradients at w say, the last ones most: θ forgets half in each step."""
    learned, lam = goals(), 1e4
    w = start(learned, 2)
    local = LocalSGD(lr=0.1, local_steps=1, batch_size=5)
    objective = MoreauEnvelope(lam, inner_steps=3, inner_lr=0.5 / lam, tolerance=0, inner_batches="fresh")
    ours = Clients(learned, objective, local, 0).deltas([1, 2], [4, 4], w)
    index = torch.zeros(3, 2, 5, dtype=torch.int64)
    batches = learned.batches(torch.tensor([1, 2]), index, Chance(0, "behaviour", [1, 2], [4, 4]))
    gradients = [gradient_of(learned.loss, w, one) for one in batches]
    expected = 0.1 * sum(g * share for g, share in zip(gradients, (0.125, 0.25, 0.5), strict=True))
    torch.testing.assert_close(ours, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
