"""How a server steps along aggregated updates: by hand, and beside the paper, number by number."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.optimisers import Moments, ServerOptimiser


def walked(optimiser: ServerOptimiser, lr: float, updates: list[list[float]]) -> list[list[float]]:
    """What is subtracted from the model for each of these updates, one after the other."""
    moments, steps = Moments(), []
    for update in updates:
        delta = torch.tensor(update, dtype=torch.float64)
        step, moments = optimiser.server_step(lr, moments, lambda factor, delta=delta: factor * delta)
        steps.append(step.tolist())
    return steps


# by hand


def test_plain_steps_remember_nothing() -> None:
    optimiser = ServerOptimiser()
    step, moments = optimiser.server_step(0.5, Moments(), lambda factor: torch.full((2,), 4.0) * factor)
    assert step.tolist() == [2.0, 2.0]
    assert moments == Moments()
    assert moments.pack() == {}


def test_momentum_by_hand() -> None:
    """m = 1, then ½·1 + 2 = 2.5, then ½·2.5 − 3 = −1.75; each step is a tenth of it."""
    steps = walked(ServerOptimiser("momentum", 0.5), 0.1, [[1.0], [2.0], [-3.0]])
    assert [s for (s,) in steps] == pytest.approx([0.1, 0.25, -0.175], rel=1e-12)


def test_adam_by_hand() -> None:
    """β₁ = ½, β₂ = ¾, τ = 1: m = 1, 2, −1; v = ¾·1 + ¼·4 = 1.75, then 3.5625, then 6.671875."""
    steps = walked(ServerOptimiser("adam", 0.5, 0.75, 1.0), 0.1, [[2.0], [3.0], [-4.0]])
    moments = [(1.0, 1.75), (2.0, 3.5625), (-1.0, 6.671875)]
    assert [s for (s,) in steps] == pytest.approx([0.1 * m / (v**0.5 + 1) for m, v in moments], rel=1e-12)


def test_yogi_by_hand() -> None:
    """β₂ = ¾, τ = 2: v = 4 − ¼·1 = 3.75 (v was over Δ²), 3.75 + ¼·16 = 7.75 (under it), 7.75 (Δ is 0)."""
    steps = walked(ServerOptimiser("yogi", 0.5, 0.75, 2.0), 0.1, [[1.0], [4.0], [0.0]])
    moments = [(0.5, 3.75), (2.25, 7.75), (1.125, 7.75)]
    assert [s for (s,) in steps] == pytest.approx([0.1 * m / (v**0.5 + 2) for m, v in moments], rel=1e-12)


def test_where_yogi_meets_its_own_estimate_it_stays() -> None:
    """sign(0) is 0: with v = τ² = Δ² from the start every v is 4."""
    steps = walked(ServerOptimiser("yogi", 0.0, 0.9, 2.0), 1.0, [[2.0], [-2.0], [2.0]])
    assert [s for (s,) in steps] == pytest.approx([0.5, -0.5, 0.5], rel=1e-12)


# beside the paper


def naive(kind: str, lr: float, b1: float, b2: float, tau: float, updates: list[float]) -> list[float]:
    """Algorithm 2 of Reddi 2021 for one parameter, and Hsu's momentum; Δ points downhill there, so − is +."""
    m, v, steps = 0.0, tau * tau, []
    for uphill in updates:
        delta = -uphill
        if kind == "momentum":
            m = b1 * m + delta
            steps.append(-lr * m)
            continue
        m = b1 * m + (1 - b1) * delta
        if kind == "adam":
            v = b2 * v + (1 - b2) * delta**2
        else:
            v = v - (1 - b2) * delta**2 * math.copysign(1, v - delta**2)
        steps.append(-lr * m / (math.sqrt(v) + tau))
    return steps


@pytest.mark.parametrize("kind", ["momentum", "adam", "yogi"])
def test_every_parameter_goes_its_own_way_as_in_the_paper(kind: Any) -> None:
    draw = torch.Generator().manual_seed(1)
    updates = torch.randn(30, 5, generator=draw, dtype=torch.float64) * torch.logspace(-4, 1, 5).double()
    steps = walked(ServerOptimiser(kind, 0.9, 0.99, 1e-3), 0.03, updates.tolist())
    for place in range(5):
        expected = naive(kind, 0.03, 0.9, 0.99, 1e-3, updates[:, place].tolist())
        assert [step[place] for step in steps] == pytest.approx(expected, rel=1e-9)


# what one becomes of another


UPDATES = [[0.3, -2.0], [0.1, 0.5], [-0.7, 1.0], [0.2, 0.2]]


def close(a: list[list[float]], b: list[list[float]], rel: float) -> None:
    torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=rel, atol=0)


def test_momentum_0_is_sgd() -> None:
    assert walked(ServerOptimiser("momentum", 0.0), 0.25, UPDATES) == walked(ServerOptimiser(), 0.25, UPDATES)


@pytest.mark.parametrize("kind", ["adam", "yogi"])
def test_a_large_adaptivity_is_sgd(kind: Any) -> None:
    """√v stays near τ, so that β m / (√v + τ) is β m / 2τ."""
    large = ServerOptimiser(kind, 0.0, 0.999999, 1e6)
    close(walked(large, 0.25 * 2e6, UPDATES), walked(ServerOptimiser(), 0.25, UPDATES), rel=1e-5)


def test_momentum_is_adam_with_a_large_adaptivity_but_for_the_scale() -> None:
    """Adam's m is a mean of updates, momentum's a sum: 1/(1 − β₁) times as much."""
    large = ServerOptimiser("adam", 0.6, 0.999999, 1e6)
    close(walked(large, 2e6, UPDATES), walked(ServerOptimiser("momentum", 0.6), 0.4, UPDATES), rel=1e-5)


@pytest.mark.parametrize("kind", ["adam", "yogi"])
def test_in_the_long_run_steps_are_server_lr_however_large_updates_are(kind: Any) -> None:
    steps = walked(ServerOptimiser(kind, 0.9, 0.99, 1e-6), 0.02, [[0.01, -0.3]] * 3000)
    assert steps[-1] == pytest.approx([0.02, -0.02], rel=1e-2)


def test_nothing_is_learned_of_nothing() -> None:
    """A parameter that no update touches never moves, and is never divided by 0."""
    for kind in ("momentum", "adam", "yogi"):
        steps = walked(ServerOptimiser(kind), 1.0, [[0.0]] * 500)  # type: ignore[arg-type]
        assert steps == [[0.0]] * 500


# settings and state


def test_what_is_remembered_is_packed_and_unpacked() -> None:
    moments = Moments(torch.ones(2), torch.full((2,), 3.0))
    assert set(moments.pack()) == {"moment.first", "moment.second"}
    again = Moments.unpack(moments.pack() | {"w": torch.zeros(2)})
    assert again.first is moments.first
    assert again.second is moments.second
    assert Moments.unpack({"w": torch.zeros(2)}) == Moments()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_momentum", 1.0),
        ("server_momentum", -0.1),
        ("server_beta2", 1.0),
        ("server_beta2", float("nan")),
        ("adaptivity", 0.0),
        ("server_optimiser", "adagrad"),
    ],
)
@pytest.mark.parametrize("schedule", [Cohort, Arrivals])
def test_bounds(schedule: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        schedule(**{name: value})


def test_models_are_mixed_plainly() -> None:
    with pytest.raises(ValidationError, match="takes no step: leave server_optimiser = sgd"):
        Arrivals(merge="model", server_lr=0.5, server_optimiser="adam")


def test_moments_are_as_wide_as_the_model() -> None:
    """Of a model in 32 bits they are of 32 bits too, so that checkpoints keep all of them."""
    optimiser = ServerOptimiser("yogi")
    step, moments = optimiser.server_step(0.1, Moments(), lambda factor: factor * torch.ones(3))
    tensors: list[Tensor] = [step, *moments.pack().values()]
    assert {(t.shape, t.dtype) for t in tensors} == {((3,), torch.float32)}
