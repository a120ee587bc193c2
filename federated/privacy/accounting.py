"""How private a training with Gaussian noise is: ε and δ of client-level differential privacy.

Two datasets are neighbours if one has all that the other has and one user more (add/remove one user). An
absent user adds nothing to any sum, and the turns it would have had stay empty: without sampling, that is
what the guarantee compares, also called zero-out. Every update is clipped to a Euclidean norm of at most C,
and the noise multiplier σ is the standard deviation of a mechanism's noise divided by C. For two datasets
that differ in a whole user (replace one) the sensitivity is twice as large: μ doubles.

Every mechanism without sampling is reduced to one Gaussian with sensitivity μ and standard deviation 1
(Dong, Roth & Su 2022, μ-GDP): μ = √s² / σ, with the squared sensitivity s² in units of C². This holds for a
user whose participations are chosen in advance and for one whose participations depend on what has been
published (Denisov 2022), as long as the server enforces their number and their distance.

Functions take and return numbers, and raise ValueError with one sentence for an impossible argument.
"""

import math
from collections.abc import Callable

from scipy.special import log_ndtr

from federated.privacy.arguments import between_0_and_1, count, positive

RELATIVE = 1e-13
"""Relative tolerance of inverse functions."""


def delta_of(epsilon: float, mu: float) -> float:
    """The least δ with which a Gaussian mechanism is (ε, δ)-private (Balle & Wang 2018, equation 6).

    δ(ε) = Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2), in logarithms.

    Args:
        epsilon: ε ≥ 0.
        mu: μ > 0, the sensitivity divided by the standard deviation.
    """
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a finite number and not negative, not {epsilon}.")
    return math.exp(_log_delta(epsilon, positive("mu", mu)))


def epsilon_of(delta: float, mu: float) -> float:
    """The least ε ≥ 0 with which a Gaussian mechanism is (ε, δ)-private; 0 if it is (0, δ)-private.

    Args:
        delta: δ, between 0 and 1.
        mu: μ > 0, the sensitivity divided by the standard deviation.
    """
    wanted = math.log(between_0_and_1("delta", delta))
    if _log_delta(0.0, positive("mu", mu)) <= wanted:
        return 0.0
    enough = mu * mu / 2 + mu * math.sqrt(-2 * wanted)  # by zero-concentrated privacy, Bun & Steinke 2016
    return _root(lambda epsilon: _log_delta(epsilon, mu) - wanted, 0.0, 2 * enough)


def mu_of(epsilon: float, delta: float) -> float:
    """The greatest μ with which a Gaussian mechanism is (ε, δ)-private.

    Args:
        epsilon: ε > 0.
        delta: δ, between 0 and 1.
    """
    wanted = math.log(between_0_and_1("delta", delta))
    low = _least_mu(positive("epsilon", epsilon), -wanted) / 2
    high = 2 * low
    while _log_delta(epsilon, high) <= wanted:
        high *= 2
    return math.exp(
        _root(lambda log: _log_delta(epsilon, math.exp(log)) - wanted, math.log(low), math.log(high))
    )


def gaussian_squared_sensitivity(participations: int) -> float:
    """s² = k of independent noise at every merge: each of k participations changes one sum, by at most C.

    Args:
        participations: k ≥ 1, the most that a user may have, in any order.
    """
    return float(count("participations", participations))


def tree_squared_sensitivity(leaves: int, participations: int) -> float:
    """s² = k (⌊log₂ T⌋ + 1) of binary trees with T leaves, a user in each tree at most once.

    A merge is a leaf and the noise of a node counts once, when the node's last leaf has come. A leaf lies in
    at most one node of each size 1, 2, 4, … ≤ T: ⌊log₂ T⌋ + 1 = ⌈log₂(T + 1)⌉ = ``T.bit_length()`` of them.
    That is the ⌈lg(n + 1)⌉ of Kairouz 2021 (appendix D) and what dp-accounting's
    `SingleEpochTreeAggregationDpEvent` counts. The ⌈log₂ T⌉ + 1 of other papers is the height of a tree that
    is filled up to a power of two: the same where T is one, and else 1 more than needed, since the online
    algorithm never publishes a node whose leaves have not all come. Trees have noise of their own, so k
    trees add up.

    Args:
        leaves: T ≥ 1, merges until a tree is restarted.
        participations: k ≥ 1, the most trees in which a user may be.
    """
    return float(count("leaves", leaves).bit_length() * count("participations", participations))


def toeplitz_root(band: int) -> tuple[float, ...]:
    """c_j = binom(2j, j) / 4^j for j < band: first column of the square root of the prefix-sum matrix.

    The lower triangular Toeplitz matrix with these entries, all of them, squared is the matrix of ones
    (Fichtenberger, Henzinger & Upadhyay 2023); cut off after ``band`` entries it is the C of banded matrix
    factorisation (Kalinin & Lampert 2024).
    """
    column = [1.0]
    for j in range(1, count("band", band)):
        column.append(column[-1] * (2 * j - 1) / (2 * j))
    return tuple(column)


def banded_squared_sensitivity(participations: int, band: int) -> float:
    """s² = k Σ c_j² of a banded Toeplitz C (see `toeplitz_root`), participations ≥ ``band`` merges apart.

    The columns of C that belong to such participations have no row in common, so that their squared norms
    add up whatever the updates are (Choquette-Choo 2023, "(Amplified) Banded Matrix Factorization"). A
    column that the last merge cuts off is shorter.

    Args:
        participations: k ≥ 1.
        band: b ≥ 1, entries of a column; 1 is independent noise.
    """
    return count("participations", participations) * math.fsum(c * c for c in toeplitz_root(band))


def mu_from(squared_sensitivity: float, noise_multiplier: float) -> float:
    """μ = √s² / σ."""
    squared = positive("squared_sensitivity", squared_sensitivity)
    return math.sqrt(squared) / positive("noise_multiplier", noise_multiplier)


def gaussian_mu(noise_multiplier: float, participations: int) -> float:
    """μ = √k / σ of k participations of a user, in any fixed or adaptive order.

    No amplification by sampling is claimed: the server may choose whom it likes, and tell.
    """
    return mu_from(gaussian_squared_sensitivity(participations), noise_multiplier)


def tree_mu(noise_multiplier: float, leaves: int, participations: int) -> float:
    """μ of `tree_squared_sensitivity`; σ is that of one node."""
    return mu_from(tree_squared_sensitivity(leaves, participations), noise_multiplier)


def banded_mu(noise_multiplier: float, participations: int, band: int) -> float:
    """μ of `banded_squared_sensitivity`; σ is that of z in the noise C⁻¹z."""
    return mu_from(banded_squared_sensitivity(participations, band), noise_multiplier)


def noise_multiplier_of(epsilon: float, delta: float, squared_sensitivity: float) -> float:
    """The smallest σ that is (ε, δ)-private, √s² / μ.

    Args:
        epsilon: ε > 0.
        delta: δ, between 0 and 1.
        squared_sensitivity: s² of a mechanism, e.g. ``gaussian_squared_sensitivity(20)``.
    """
    return math.sqrt(positive("squared_sensitivity", squared_sensitivity)) / mu_of(epsilon, delta)


def _log_delta(epsilon: float, mu: float) -> float:
    above, below = float(log_ndtr(mu / 2 - epsilon / mu)), float(log_ndtr(-mu / 2 - epsilon / mu))
    ratio = epsilon + below - above
    return above + math.log(-math.expm1(ratio)) if ratio < 0 else -math.inf


def _least_mu(epsilon: float, log_inverse: float) -> float:
    """μ that zero-concentrated privacy allows: μ²/2 + μ√(2 ln 1/δ) = ε, never more than the greatest."""
    return 2 * epsilon / (math.sqrt(2 * log_inverse + 2 * epsilon) + math.sqrt(2 * log_inverse))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where the function, of different signs at both ends, is zero."""
    from scipy.optimize import brentq  # which takes a while, and most trainings need none

    return float(brentq(function, low, high, xtol=1e-300, rtol=RELATIVE, maxiter=500))
