"""Linear classification: the losses are what they are called, convex, and judged on what is held out."""

import pytest
import torch

from federated.tasks import Chance
from federated.tasks.autograd import gradient_of
from federated.tasks.linear import LOSSES, Linear, smoothed_hinge

losses = pytest.mark.parametrize("name", LOSSES)


def task(name: str, regularisation: float = 0.3, weight: float = 2.0) -> Linear:
    draw = torch.Generator().manual_seed(0)

    def points(each: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(4, each, 2, generator=draw, dtype=torch.float64)
        return x, (torch.rand(4, each, generator=draw) < 0.5).double() * 2 - 1

    return Linear(*points(6), points(5), name, regularisation, weight)


def test_the_smoothed_hinge_has_the_slope_of_its_paper() -> None:
    """h′ = −1, s − 1, 0; and h is whole where the pieces meet."""
    s = torch.tensor([-2.0, -0.5, 0.25, 0.75, 1.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(smoothed_hinge(s).sum(), s)
    assert slope.tolist() == [-1, -1, -0.75, -0.25, 0]
    for edge in (0.0, 1.0):
        below, above = smoothed_hinge(torch.tensor([edge - 1e-9, edge + 1e-9], dtype=torch.float64))
        assert abs(float(below - above)) < 1e-8


@losses
def test_the_gradient_is_that_of_a_loop_over_points(name: str) -> None:
    it = task(name)
    w = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradient = gradient_of(it.loss, w, it.everything(torch.arange(4), 0)[0])
    for user in range(4):
        expected = 0.3 * w[user]
        for a, b in zip(it.points[user], it.labels[user], strict=True):
            margin = (b * (a @ w[user, :2] + w[user, 2])).requires_grad_()
            (h,) = torch.autograd.grad(LOSSES[name](margin), margin)
            expected = expected + 2.0 / 6 * h * b * torch.cat([a, torch.ones(1, dtype=torch.float64)])
        torch.testing.assert_close(gradient[user], expected, rtol=0, atol=1e-12)


@losses
def test_it_is_strongly_convex(name: str) -> None:
    """The mean of two values is over the value between them, by μ/8 of the squared distance at least."""
    it = task(name)
    data = it.everything(torch.arange(4), 0)[0]
    draw = torch.Generator().manual_seed(2)
    for _ in range(50):
        a, b = 3 * torch.randn(2, 4, 3, generator=draw, dtype=torch.float64)
        between = (it.loss(a, data) + it.loss(b, data)) / 2 - it.loss((a + b) / 2, data)
        assert (between >= 0.3 / 8 * ((a - b) ** 2).sum(1) - 1e-9).all()


@losses
def test_batches_are_the_samples_that_were_asked_for(name: str) -> None:
    it = task(name)
    users = torch.tensor([2, 0])
    index = torch.arange(3 * 2 * 2).view(3, 2, 2) % 6
    batches = it.batches(users, index, Chance(0, "", [], []))
    assert len(batches) == 3
    x, b = batches[2]
    for client, user in enumerate(users.tolist()):
        assert torch.equal(x[client], it.points[user, index[2, client]])
        assert torch.equal(b[client], it.labels[user, index[2, client]])


def test_pooled_is_the_mean_of_all() -> None:
    it = task("logistic")
    w = torch.ones(1, 3, dtype=torch.float64)
    apart = it.loss(w.expand(4, -1), it.everything(torch.arange(4), 0)[0]).mean()
    together = it.pooled().loss(w, it.pooled().everything(torch.tensor([0]), 0)[0])[0]
    torch.testing.assert_close(together, apart)
    assert it.pooled().evaluate(w[0]) == pytest.approx(it.evaluate(w[0]))


def test_accuracy_counts_points_on_their_side() -> None:
    it = task("logistic")
    x, b = it.held_out
    w = torch.tensor([1.0, -0.5, 0.1], dtype=torch.float64)
    right = [(b[u, i] * (x[u, i] @ w[:2] + w[2]) > 0).item() for u in range(4) for i in range(5)]
    assert it.evaluate(w)["accuracy"] == pytest.approx(sum(right) / 20)
    assert 0 < sum(right) < 20
