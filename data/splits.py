"""The time split inside each user: the first 60 % of events train, 20 % validate, the last 20 % test."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import SPLITS


def time_split(users: NDArray[np.integer[Any]]) -> NDArray[np.str_]:
    """The split of every event.

    Args:
        users: (E,) user of every event, sorted by user and then time.

    Returns:
        (E,) names from SPLITS. A user with at least 3 events has at least one in each.
    """
    counts = np.bincount(users)
    position = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    train = np.clip(np.floor(0.6 * counts), 1, np.maximum(counts - 2, 1))[users]
    test_from = np.maximum(train + 1, np.floor(0.8 * counts)[users])
    test_from = np.minimum(test_from, np.maximum(counts - 1, 1)[users])
    part = (position >= train).astype(int) + (position >= test_from).astype(int)
    split: NDArray[np.str_] = np.array(SPLITS)[part]
    return split
