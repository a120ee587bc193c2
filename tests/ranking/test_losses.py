"""Losses against naive twins in plain Python, and where a mask could let something through."""

from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor

from ranking.losses import LOSSES
from ranking.slates import pad


def naive_bce(scores: list[float], places: list[int]) -> float:
    shares = [1 / (1 + exp(-s)) for s in scores]
    return -sum(log(p) if place else log(1 - p) for p, place in zip(shares, places, strict=True))


def naive_mse(scores: list[float], places: list[int]) -> float:
    shares = [1 / (1 + exp(-s)) for s in scores]
    return sum((p - (1 / place if place else 0)) ** 2 for p, place in zip(shares, places, strict=True))


def naive_softmax(scores: list[float], places: list[int]) -> float:
    total = sum(exp(s) for s in scores)
    members = [log(exp(s) / total) for s, place in zip(scores, places, strict=True) if place]
    return -sum(members) / len(members) if members else 0.0


def naive_listmle(scores: list[float], places: list[int]) -> float:
    """Pick after pick: the reference in its order, each from what is left."""
    left, loss = list(scores), 0.0
    for _, score in sorted((place, s) for s, place in zip(scores, places, strict=True) if place):
        loss += log(sum(exp(s) for s in left)) - score
        left.remove(score)
    return loss


NAIVE = {"bce": naive_bce, "mse": naive_mse, "softmax": naive_softmax, "listmle": naive_listmle}
losses = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def batch() -> tuple[list[list[float]], list[list[int]]]:
    """Scores and places of ragged slates; the last has no reference in its pool."""
    rng = np.random.default_rng(0)
    places = [[1], [0, 2, 1], [3, 0, 0, 1, 2, 0, 0], [0, 7, 0, 25, 0], [0, 0, 0, 0]]
    return [rng.normal(0, 2, len(p)).tolist() for p in places], places


def padded(scores: list[list[float]], places: list[list[int]], filling: float = 0) -> tuple[Tensor, ...]:
    values = pad([torch.tensor(s, dtype=torch.float64) for s in scores], filling)
    mask = pad([torch.ones(len(s), dtype=torch.bool) for s in scores])
    return values, pad([torch.tensor(p, dtype=torch.int16) for p in places]), mask


def test_every_loss_has_a_twin():
    assert set(NAIVE) == set(LOSSES)


@losses
def test_agrees_with_its_naive_twin_whatever_the_padding_scores(name, batch):
    expected = [NAIVE[name](s, p) for s, p in zip(*batch, strict=True)]
    for filling in (0, 50, -50):
        found = LOSSES[name](*padded(*batch, filling=filling))
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@losses
def test_leading_axes_are_free(name, batch):
    values, position, mask = (t[:4] for t in padded(*batch))
    flat = LOSSES[name](values, position, mask)
    stacked = LOSSES[name](*(t.unflatten(0, (2, 2)) for t in (values, position, mask)))
    assert torch.equal(stacked, flat.view(2, 2))


@losses
def test_padding_gets_no_gradient_and_a_slate_of_padding_costs_nothing(name, batch):
    values, position, mask = padded(*batch)
    mask[1] = False
    values.requires_grad_()
    loss = LOSSES[name](values, position, mask)
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    assert loss[1] == 0
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()
    assert gradient[~mask].abs().max() == 0
    assert gradient[0].abs().max() > 0 or name in (
        "softmax",
        "listmle",
    )  # one candidate has nothing to be before
    assert gradient[2][mask[2]].abs().min() > 0


@losses
def test_gradients_point_the_right_way(name):
    """At equal scores every loss wants the reference up, the second no more than the first."""
    scores = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    position = torch.tensor([[0, 1, 2, 0]], dtype=torch.int16)
    loss = LOSSES[name](scores, position, torch.ones(1, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert gradient[0, 1] <= gradient[0, 2] < gradient[0, 0] == gradient[0, 3]


@pytest.mark.parametrize("name", ["softmax", "listmle"])
def test_a_slate_without_a_reference_has_loss_0_and_moves_nothing(name, batch):
    values, position, mask = padded(*batch)
    values.requires_grad_()
    loss = LOSSES[name](values, position, mask)
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    assert loss[-1] == 0
    assert gradient[-1].abs().max() == 0


@losses
def test_large_scores_stay_finite(name):
    scores = torch.tensor([[-200.0, 200.0, 0.0]], requires_grad=True)
    position = torch.tensor([[1, 0, 0]], dtype=torch.int16)
    loss = LOSSES[name](scores, position, torch.ones(1, 3, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_listmle_by_hand():
    """Odds 1, 2, 3, 4: the second first, of 10, then the fourth, of 8."""
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64).log()
    position = torch.tensor([[0, 1, 0, 2]], dtype=torch.int16)
    loss = LOSSES["listmle"](scores, position, torch.ones(1, 4, dtype=torch.bool))
    assert float(loss) == pytest.approx(-log(2 / 10) - log(4 / 8))


def test_listmle_of_one_wanted_candidate_is_softmax_wherever_it_stands(batch):
    scores = batch[0]
    places = [[7 * (number == len(own) // 2) for number in range(len(own))] for own in scores]
    values, position, mask = padded(scores, places)
    found, softmax = (LOSSES[name](values, position, mask) for name in ("listmle", "softmax"))
    torch.testing.assert_close(found, softmax, rtol=1e-12, atol=1e-12)


def test_listmle_depends_on_neither_the_order_of_the_pool_nor_the_level_of_scores(batch):
    values, position, mask = padded(*batch)
    loss = LOSSES["listmle"](values, position, mask)
    turned = LOSSES["listmle"](*(t.flip(-1) for t in (values, position, mask)))
    lifted = LOSSES["listmle"](values + 100, position, mask)
    gaps = LOSSES["listmle"](values, torch.where(position > 0, 3 * position + 1, 0), mask)
    for other in (turned, lifted, gaps):
        torch.testing.assert_close(other, loss, rtol=1e-12, atol=1e-12)
    swapped = torch.where(position == 1, 2, torch.where(position == 2, 1, position))
    assert not torch.isclose(LOSSES["listmle"](values, swapped, mask)[1], loss[1]), "the order counts"
