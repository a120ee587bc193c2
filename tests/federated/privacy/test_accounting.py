"""The accounting against closed forms in 60 digits, a published table, integrals and itself."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from federated.privacy import accounting, poisson
from federated.privacy.accounting import (
    banded_mu,
    banded_squared_sensitivity,
    delta_of,
    epsilon_of,
    gaussian_mu,
    gaussian_squared_sensitivity,
    mu_of,
    noise_multiplier_of,
    toeplitz_root,
    tree_mu,
    tree_squared_sensitivity,
)
from federated.privacy.poisson import poisson_epsilon, poisson_noise_multiplier

GRID = [(e, d) for e in (1e-2, 0.3, 1.0, 8.0, 60.0, 400.0) for d in (1e-12, 1e-5, 1e-3, 0.2)]
MULTIPLIERS = {
    1: ("2.57", "5.76", "8.14", "11.5", "25.7", "36.4"),
    2: ("1.45", "3.23", "4.57", "6.46", "14.5", "20.4"),
    4: ("0.823", "1.84", "2.6", "3.68", "8.23", "11.6"),
    8: ("0.48", "1.07", "1.52", "2.15", "4.8", "6.79"),
}
"""σ at δ = 1e-3 for ε and k = 1, 5, 10, 20, 100, 200."""


def exact_delta(epsilon: float, mu: float) -> float:
    """δ(ε) in 60 digits."""
    with mpmath.workdps(60):
        e, m = mpmath.mpf(epsilon), mpmath.mpf(mu)
        return float(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m))


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_delta_in_60_digits(epsilon: float, delta: float) -> None:
    mu = mu_of(epsilon, delta)
    assert delta_of(epsilon, mu) == pytest.approx(exact_delta(epsilon, mu), rel=1e-9)
    assert exact_delta(epsilon, mu) == pytest.approx(delta, rel=1e-9)


def test_delta_at_epsilon_0_is_the_total_variation() -> None:
    for mu in (0.01, 0.5, 3.0):
        assert delta_of(0, mu) == pytest.approx(math.erf(mu / math.sqrt(8)), rel=1e-12)


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_inverses(epsilon: float, delta: float) -> None:
    mu = mu_of(epsilon, delta)
    assert epsilon_of(delta, mu) == pytest.approx(epsilon, rel=1e-10)
    assert delta_of(epsilon, mu * (1 + 1e-6)) > delta > delta_of(epsilon, mu * (1 - 1e-6))


def test_more_noise_is_more_private_and_more_participations_less() -> None:
    epsilons = [epsilon_of(1e-5, gaussian_mu(sigma, 10)) for sigma in np.geomspace(0.3, 300, 40)]
    assert all(more > less for more, less in pairwise(epsilons))
    epsilons = [epsilon_of(1e-5, gaussian_mu(5.0, k)) for k in range(1, 60)]
    assert all(less < more for less, more in pairwise(epsilons))
    epsilons = [epsilon_of(10.0**-digits, 1.0) for digits in range(1, 13)]
    assert all(less < more for less, more in pairwise(epsilons))


def test_so_little_is_told_that_epsilon_is_0() -> None:
    assert epsilon_of(1e-3, 1e-3) == 0.0
    assert epsilon_of(1e-3, 1e-2) > 0.0


def test_published_noise_multipliers() -> None:
    found = {
        epsilon: tuple(
            f"{noise_multiplier_of(epsilon, 1e-3, gaussian_squared_sensitivity(k)):.3g}"
            for k in (1, 5, 10, 20, 100, 200)
        )
        for epsilon in MULTIPLIERS
    }
    assert found == MULTIPLIERS


@pytest.mark.parametrize(
    "mu",
    [
        lambda sigma: gaussian_mu(sigma, 7),
        lambda sigma: tree_mu(sigma, 100, 7),
        lambda sigma: banded_mu(sigma, 7, 12),
    ],
)
def test_the_smallest_multiplier_is_the_one(mu: Callable[[float], float]) -> None:
    sigma = noise_multiplier_of(2.0, 1e-5, mu(1.0) ** 2)
    assert delta_of(2.0, mu(sigma)) == pytest.approx(1e-5, rel=1e-9)


def test_sensitivities_by_hand() -> None:
    assert gaussian_mu(2.0, 9) == 1.5
    nodes = [tree_squared_sensitivity(leaves, 1) for leaves in (1, 2, 3, 4, 7, 8, 100)]
    assert nodes == [1, 2, 2, 3, 3, 4, 7]
    assert tree_squared_sensitivity(8, 5) == 20
    assert tree_mu(3.0, 7, 3) == 1.0
    assert banded_squared_sensitivity(4, 1) == 4.0
    assert banded_squared_sensitivity(2, 3) == pytest.approx(2 * (1 + 1 / 4 + 9 / 64), rel=1e-15)
    assert banded_mu(0.5, 2, 3) == pytest.approx(2 * math.sqrt(2 * (1 + 1 / 4 + 9 / 64)), rel=1e-15)


def test_the_root_squared_is_the_matrix_of_prefix_sums() -> None:
    column = np.array(toeplitz_root(50))
    assert column == pytest.approx([math.comb(2 * j, j) / 4**j for j in range(50)], rel=1e-13)
    assert np.convolve(column, column)[:50] == pytest.approx(np.ones(50), rel=1e-13)


def integrated(order: float, sigma: float, rate: float) -> float:
    """Rényi divergence of one Poisson-sampled round, as the integral that defines it."""

    def density(x: float) -> float:
        ratio = 1 - rate + rate * math.exp((2 * x - 1) / (2 * sigma**2))
        return float(norm.pdf(x, scale=sigma)) * ratio**order

    bounds = (-12 * sigma, order + 12 * sigma)
    value, _ = quad(density, *bounds, points=[0, order / 2, order], limit=400, epsabs=0, epsrel=1e-12)
    return math.log(value) / (order - 1)


@pytest.mark.parametrize("order", [2.0, 3.7, 4.3, 8.5, 20.0])
@pytest.mark.parametrize(("sigma", "rate"), [(1.0, 0.1), (2.0, 0.6), (4.0, 0.01)])
def test_series_are_the_integral_or_just_above_it(
    order: float, sigma: float, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poisson, "ORDERS", (order,))
    divergence = 300 * integrated(order, sigma, rate)
    expected = divergence + math.log(1 - 1 / order) - math.log(1e-9 * order) / (order - 1)
    found = poisson_epsilon(sigma, rate, 300, 1e-9)
    if order.is_integer():
        assert found == pytest.approx(expected, rel=1e-9)
    else:  # absolute values make it a little more
        assert expected * (1 - 1e-9) <= found <= expected * 1.01


def test_sampling_amplifies_and_its_limit_is_nearly_the_gaussian() -> None:
    exact = epsilon_of(1e-5, gaussian_mu(4.0, 50))
    assert exact < poisson_epsilon(4.0, 1.0, 50, 1e-5) < 1.1 * exact
    epsilons = [poisson_epsilon(4.0, rate, 50, 1e-5) for rate in (0.01, 0.1, 0.5, 0.99, 1.0)]
    assert all(less < more for less, more in pairwise(epsilons))


@pytest.mark.parametrize(("epsilon", "rate", "steps"), [(0.5, 0.02, 1000), (2.0, 0.1, 200), (9.0, 1.0, 3)])
def test_the_smallest_multiplier_of_samples(epsilon: float, rate: float, steps: int) -> None:
    sigma = poisson_noise_multiplier(epsilon, rate, steps, 1e-5)
    assert poisson_epsilon(sigma, rate, steps, 1e-5) <= epsilon
    assert poisson_epsilon(sigma * (1 - 1e-8), rate, steps, 1e-5) > epsilon


NAN, INF = math.nan, math.inf
IMPOSSIBLE: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (delta_of, (-1.0, 1.0), "epsilon"),
    (delta_of, (NAN, 1.0), "epsilon"),
    (delta_of, (1.0, 0.0), "mu"),
    (epsilon_of, (0.0, 1.0), "delta"),
    (epsilon_of, (1.0, 1.0), "delta"),
    (epsilon_of, (1e-5, INF), "mu"),
    (mu_of, (0.0, 1e-5), "epsilon"),
    (mu_of, (INF, 1e-5), "epsilon"),
    (mu_of, (1.0, NAN), "delta"),
    (noise_multiplier_of, (1.0, 1e-5, 0.0), "squared_sensitivity"),
    (gaussian_mu, (0.0, 1), "noise_multiplier"),
    (gaussian_mu, (NAN, 1), "noise_multiplier"),
    (gaussian_mu, (1.0, 0), "participations"),
    (gaussian_mu, (1.0, 1.5), "participations"),
    (tree_mu, (1.0, 0, 1), "leaves"),
    (tree_mu, (1.0, 1, -1), "participations"),
    (banded_mu, (1.0, 1, 0), "band"),
    (poisson_epsilon, (1.0, 0.0, 1, 1e-5), "rate"),
    (poisson_epsilon, (1.0, 1.1, 1, 1e-5), "rate"),
    (poisson_epsilon, (1.0, NAN, 1, 1e-5), "rate"),
    (poisson_epsilon, (1.0, 0.5, 0, 1e-5), "steps"),
    (poisson_epsilon, (-1.0, 0.5, 1, 1e-5), "noise_multiplier"),
    (poisson_noise_multiplier, (0.0, 0.5, 1, 1e-5), "epsilon"),
    (poisson_noise_multiplier, (1.0, 0.5, 1, 2.0), "delta"),
]


@pytest.mark.parametrize(("function", "arguments", "name"), IMPOSSIBLE)
def test_the_impossible_is_one_sentence(
    function: Callable[..., Any], arguments: tuple[Any, ...], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must [^.]*(\d\.\d)?[^.]*\.") as refused:
        function(*arguments)
    assert "\n" not in str(refused.value)


def test_the_accounting_uses_no_torch() -> None:
    assert "torch" not in vars(accounting) | vars(poisson)
