"""How sure differences between rankings are: over users, and where many are compared at once.

Intervals are percentile bootstraps over users (Efron 1979), p-values are of the randomisation test that
flips the signs of users' differences (Fisher 1935; for retrieval: Smucker, Allan, Carterette 2007), and
many of them are corrected after Holm (1979).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.randomness import generator

Floats = NDArray[np.float64]
RESAMPLES = 10_000

CELLS = 2**22
"""Resamples × users in memory at once."""


def _rows(users: int, resamples: int) -> list[int]:
    """How many resamples are made at once, for as many times as there are entries."""
    at_once = max(1, CELLS // users)
    return [min(at_once, resamples - done) for done in range(0, resamples, at_once)]


def _counts(users: int, seed: int, resamples: int) -> Iterator[Floats]:
    """(R, U), some at a time: how often each user is in each resample of `metrics.paired_bootstrap`."""
    random = generator(seed, "bootstrap")
    for rows in _rows(users, resamples):
        draw = random.integers(users, size=(rows, users)) + users * np.arange(rows)[:, None]
        yield np.bincount(draw.ravel(), minlength=rows * users).reshape(rows, users).astype(float)


def bootstrap(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Floats, Floats, Floats]:
    """Means over users with 95 % percentile bootstrap intervals, of D quantities at once.

    Args:
        values: (U, D); NaN where a quantity does not exist for a user, who then does not count there.
        seed: of the bootstrap.
        resamples: how many.

    Returns:
        mean, low and high, (D,) each; NaN where there is nobody, low and high also where there is one user.
    """
    given = np.asarray(values, dtype=float)
    there = np.isfinite(given)
    filled, shares = np.where(there, given, 0), there.astype(float)
    with np.errstate(invalid="ignore"):  # nobody: 0 / 0
        mean = filled.sum(0) / there.sum(0)
        drawn = [(some @ filled) / (some @ shares) for some in _counts(len(given), seed, resamples)]
    means = np.ascontiguousarray(np.concatenate(drawn).T)
    low, high = np.full((2, given.shape[1]), np.nan)
    sure = there.sum(0) > 1
    always = sure & np.isfinite(means).all(1)
    low[always], high[always] = np.percentile(means[always], [2.5, 97.5], axis=1)
    for column in np.flatnonzero(sure & ~always):  # so few users that none of them is in some resamples
        low[column], high[column] = np.nanpercentile(means[column], [2.5, 97.5])
    return mean, low, high


def _signs(users: int, seed: int, resamples: int) -> Iterator[Floats]:
    """(R, U) of ±1, some at a time; all that there are, where these are fewer than the resamples."""
    if 2**users < resamples:
        yield (np.arange(2**users)[:, None] >> np.arange(users) & 1) * 2.0 - np.ones(users)
        return
    random = generator(seed, "sign flips")
    for rows in _rows(users, resamples):
        yield random.integers(2, size=(rows, users), dtype=np.int8) * 2.0 - np.ones(users)


def sign_flips(differences: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """Two-sided p-values (D,) of mean differences: how often means are as large if signs are flipped.

    Args:
        differences: (U, D) finite, of the same users.
        seed: of the flips; with few users all flips are tried.
        resamples: how many flips; no p-value is below 1 / (resamples + 1).
    """
    given = np.asarray(differences, dtype=float)
    # Sums of the same numbers in another order are not quite equal: such flips are as large, too.
    enough = np.abs(given.sum(0)) - 1e-12 * np.abs(given).sum(0)
    as_large, flips = np.zeros(given.shape[1]), 0
    for signs in _signs(len(given), seed, resamples):
        as_large += (np.abs(signs @ given) >= enough).sum(0)
        flips += len(signs)
    return as_large / flips if flips < resamples else (1 + as_large) / (1 + flips)


def holm(p: ArrayLike) -> Floats:
    """p-values (D,) corrected after Holm: one below .05 is an error, of all D, at most once in twenty."""
    given = np.asarray(p, dtype=float)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given))))
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
