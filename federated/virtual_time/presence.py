"""Users who leave and come back: alternating stays and absences of exponential length."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from data.randomness import generator

CYCLES = 100
"""Stays, on average, in an age. Whether a user is there at the start of an age is drawn anew: so any time can
be looked at without all that was before, and one stay in a hundred is cut."""

Stays = tuple[Sequence[float], Sequence[float]]
"""When the stays of an age begin and end, in order."""


class Presence:
    """When each user is there. Draws are keyed, so what is kept here is only a memory of them.

    Args:
        seed: the run's seed.
        online: mean time of a stay.
        offline: mean time of an absence; 0: everybody always stays.
    """

    def __init__(self, seed: int, online: float, offline: float) -> None:
        self._seed = seed
        self._means = (online, offline)
        self._age = CYCLES * (online + offline)
        self._latest: dict[int, tuple[int, Stays]] = {}

    def back(self, user: int, now: float) -> float:
        """``now`` if the user is there, else the time of the return."""
        return self.after(user, now, 0.0)

    def after(self, user: int, start: float, work: float) -> float:
        """When ``work`` units of the user's presence have passed since ``start``; absences do not count."""
        if self._means[1] == 0:
            return start + work
        age = int(start // self._age)
        while True:
            begins, ends = self._stays(user, age)
            for at in range(bisect_right(ends, start), len(ends)):
                begin = max(begins[at], start)
                if begin + work < ends[at]:
                    return begin + work
                work -= ends[at] - begin
            age += 1

    def _stays(self, user: int, age: int) -> Stays:
        known = self._latest.get(user)
        if known is None or known[0] != age:
            known = self._latest[user] = (age, self._drawn(user, age))
        return known[1]

    def _drawn(self, user: int, age: int) -> Stays:
        online, offline = self._means
        begin, end = age * self._age, (age + 1) * self._age
        chance = generator(self._seed, "presence", user, age)
        there = chance.random() * (online + offline) < online
        first = begin if there else begin + chance.exponential(offline)
        lengths = chance.exponential((online, offline), (2 * CYCLES, 2)).ravel()  # which always is enough
        switches = np.minimum(first + lengths.cumsum() - lengths, end).reshape(-1, 2)
        begins, ends = switches[switches[:, 0] < switches[:, 1]].T
        return array("d", begins), array("d", ends)
