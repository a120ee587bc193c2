"""Amplification by Poisson sampling: rounds for which every user is drawn independently and in secret.

Nowhere else does this file's ε mean anything. A cohort of fixed size, users in turn, or whoever arrives next
are not Poisson samples: `accounting.gaussian_mu` covers them.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr, logsumexp

from federated.privacy.arguments import between_0_and_1, count, positive

TOLERANCE = 1e-12
"""Of the logarithm of a noise multiplier."""

ORDERS = (
    *(1 + tenths / 10 for tenths in range(1, 100)),
    *map(float, range(11, 64)),
    128.0,
    256.0,
    512.0,
    1024.0,
)
"""Rényi orders that are tried, as in dp-accounting 0.6."""

TERMS = 1000
"""Most terms of the series of a fractional order, as in dp-accounting 0.6."""


def poisson_epsilon(noise_multiplier: float, rate: float, steps: int, delta: float) -> float:
    """ε of Gaussian noise on the sum of a Poisson sample, by Rényi privacy (Mironov, Talwar & Zhang 2019).

    Only where every user is drawn independently of all others and of the past, and in secret, in every
    round.

    Args:
        noise_multiplier: σ > 0.
        rate: q in (0, 1], the probability with which a user is drawn in a round.
        steps: rounds ≥ 1.
        delta: δ, between 0 and 1.

    Returns:
        The least ε ≥ 0 over `ORDERS`, converted by Canonne, Kamath & Steinke 2020, proposition 12; an upper
        bound, and what dp-accounting's RdpAccountant returns.
    """
    sigma, rounds = positive("noise_multiplier", noise_multiplier), count("steps", steps)
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be more than 0 and at most 1, not {rate}.")
    between_0_and_1("delta", delta)
    return min(_converted(order, rounds * max(0.0, _renyi(order, sigma, rate)), delta) for order in ORDERS)


def poisson_noise_multiplier(epsilon: float, rate: float, steps: int, delta: float) -> float:
    """The smallest σ with which `poisson_epsilon` is at most ε, to `TOLERANCE`.

    See there for its arguments, and for when it may be used.
    """
    from scipy.optimize import brentq  # which takes a while, and most trainings need none

    positive("epsilon", epsilon)

    def excess(log_sigma: float) -> float:
        return poisson_epsilon(math.exp(log_sigma), rate, steps, delta) - epsilon

    low, high = -1.0, 1.0
    while excess(low) <= 0:
        low, high = low - 1, low
    while excess(high) > 0:
        low, high = high, high + 1
    root = float(brentq(excess, low, high, xtol=TOLERANCE))
    while excess(root) > 0:  # the root may lie on the wrong side, by less than the tolerance
        root += TOLERANCE
    return math.exp(root)


def _renyi(order: float, sigma: float, rate: float) -> float:
    """Rényi divergence of one round; infinite where the series has not converged."""
    if rate == 1:
        return order / (2 * sigma * sigma)
    moment = _whole_moment if order.is_integer() else _fractional_moment
    return moment(order, sigma, rate) / (order - 1)


def _whole_moment(order: float, sigma: float, rate: float) -> float:
    """ln A_α of a whole α (Mironov 2019, section 3.3): a binomial sum."""
    i = np.arange(order + 1)
    rest = (order - i) * math.log1p(-rate) + i * math.log(rate)
    return float(logsumexp(_log_binomial(order, i) + rest + (i * i - i) / (2 * sigma * sigma)))


def _fractional_moment(order: float, sigma: float, rate: float) -> float:
    """ln A_α of a fractional α (Mironov 2019, section 3.3): two series, left and right of where both
    densities are equal. The absolute values of their terms are added, as in dp-accounting: never less than
    A_α.
    """
    i = np.arange(float(TERMS))
    j = order - i
    turn = sigma * sigma * math.log(1 / rate - 1) + 0.5
    drawn, spared = math.log(rate), math.log1p(-rate)

    def term(
        power: NDArray[np.float64], log_rate: float, log_rest: float, side: float
    ) -> NDArray[np.float64]:
        tail = log_ndtr(side * (turn - power) / sigma)
        weight = power * log_rate + (order - power) * log_rest
        return np.asarray(weight + (power * power - power) / (2 * sigma * sigma) + tail)

    binomial = _log_binomial(order, i)
    below = binomial + term(i, drawn, spared, 1)
    above = binomial + term(j, drawn, spared, -1)
    total = float(logsumexp([below, above]))
    falling = below[-1] < below[-2] and above[-1] < above[-2]
    return total if falling and max(below[-1], above[-1]) < total - 30 else math.inf


def _log_binomial(n: float, k: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln |binom(n, k)|."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _converted(order: float, divergence: float, delta: float) -> float:
    if delta * delta + math.expm1(-divergence) > 0:  # by Bretagnolle & Huber: δ ≤ √(1 − e^−divergence)
        return 0.0
    if order <= 1.01:
        return math.inf
    epsilon = divergence + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
    return max(0.0, epsilon)
