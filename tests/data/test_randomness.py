"""Many keyed draws at once are those that their keys give one by one."""

import numpy as np
import pytest

from data.randomness import generator, integers


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1])
@pytest.mark.parametrize("purpose", ["typed", "something else"])
def test_drawn_together_and_one_by_one(seed: int, purpose: str) -> None:
    draw = np.random.default_rng(seed)
    counters = np.concatenate([np.arange(200), draw.integers(0, 2**32, 200), [2**32 - 1]])
    high = draw.integers(3, 12, len(counters))
    one_by_one = [
        int(generator(seed, purpose, c).integers(3, h, endpoint=True))
        for c, h in zip(counters.tolist(), high.tolist(), strict=True)
    ]
    assert integers(seed, purpose, counters, 3, high).tolist() == one_by_one


def test_draws_that_numpy_has_to_repeat() -> None:
    """With a spread this wide a large share of first draws is rejected (Lemire 2019)."""
    counters, high = np.arange(300), np.full(300, 3 * 2**30)
    one_by_one = [int(generator(5, "wide", c).integers(0, 3 * 2**30, endpoint=True)) for c in range(300)]
    assert integers(5, "wide", counters, 0, high).tolist() == one_by_one


def test_a_constant_is_drawn_without_a_number() -> None:
    assert integers(0, "one", np.arange(50), 4, np.full(50, 4)).tolist() == [4] * 50
