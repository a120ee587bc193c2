"""Discrete Gaussian noise from the operating system, by OpenDP; it is never drawn from a seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.arrays import Int
from data.privacy import Spending, require_mechanism


def passing(tellers: Mapping[int, int], spent: Spending) -> dict[int, int]:
    """Of things those that reach the threshold with noise, and with how many users, in the order of things.

    Args:
        tellers: by thing, how many users tell of it; only those of which somebody does.
        spent: σ and the threshold.

    Raises:
        PrivacyError: OpenDP is not installed.
    """
    dp = _opendp()
    whole = dp.atom_domain(T="i64")
    distance = dp.l02inf_distance(dp.absolute_distance(T="i64"))
    noisy = dp.m.make_gaussian_threshold(
        dp.map_domain(whole, whole), distance, scale=spent.noise, threshold=spent.threshold
    )
    return dict(sorted(noisy(dict(tellers)).items()))


def disturbed(count: Int, noise: float) -> Int:
    """Counts (N,) with discrete Gaussian noise of this σ; errors as of `passing`."""
    if not len(count):
        return count
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    noisy = dp.m.make_gaussian(domain, dp.l2_distance(T="i64"), scale=noise)
    return np.array(noisy(count.tolist()), np.int64)


def _opendp() -> Any:
    require_mechanism()
    import opendp.prelude as dp

    dp.enable_features("contrib")
    return dp
