"""Objectives against closed forms on quadratics, and against finite differences on a network."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from federated.objectives import MAML, Ditto, MoreauEnvelope, Objective, Proximal, Reptile, Vanilla
from federated.tasks.autograd import gradient_of
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask

ALPHA, LAM = 0.1, 3.0


@pytest.fixture
def quadratics() -> Quadratics:
    """Six users in five dimensions, without noise."""
    draw = torch.Generator().manual_seed(1)
    root = torch.randn(6, 5, 5, generator=draw, dtype=torch.float64)
    curvature = root @ root.mT / 5 + 0.1 * torch.eye(5)
    centre = torch.randn(6, 5, generator=draw, dtype=torch.float64)
    return Quadratics(curvature, centre, torch.zeros(6, 4, 5, dtype=torch.float64))


@pytest.fixture
def w() -> Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def everything(task: Quadratics, draws: int) -> list[object]:
    return task.everything(torch.arange(6), 0) * draws


def apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.einsum("cpq,cq->cp", matrix, vector)


def test_vanilla(quadratics: Quadratics, w: Tensor) -> None:
    gradient = Vanilla().gradient(quadratics, w, everything(quadratics, 1), w)
    expected = apply(quadratics.curvature, w - quadratics.centre)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


DESCENDING = [
    Vanilla(),
    Proximal(0.7),
    Reptile(),
    Ditto(),
    MoreauEnvelope(lam=LAM, inner_steps=4, inner_lr=0.1, tolerance=1e-3),
    MoreauEnvelope(lam=LAM, inner_steps=4, inner_lr=0.1, tolerance=0, inner_batches="fresh"),
]


@pytest.mark.parametrize("objective", DESCENDING, ids=lambda o: type(o).__name__)
def test_local_steps_as_one_descent_are_steps_along_the_objectives_gradient(
    quadratics: Quadratics, w: Tensor, objective: Objective
) -> None:
    """Every step on batches of its own, from and near what was read."""
    lr, steps, draws = 0.2, 3, objective.draws
    noise = torch.randn(steps * draws, 6, 5, generator=torch.Generator().manual_seed(3), dtype=w.dtype)
    batches = [(quadratics.curvature, quadratics.centre, part) for part in noise]
    how = objective.descent(lr, steps)
    assert how is not None
    now = w
    for step in range(steps):
        part = batches[step * draws : (step + 1) * draws]
        now = now - lr * objective.gradient(quadratics, now, part, w)
    torch.testing.assert_close(quadratics.descend(w, w, batches, how), now, rtol=0, atol=1e-12)
    assert not torch.allclose(now, w)


@pytest.mark.parametrize("mu", [0.0, 0.5, 4.0])
def test_a_proximal_gradient_pulls_back_to_what_was_read(
    quadratics: Quadratics, w: Tensor, mu: float
) -> None:
    """H(w − c) + μ(w − read); and no user gets another model than the common one."""
    read = w.flip(0) + 1
    data = everything(quadratics, 1)
    gradient = Proximal(mu).gradient(quadratics, w, data, read)
    expected = apply(quadratics.curvature, w - quadratics.centre) + mu * (w - read)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)
    assert torch.equal(Proximal(mu).personalise(quadratics, w, data), w)


@pytest.mark.parametrize("lam", [0.25, 3.0, 8.0])
def test_ditto_learns_as_vanilla_and_ends_where_the_envelope_is_least(
    quadratics: Quadratics, w: Tensor, lam: float
) -> None:
    """∇f_i(w), whatever λ; and θ̂ = (H + λI)⁻¹(Hc + λw), given time."""
    data = everything(quadratics, 1)
    objective = Ditto(lam, inner_lr=0.1, personal_steps=3000)
    gradient = objective.gradient(quadratics, w, data, w + 1)
    torch.testing.assert_close(gradient, apply(quadratics.curvature, w - quadratics.centre))
    metric = quadratics.curvature + lam * torch.eye(5)
    minimiser = torch.linalg.solve(metric, apply(quadratics.curvature, quadratics.centre) + lam * w)
    personal = objective.personalise(quadratics, w, data)
    torch.testing.assert_close(personal, minimiser, rtol=0, atol=1e-9)


def test_ditto_s_own_models_are_the_envelope_s_step_by_step(quadratics: Quadratics, w: Tensor) -> None:
    data = quadratics.everything(torch.arange(6), 0)
    envelope = MoreauEnvelope(LAM, inner_lr=0.05, tolerance=0, personal_steps=7)
    own = Ditto(LAM, inner_lr=0.05, personal_steps=7).personalise(quadratics, w, data)
    assert torch.equal(own, envelope.personalise(quadratics, w, data))
    fewer = Ditto(LAM, inner_lr=0.05, personal_steps=6).personalise(quadratics, w, data)
    assert (own - fewer).norm() > 1e-3, "seven steps are not all of the way"


@pytest.mark.parametrize("objective", [MoreauEnvelope, Ditto])
def test_steps_to_own_models_that_lead_away_from_them_are_refused(objective: type) -> None:
    with pytest.raises(ValidationError, match=r"inner_lr · lam = 0\.1 · 20 = 2 must be under 2"):
        objective(lam=20.0, inner_lr=0.1)
    objective(lam=19.9, inner_lr=0.1)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("curvature", ["exact", "finite-difference", "first-order"])
def test_maml(quadratics: Quadratics, w: Tensor, steps: int, curvature: str) -> None:
    objective = MAML(ALPHA, steps, curvature)  # type: ignore[arg-type]
    gradient = objective.gradient(quadratics, w, everything(quadratics, objective.draws), w)
    shrink = torch.linalg.matrix_power(torch.eye(5) - ALPHA * quadratics.curvature, steps)
    expected = apply(quadratics.curvature @ shrink, w - quadratics.centre)
    if curvature != "first-order":
        expected = apply(shrink, expected)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_maml_personalises(quadratics: Quadratics, w: Tensor, steps: int) -> None:
    personal = MAML(ALPHA, steps).personalise(quadratics, w, quadratics.everything(torch.arange(6), 0))
    shrink = torch.linalg.matrix_power(torch.eye(5) - ALPHA * quadratics.curvature, steps)
    expected = quadratics.centre + apply(shrink, w - quadratics.centre)
    torch.testing.assert_close(personal, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("inner_batches", ["same", "fresh"])
def test_moreau(quadratics: Quadratics, w: Tensor, inner_batches: Literal["same", "fresh"]) -> None:
    objective = MoreauEnvelope(LAM, 2000, 0.1, 1e-10, personal_steps=2000, inner_batches=inner_batches)
    assert objective.draws == (1 if inner_batches == "same" else 2000)
    pull = quadratics.curvature + LAM * torch.eye(5)
    minimiser = torch.linalg.solve(pull, apply(quadratics.curvature, quadratics.centre) + LAM * w)
    personal = objective.personalise(quadratics, w, quadratics.everything(torch.arange(6), 0))
    torch.testing.assert_close(personal, minimiser, rtol=0, atol=1e-6)
    gradient = objective.gradient(quadratics, w, everything(quadratics, objective.draws), w)
    expected = LAM * torch.linalg.solve(pull, apply(quadratics.curvature, w - quadratics.centre))
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(gradient, LAM * (w - minimiser), rtol=0, atol=1e-6)


def test_fresh_batches_are_used_one_after_the_other_and_then_again(quadratics: Quadratics, w: Tensor) -> None:
    """θ ← θ − a (H(θ − c) + noise_k + λ(θ − w)), step by step, in a gradient and in a user's own model."""
    users = torch.arange(6)
    noises = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    batches = [(quadratics.curvature[users], quadratics.centre[users], noise) for noise in noises]

    def by_hand(steps: int) -> Tensor:
        theta = w
        for k in range(steps):
            slope = apply(quadratics.curvature, theta - quadratics.centre) + noises[k % 3] + LAM * (theta - w)
            theta = theta - 0.05 * slope
        return theta

    objective = MoreauEnvelope(LAM, 3, 0.05, 0, personal_steps=5, inner_batches="fresh")
    torch.testing.assert_close(objective.gradient(quadratics, w, batches, w), LAM * (w - by_hand(3)))
    torch.testing.assert_close(objective.personalise(quadratics, w, batches), by_hand(5))


@pytest.mark.parametrize("tolerance", [1.0, 0.1, 0.001])
def test_moreau_is_as_accurate_as_it_says(quadratics: Quadratics, w: Tensor, tolerance: float) -> None:
    """‖∇h‖ ≤ ν puts θ within ν/(λ + smallest eigenvalue) of θ̂, and each client stops on its own."""
    objective = MoreauEnvelope(LAM, inner_steps=2000, inner_lr=0.1, tolerance=tolerance)
    theta = w - objective.gradient(quadratics, w, everything(quadratics, 1), w) / LAM
    pull = quadratics.curvature + LAM * torch.eye(5)
    minimiser = torch.linalg.solve(pull, apply(quadratics.curvature, quadratics.centre) + LAM * w)
    assert ((theta - minimiser).norm(dim=1) <= tolerance / LAM).all()
    alone = torch.cat([self_theta(quadratics, objective, w, user) for user in range(6)])
    torch.testing.assert_close(theta, alone, rtol=0, atol=1e-12)


def self_theta(task: Quadratics, objective: MoreauEnvelope, w: Tensor, user: int) -> Tensor:
    one = torch.tensor([user])
    return w[one] - objective.gradient(task, w[one], task.everything(one, 0), w[one]) / objective.lam


def test_maml_gradient_of_a_network_is_the_finite_difference_of_its_objective(board: RankingTask) -> None:
    """∇ [w ↦ f(w − α∇f(w))], central differences in float64 along random directions."""
    task = in_double(board)
    users = torch.tensor([0, 3])
    data = task.everything(users, 0)
    draw = torch.Generator().manual_seed(0)
    w = torch.stack([task.initial(0).double(), task.initial(1).double()])
    objective = MAML(alpha=0.05, maml_steps=2)
    gradient = objective.gradient(task, w, list(data) * objective.draws, w)
    for _ in range(5):
        direction = torch.randn(w.shape, generator=draw, dtype=torch.float64)
        ahead, behind = (
            task.loss(objective.personalise(task, w + step * direction, data), data[0])
            for step in (1e-6, -1e-6)
        )
        slope = (gradient * direction).sum(1)
        torch.testing.assert_close((ahead - behind) / 2e-6, slope, rtol=1e-5, atol=1e-7)


def test_finite_difference_curvature_approaches_the_exact_one_on_a_network(board: RankingTask) -> None:
    task = in_double(board)
    data = task.everything(torch.tensor([0, 3]), 0)
    w = torch.stack([task.initial(0).double(), task.initial(1).double()])
    exact, close, first = (
        MAML(0.05, 1, kind, 1e-5).gradient(task, w, list(data) * 3, w)  # type: ignore[arg-type]
        for kind in ("exact", "finite-difference", "first-order")
    )
    torch.testing.assert_close(close, exact, rtol=1e-5, atol=1e-7)
    assert (first - exact).norm() > 1e-3 * exact.norm(), "dropping the Hessian must matter"


def test_inputs_and_memory_are_left_alone(quadratics: Quadratics, w: Tensor) -> None:
    before = w.clone()
    data = quadratics.everything(torch.arange(6), 0)
    for objective in (Vanilla(), Proximal(), MAML(ALPHA), MoreauEnvelope(LAM), Ditto(LAM)):
        objective.gradient(quadratics, w, list(data) * objective.draws, w)
        personal = objective.personalise(quadratics, w, data)
        assert personal.data_ptr() != w.data_ptr(), "a personal model never shares memory"
        personal += 1
        assert torch.equal(w, before)
    assert not gradient_of(quadratics.loss, w, data[0]).requires_grad


def in_double(task: RankingTask) -> RankingTask:
    train = replace(task.train, features=task.train.features.double())
    return replace(task, train=train)
