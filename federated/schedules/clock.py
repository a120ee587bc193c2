"""Virtual time: how long messages travel, and whose turn it is. Nothing ever sleeps."""

from collections.abc import Callable, Iterator

import numpy as np

from data.randomness import generator

Delays = Callable[[int, int], tuple[float, float]]


def exponential_delays(seed: int, download: float, upload: float) -> Delays:
    """(user, counter) → (download, upload) delay of that user's counter-th update, exponential laws.

    Args:
        seed: the run's seed.
        download: mean time from the server to a user.
        upload: mean time back, computing included.
    """

    def draw(user: int, counter: int) -> tuple[float, float]:
        down, up = generator(seed, "delay", user, counter).exponential(size=2)
        return float(download * down), float(upload * up)

    return draw


def turns(users: int, seed: int) -> Iterator[tuple[int, int]]:
    """(user, counter) for ever: everyone once, in random order, then everyone again in another."""
    counter = 0
    while True:
        order: np.ndarray[tuple[int], np.dtype[np.int64]] = generator(seed, "turn", counter).permutation(
            users
        )
        for user in order.tolist():
            yield user, counter
        counter += 1
