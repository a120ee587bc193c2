"""Many keyed draws at once are those that their keys give one by one."""

import numpy as np
import pytest

from data.randomness import generator, generators, integers


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


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**40 + 3])
@pytest.mark.parametrize("number", [0, 1, 23, 24, 300])
def test_streams_of_many_keys_are_those_of_each(seed: int, number: int) -> None:
    """Also where numbers of 32 bits, of which a stream keeps one half, were drawn from the one before."""
    keys = np.random.default_rng(1).integers(0, 2**32, (number, 2))
    keys[:3] = np.array([[0, 0], [1, 0], [0, 2**32 - 1]])[:number]
    for key, stream in zip(keys.tolist(), generators(seed, "batch", keys), strict=True):
        own = generator(seed, "batch", *key)
        assert stream.exponential(size=2).tolist() == own.exponential(size=2).tolist()
        assert stream.integers(7, size=9).tolist() == own.integers(7, size=9).tolist()


def test_draws_that_numpy_has_to_repeat() -> None:
    """With a spread this wide a large share of first draws is rejected (Lemire 2019)."""
    counters, high = np.arange(300), np.full(300, 3 * 2**30)
    one_by_one = [int(generator(5, "wide", c).integers(0, 3 * 2**30, endpoint=True)) for c in range(300)]
    assert integers(5, "wide", counters, 0, high).tolist() == one_by_one


def test_a_constant_is_drawn_without_a_number() -> None:
    assert integers(0, "one", np.arange(50), 4, np.full(50, 4)).tolist() == [4] * 50
