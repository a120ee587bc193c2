"""What the array programs of the data path share: ranges put together, occurrences of keys in time."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]


def ranges(start: NDArray[Any], size: NDArray[Any]) -> Int:
    """start[0], start[0] + 1, …, then start[1], …: all numbers of N ranges, one range after the other.

    Args:
        start: (N,) first number of each.
        size: (N,) how many.
    """
    ends = np.cumsum(size, dtype=np.int64)
    if not len(ends):
        return np.zeros(0, np.int64)
    shift: Int = np.repeat(np.asarray(start, np.int64) - (ends - size), size)
    return np.arange(ends[-1]) + shift


def within(size: NDArray[Any]) -> Int:
    """0, 1, …, size[0] − 1, then 0, 1, …, size[1] − 1, and so on."""
    return ranges(np.zeros(len(size), np.int64), size)


def among(values: Int, known: Int) -> NDArray[np.bool_]:
    """(N,) which values are among the known ones, in any order.

    numpy's isin hashes, and is a hundred times slower on keys that were made by multiplying.
    """
    known = np.sort(known)
    if not len(known):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    there: NDArray[np.bool_] = known[place] == values
    return there


def looked_up(keys: Int, values: Int, sought: Int) -> Int:
    """(N,) the values (K,) of some keys (K,), which ascend; 0 for a key that is not there."""
    if not len(keys):
        return np.zeros(len(sought), np.int64)
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    return np.where(keys[place] == sought, values[place], 0)


@dataclass(frozen=True)
class Totals:
    """How often each of some keys (K,), which ascend, occurred at all."""

    keys: Int
    count: Int

    @classmethod
    def of(cls, key: Int) -> "Totals":
        """Of what happened (E,), any whole numbers."""
        return cls(*np.unique(key, return_counts=True))

    def total(self, key: Int) -> Int:
        """(N,) how often each key occurred, 0 for one that never did."""
        return looked_up(self.keys, self.count, key)


class Occurrences:
    """When each of some keys occurred: how often in any stretch of time, and when last.

    Args:
        key: (E,) what happened, any whole numbers ≥ 0.
        time: (E,) when, whole numbers from 0 to ``length`` − 1; several keys may share a time.
        length: of time.
    """

    def __init__(self, key: Int, time: Int, length: int) -> None:
        self._length = length + 1
        self.keys, number = np.unique(key, return_inverse=True)
        self._set(number, time)

    def _set(self, number: Int, time: Int) -> None:
        self._moments = np.sort(number.astype(np.int64) * self._length + time)
        self._first = np.searchsorted(self._moments, np.arange(len(self.keys) + 1) * self._length)

    def at(self, key: Int, time: Int) -> "Occurrences":
        """Other occurrences (N,) of the same keys, which keep their numbers; none has another key."""
        others = copy(self)
        others._set(self.number(key), time)
        return others

    def number(self, key: Int) -> Int:
        """(N,) the number of each key, −1 for one that never occurred."""
        place = np.searchsorted(self.keys, key)
        if not len(self.keys):
            return np.full(len(key), -1, np.int64)
        return np.where(self.keys[np.minimum(place, len(self.keys) - 1)] == key, place, -1)

    def total(self, number: Int) -> Int:
        """(N,) how often each key occurred at all; numbers as from `number`, none negative."""
        return self._first[number + 1] - self._first[number]

    def between(self, first: Int, last: Int) -> Int:
        """(N,) how often the keys with the numbers first … last − 1 occurred, all together."""
        return self._first[last] - self._first[first]

    def before(self, number: Int, time: Int) -> Int:
        """(N,) how often each key occurred before a time; numbers as from `number`, none negative."""
        passed: Int = np.searchsorted(self._moments, number * self._length + time)
        return passed - self._first[number]

    def last(self, number: Int, nth: Int) -> Int:
        """(N,) when each key occurred for the nth time, from 1."""
        moment: Int = self._moments[self._first[number] + nth - 1]
        return moment - number * self._length
