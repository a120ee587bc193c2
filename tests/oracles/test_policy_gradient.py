"""Policy gradients against the exact expected return of small worlds, where every behaviour can be listed."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product

import pytest
import torch
from torch import Tensor

from federated.tasks.autograd import gradient_of
from federated.tasks.policy_gradient import (
    leave_one_out,
    linear_baseline,
    normalised,
    rewards_to_go,
    surrogate,
)
from ranking.plackett_luce import draw_rankings, log_probabilities, nmrr_payments

STATES, ACTIONS, H = 3, 2, 3


@dataclass(frozen=True)
class Tabular:
    """A random world: from state s, action a leads to s' with probability P[s, a, s'] and pays r[s, a]."""

    move: Tensor
    reward: Tensor

    @classmethod
    def drawn(cls) -> "Tabular":
        chance = torch.Generator().manual_seed(0)
        move = torch.rand(STATES, ACTIONS, STATES, generator=chance, dtype=torch.float64)
        reward = torch.randn(STATES, ACTIONS, generator=chance, dtype=torch.float64)
        return cls(move / move.sum(-1, keepdim=True), reward)

    def expected_return(self, logits: Tensor) -> Tensor:
        """By dynamic programming, from state 0, of a softmax policy (STATES, ACTIONS)."""
        value = torch.zeros(STATES, dtype=torch.float64)
        for _ in range(H):
            q = self.reward + self.move @ value
            value = (logits.softmax(1) * q).sum(1)
        return value[0]

    def every_behaviour(self) -> tuple[Tensor, Tensor, Tensor]:
        """States and actions (T, H) of all trajectories from state 0, and the part (T,) of their
        probabilities that is the world's."""
        states, actions, chances = [], [], []
        for rest in product(range(STATES), repeat=H - 1):
            for chosen in product(range(ACTIONS), repeat=H):
                s = (0, *rest)
                likely = 1.0
                for h in range(H - 1):
                    likely *= float(self.move[s[h], chosen[h], s[h + 1]])
                states.append(s)
                actions.append(chosen)
                chances.append(likely)
        return torch.tensor(states), torch.tensor(actions), torch.tensor(chances, dtype=torch.float64)


def finite_differences(f: Callable[[Tensor], Tensor], x: Tensor, step: float) -> Tensor:
    """∂f/∂x, f of any shape: shape of f, then that of x flattened."""
    columns = []
    for i in range(x.numel()):
        e = torch.zeros_like(x).view(-1)
        e[i] = step
        columns.append((f(x + e.view_as(x)) - f(x - e.view_as(x))) / (2 * step))
    return torch.stack(columns, -1)


baselines = pytest.mark.parametrize(
    "baseline", [torch.zeros(STATES), torch.tensor([2.0, -1.0, 0.5])], ids=["no baseline", "one of states"]
)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(STATES, ACTIONS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def weighted_surrogate(world: Tabular, logits: Tensor, baseline: Tensor) -> Tensor:
    """What `surrogate` is on average: over all trajectories, each with its probability."""
    states, actions, likely = world.every_behaviour()
    chosen = logits.log_softmax(1)[states, actions]
    advantage = rewards_to_go(world.reward[states, actions], discount=1) - baseline[states]
    probability = likely * chosen.sum(1).detach().exp()
    assert float(probability.sum()) == pytest.approx(1)
    return (probability * surrogate(chosen, advantage)).sum()


@baselines
def test_the_estimate_is_the_gradient_of_the_expected_return(logits: Tensor, baseline: Tensor) -> None:
    world = Tabular.drawn()
    x = logits.clone().requires_grad_()
    value = weighted_surrogate(world, x, baseline)
    (gradient,) = torch.autograd.grad(value, x)
    expected = finite_differences(world.expected_return, logits, 1e-6).view_as(logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-9)
    assert float(gradient.norm()) > 0.1
    assert float(value.detach()) == pytest.approx(0, abs=1e-12)


@baselines
def test_its_second_derivative_is_the_hessian(logits: Tensor, baseline: Tensor) -> None:
    world = Tabular.drawn()

    def slope(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(world.expected_return(x), x)
        return gradient.flatten()

    hessian = torch.autograd.functional.hessian(lambda x: weighted_surrogate(world, x, baseline), logits)
    expected = finite_differences(slope, logits, 1e-6)
    torch.testing.assert_close(hessian.view_as(expected), expected, rtol=1e-6, atol=1e-8)
    assert float(expected.norm()) > 0.1


def test_samples_estimate_it_too(logits: Tensor) -> None:
    """With trajectories that are drawn instead of listed, and a baseline."""
    world, number = Tabular.drawn(), 200_000
    chance = torch.Generator().manual_seed(2)
    state, states, actions = torch.zeros(number, dtype=torch.int64), [], []
    for _ in range(H):
        action = torch.multinomial(logits.softmax(1)[state], 1, generator=chance)[:, 0]
        states.append(state)
        actions.append(action)
        state = torch.multinomial(world.move[state, action], 1, generator=chance)[:, 0]
    s, a = torch.stack(states, 1), torch.stack(actions, 1)
    x = logits.clone().requires_grad_()
    chosen = x.log_softmax(1)[s, a]
    advantage = rewards_to_go(world.reward[s, a], discount=1) - 1
    (gradient,) = torch.autograd.grad(surrogate(chosen, advantage).mean(), x)
    expected = finite_differences(world.expected_return, logits, 1e-6).view_as(logits)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0.02)


def test_rewards_to_go() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 8.0]])
    assert rewards_to_go(rewards, 0.5).tolist() == [[3, 4, 4], [2, 4, 8]]
    assert rewards_to_go(rewards, 1).tolist() == [[7, 6, 4], [8, 8, 8]]


def test_leave_one_out() -> None:
    returns = torch.tensor([[[1.0], [2.0], [6.0]]])
    assert leave_one_out(returns).flatten().tolist() == [1 - 4, 2 - 3.5, 6 - 1.5]


def test_normalised_advantages_ignore_what_was_not_done() -> None:
    alive = torch.tensor(
        [[[True, True, False], [True, True, True]], [[True, False, False], [True, True, True]]]
    )
    values = torch.arange(12.0).view(2, 2, 3) ** 2
    result = normalised(values, alive)
    for client in range(2):
        there = result[client][alive[client]]
        assert float(there.mean()) == pytest.approx(0, abs=1e-6)
        assert float(there.std(correction=0)) == pytest.approx(1, rel=1e-5)
        assert (result[client][~alive[client]] == 0).all()


def test_the_baseline_is_the_least_squares_fit() -> None:
    """Of each client's own steps that were taken, against a library's."""
    chance = torch.Generator().manual_seed(3)
    o = torch.randn(2, 4, 100, 2, generator=chance)
    returns = torch.randn(2, 4, 100, generator=chance) * 10
    alive = torch.rand(2, 4, 100, generator=chance) < 0.8
    ours = linear_baseline(o, returns, alive)
    t = torch.arange(1, 101).expand(4, 100)[..., None] / 100
    for client in range(2):
        features = torch.cat([o[client], o[client] ** 2, t, t**2, t**3, torch.ones_like(t)], -1)
        there = alive[client]
        fit = torch.linalg.lstsq(features[there].double(), returns[client][there].double()[:, None]).solution
        expected = (features.double() @ fit)[..., 0].float()
        torch.testing.assert_close(ours[client], expected, rtol=0, atol=0.02)


# rankings as behaviour

SCORES = torch.tensor([0.3, -0.5, 1.2, 0.1], dtype=torch.float64)
POSITION, WANTED = torch.tensor([2, 0, 0, 1]), torch.tensor(3)


def nmrr(ranking: tuple[int, ...]) -> float:
    ranks = [1 / place for place, candidate in enumerate(ranking, 1) if POSITION[candidate] > 0]
    return sum(ranks) / (1 + 1 / 2 + 1 / 3)


def probability(scores: Tensor, ranking: tuple[int, ...]) -> Tensor:
    """Plackett–Luce, choice by choice."""
    odds = scores.exp()
    result, left = torch.ones((), dtype=scores.dtype), list(ranking)
    for candidate in ranking:
        result = result * odds[candidate] / odds[left].sum()
        left.remove(candidate)
    return result


def test_probabilities_of_rankings_and_what_they_are_paid() -> None:
    everything = list(permutations(range(4)))
    rankings = torch.tensor(everything)
    mask = torch.ones(4, dtype=torch.bool)
    logs = log_probabilities(SCORES, mask, rankings).sum(1)
    expected = torch.stack([probability(SCORES, ranking) for ranking in everything])
    torch.testing.assert_close(logs.exp(), expected)
    assert float(logs.exp().sum()) == pytest.approx(1)
    paid = nmrr_payments(POSITION, WANTED, rankings).sum(1)
    assert paid.tolist() == pytest.approx([nmrr(ranking) for ranking in everything])


def test_padding_is_ranked_last_without_probability_or_payment() -> None:
    scores = torch.cat([SCORES, torch.tensor([9.0, 9.0])])
    mask = torch.tensor([True] * 4 + [False] * 2)
    position = torch.cat([POSITION, torch.zeros(2, dtype=torch.int64)])
    exponential = torch.empty(50, 6).exponential_(generator=torch.Generator().manual_seed(0))
    rankings = draw_rankings(scores, mask, exponential)
    assert (rankings[:, :4].sort(1).values == torch.arange(4)).all()
    padded = log_probabilities(scores, mask, rankings)
    torch.testing.assert_close(
        padded[:, :4], log_probabilities(SCORES, torch.ones(4, dtype=torch.bool), rankings[:, :4])
    )
    assert (padded[:, 4:] == 0).all()
    assert (nmrr_payments(position, WANTED, rankings)[:, 4:] == 0).all()


def test_log_probabilities_can_be_differentiated_twice_beside_padding() -> None:
    scores = torch.cat([SCORES, torch.zeros(2, dtype=torch.float64)]).requires_grad_()
    mask = torch.tensor([True] * 4 + [False] * 2)
    rankings = torch.tensor([[2, 0, 3, 1, 4, 5], [1, 0, 2, 3, 5, 4]])
    assert torch.autograd.gradcheck(lambda s: log_probabilities(s, mask, rankings), (scores,))
    assert torch.autograd.gradgradcheck(lambda s: log_probabilities(s, mask, rankings), (scores,))


def test_hopeless_candidates_do_no_harm() -> None:
    """Odds of e^−500 are no number in single precision, nor are the squares of those of e^−60."""
    for spread in (500.0, 60.0, 45.0):
        scores = torch.tensor([spread, 0.0, -spread]).requires_grad_()
        mask, rankings = torch.ones(3, dtype=torch.bool), torch.tensor([[0, 1, 2], [2, 1, 0]])
        logs = log_probabilities(scores, mask, rankings)
        (slope,) = torch.autograd.grad(logs.sum(), scores, create_graph=True)
        (bend,) = torch.autograd.grad((slope * torch.tensor([1.0, 2.0, -1.0])).sum(), scores)
        assert torch.isfinite(logs).all()
        assert torch.isfinite(slope).all()
        assert torch.isfinite(bend).all()


def test_rankings_are_drawn_as_often_as_plackett_and_luce_say() -> None:
    number = 100_000
    exponential = torch.empty(number, 4).exponential_(generator=torch.Generator().manual_seed(1))
    rankings = draw_rankings(SCORES, torch.ones(4, dtype=torch.bool), exponential)
    for ranking in permutations(range(4)):
        often = float((rankings == torch.tensor(ranking)).all(1).double().mean())
        assert often == pytest.approx(float(probability(SCORES, ranking)), abs=0.005)


def test_the_gradient_of_nmrr_is_that_of_its_expectation_over_all_rankings() -> None:
    """With each of all pairs of rankings as often as it comes, the other one being the baseline."""
    everything = list(permutations(range(4)))
    pairs = torch.tensor([(a, b) for a in range(24) for b in range(24)])
    rankings = torch.tensor(everything)[pairs]  # (T, 2, N)
    likely = torch.stack([probability(SCORES, ranking) for ranking in everything])
    weight = likely[pairs].prod(1)
    mask = torch.ones(4, dtype=torch.bool)

    def average(w: Tensor, _: None) -> Tensor:
        scores = w[0].expand(len(pairs), 4)
        chosen = log_probabilities(scores, mask.expand_as(scores), rankings)
        paid = nmrr_payments(POSITION, WANTED, torch.tensor(everything))[pairs].double()
        advantage = leave_one_out(rewards_to_go(paid, discount=1))
        return (weight * surrogate(chosen, advantage).mean(1)).sum()[None]

    def expectation(scores: Tensor) -> Tensor:
        return sum((probability(scores, ranking) * nmrr(ranking) for ranking in everything), torch.zeros(()))

    gradient = gradient_of(average, SCORES[None], None)[0]
    torch.testing.assert_close(gradient, finite_differences(expectation, SCORES, 1e-6), rtol=1e-6, atol=1e-8)
    assert float(gradient.norm()) > 0.01
