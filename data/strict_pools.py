"""Pools that hold only what anyone had done before: one pass over all events in the order of time.

Counts only grow on the way. So the most popular completions of a prefix are kept in a short sorted list:
what fell out of it can come back by nothing but searches of its own.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.completions import POOL_SIZE
from data.pools import MOMENTS, Pools, Searches
from data.prefixes import Int, Prefixes


def strict_pools(searches: Searches, prefixes: Prefixes, time: NDArray[np.int64]) -> Iterator[Pools]:
    """The pools of all events, in their order; what happened at the time of an event is not yet counted.

    Args:
        searches: the events.
        prefixes: what was typed.
        time: (E,) of the events.
    """
    order = np.argsort(time, kind="stable")
    edges = np.flatnonzero(np.diff(time[order])) + 1
    popular = _Popular(prefixes)
    made: list[NDArray[np.int32]] = [np.zeros(0, np.int32)] * len(order)
    for together in np.split(order, edges):
        for event in together.tolist():
            made[event] = _pool(searches, prefixes, popular, event)
        for event in together[searches.training[together]].tolist():
            popular.add(int(searches.query[event]))
    for begin in range(0, len(made), MOMENTS):
        part = made[begin : begin + MOMENTS]
        offsets = np.cumsum([0, *map(len, part)])
        yield Pools(offsets, np.concatenate(part).astype(np.int64))


def _pool(searches: Searches, prefixes: Prefixes, popular: "_Popular", event: int) -> NDArray[np.int32]:
    prefix = int(prefixes.of_moment[event])
    chosen = popular.of(prefix)
    passed = int(searches.passed[event])
    first = max(int(searches.begin[searches.user[event]]), passed - searches.history)
    own = searches.query[first:passed][::-1]
    own = own[(own >= prefixes.low[prefix]) & (own < prefixes.high[prefix])]
    known = set(chosen)
    return np.array(chosen + [q for q in dict.fromkeys(own.tolist()) if q not in known], np.int32)


class _Popular:
    """The most popular completions of every prefix, by what has been searched until now."""

    def __init__(self, prefixes: Prefixes) -> None:
        size = np.diff(prefixes.start)
        by_query = np.argsort(prefixes.known, kind="stable")
        self._prefix: Int = np.repeat(np.arange(len(size)), size)[by_query]
        self._start = np.searchsorted(prefixes.known[by_query], np.arange(len(prefixes.count) + 1))
        self._count = [0] * len(prefixes.count)
        self._best: list[list[tuple[int, int]]] = [[] for _ in size]

    def of(self, prefix: int) -> list[int]:
        """Query numbers, the most popular first."""
        return [query for _, query in self._best[prefix]]

    def add(self, query: int) -> None:
        """Count one search."""
        before = -self._count[query]
        self._count[query] += 1
        for prefix in self._prefix[self._start[query] : self._start[query + 1]].tolist():
            best = self._best[prefix]
            place = bisect_left(best, (before, query))
            if place < len(best) and best[place] == (before, query):
                del best[place]
            insort(best, (before - 1, query))
            del best[POOL_SIZE:]
