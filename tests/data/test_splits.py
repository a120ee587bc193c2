"""The time split: 60/20/20 inside each user, in order, and everyone in all three parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import SPLITS, Dataset, column
from data.splits import time_split

counts = st.lists(st.integers(3, 400), min_size=1, max_size=12)


def split_of(sizes: list[int]) -> list[list[str]]:
    """The split of users with this many events each, user by user."""
    split = time_split(np.repeat(np.arange(len(sizes)), sizes))
    return [part.tolist() for part in np.split(split, np.cumsum(sizes)[:-1])]


@settings(derandomize=True, deadline=None)
@given(counts)
def test_everyone_trains_then_validates_then_tests(sizes: list[int]) -> None:
    for size, mine in zip(sizes, split_of(sizes), strict=True):
        assert len(mine) == size
        assert set(mine) == set(SPLITS)
        assert mine == sorted(mine, key=SPLITS.index)


@settings(derandomize=True, deadline=None)
@given(counts)
def test_shares_are_60_20_20(sizes: list[int]) -> None:
    for size, mine in zip(sizes, split_of(sizes), strict=True):
        if size >= 5:
            assert mine.count("train") == 3 * size // 5
            assert mine.count("train") + mine.count("validation") == 4 * size // 5


@settings(derandomize=True, deadline=None)
@given(counts)
def test_users_do_not_touch_each_other(sizes: list[int]) -> None:
    assert split_of(sizes) == [split_of([size])[0] for size in sizes]


@pytest.mark.parametrize(
    ("size", "parts"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2)), (64, (38, 13, 13))]
)
def test_small_counts(size: int, parts: tuple[int, int, int]) -> None:
    (mine,) = split_of([size])
    assert tuple(mine.count(name) for name in SPLITS) == parts


@pytest.mark.parametrize("size", [1, 2])
def test_fewer_than_three_events_do_not_fail(size: int) -> None:
    (mine,) = split_of([size])
    assert mine[0] == "train"
    assert mine == sorted(mine, key=SPLITS.index)


def test_in_the_dataset(tiny_dataset: Dataset) -> None:
    user = column(tiny_dataset.events, "user_id")
    assert (column(tiny_dataset.events, "split") == time_split(user)).all()
