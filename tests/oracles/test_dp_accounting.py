"""Google's dp-accounting as an oracle of fixed participations, Poisson samples and trees."""

import math

import numpy as np
import pytest

from federated.privacy.accounting import (
    epsilon_of,
    gaussian_mu,
    gaussian_squared_sensitivity,
    noise_multiplier_of,
    tree_mu,
    tree_squared_sensitivity,
)
from federated.privacy.poisson import poisson_epsilon, poisson_noise_multiplier

dp = pytest.importorskip("dp_accounting")
SETTINGS = range(100)
CLOSE = {"rel": 1e-6, "abs": 1e-6}


def between(draw: np.random.Generator, low: float, high: float) -> float:
    """A number of no preferred magnitude."""
    return float(np.exp(draw.uniform(math.log(low), math.log(high))))


@pytest.mark.parametrize("setting", SETTINGS)
def test_fixed_participations(setting: int) -> None:
    draw = np.random.default_rng([1, setting])
    sigma, delta = between(draw, 0.3, 60), between(draw, 1e-12, 0.1)
    participations = int(between(draw, 1, 1000))
    found = epsilon_of(delta, gaussian_mu(sigma, participations))
    oracle = dp.get_epsilon_gaussian(sigma / math.sqrt(participations), delta)
    assert found == pytest.approx(oracle, **CLOSE)
    if found > 0:
        back = noise_multiplier_of(found, delta, gaussian_squared_sensitivity(participations))
        assert back == pytest.approx(dp.get_sigma_gaussian(found, delta) * math.sqrt(participations), **CLOSE)


@pytest.mark.parametrize("setting", SETTINGS)
def test_poisson_samples(setting: int) -> None:
    draw = np.random.default_rng([2, setting])
    sigma, delta = between(draw, 0.4, 20), between(draw, 1e-10, 0.01)
    rate, steps = between(draw, 1e-3, 1), int(between(draw, 1, 3000))
    accountant = dp.rdp.RdpAccountant()
    round_ = dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(sigma))
    oracle = accountant.compose(dp.SelfComposedDpEvent(round_, steps)).get_epsilon(delta)
    assert poisson_epsilon(sigma, rate, steps, delta) == pytest.approx(oracle, **CLOSE)


def test_poisson_noise_multiplier() -> None:
    def event(sigma: float) -> object:
        return dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.1, dp.GaussianDpEvent(sigma)), 200)

    bracket = dp.ExplicitBracketInterval(1, 5)
    oracle = dp.calibrate_dp_mechanism(dp.rdp.RdpAccountant, event, 2, 1e-3, bracket, tol=1e-7)
    assert poisson_noise_multiplier(2, 0.1, 200, 1e-3) == pytest.approx(oracle, rel=1e-6)


def test_steps_that_are_composed_one_by_one_are_one_gaussian() -> None:
    """By its privacy loss distributions, which know nothing of √k; they round ε up on a grid of 1e-4."""
    accountant = dp.pld.PLDAccountant()
    accountant.compose(dp.SelfComposedDpEvent(dp.GaussianDpEvent(6.46), 20))
    exact = epsilon_of(1e-3, gaussian_mu(6.46, 20))
    assert exact <= accountant.get_epsilon(1e-3) < exact + 1e-3


@pytest.mark.parametrize("leaves", [1, 2, 3, 7, 8, 9, 100, 1023, 1024])
@pytest.mark.parametrize("trees", [1, 3])
def test_trees(leaves: int, trees: int) -> None:
    """The same number of nodes; dp-accounting converts from Rényi privacy, which costs a few percent of ε.

    It knows trees for the neighbour whose updates are all zero (REPLACE_SPECIAL), which to a sum is one who
    is absent: our add/remove.
    """
    relation = dp.NeighboringRelation.REPLACE_SPECIAL
    tree, plain = (dp.rdp.RdpAccountant(neighboring_relation=relation) for _ in range(2))
    tree.compose(dp.SelfComposedDpEvent(dp.SingleEpochTreeAggregationDpEvent(9.0, leaves), trees))
    nodes = tree_squared_sensitivity(leaves, trees)
    plain.compose(dp.GaussianDpEvent(9.0 / math.sqrt(nodes)))
    oracle = tree.get_epsilon(1e-5)
    assert oracle == pytest.approx(plain.get_epsilon(1e-5), rel=1e-12)
    exact = epsilon_of(1e-5, tree_mu(9.0, leaves, trees))
    assert exact < oracle < 1.15 * exact
