"""Which group of inputs contributes what to a score: exact Shapley values (Shapley 1953; Lundberg 2017)."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_GROUPS = 12
"""Of inputs that differ: there is one evaluation for each of their 2^G sets."""


def shapley(scores: Callable[[NDArray[np.float32]], Array], row: Array, base: Array, group: Array) -> Array:
    """What each group of inputs contributes to scores(row) − scores(base), which is what they sum to.

    A contribution is how much the score changes when the group goes from its values in ``base`` to those in
    ``row``, on average over all orders in which the groups do so.

    Args:
        scores: of rows (R, I), (R,).
        row: (I,) the inputs that are explained.
        base: (I,) those that they are compared with.
        group: (I,) int, the group 0 … of each input.

    Returns:
        (G,) for all groups; a group without a difference contributes exactly 0.

    Raises:
        ValueError: more groups differ than MOST_GROUPS.
    """
    groups = int(group.max()) + 1
    differing = np.unique(group[row != base])
    count = len(differing)
    if count > MOST_GROUPS:
        raise ValueError(f"{count} groups of inputs differ: exact values are for at most {MOST_GROUPS}.")
    place = np.full(groups, count)
    place[differing] = np.arange(count)
    sets = np.arange(2**count)
    member = np.zeros((2**count, count + 1), bool)  # the last column is of groups without a difference
    member[:, :count] = sets[:, None] >> np.arange(count) & 1
    value = scores(np.where(member[:, place[group]], row, base).astype(np.float32))
    size = member.sum(1)
    factor = [math.factorial(s) * math.factorial(count - s - 1) for s in range(count)]
    weight = np.array(factor, float) / math.factorial(count)
    found = np.zeros(groups)
    for number, which in enumerate(differing.tolist()):
        without = sets[~member[:, number]]
        found[which] = (weight[size[without]] * (value[without | 1 << number] - value[without])).sum()
    return found
