"""The prefixes that people have typed, and the known queries that complete each, the most popular first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
CHUNK = 65_536
"""Texts compared at once."""


@dataclass(frozen=True)
class Prefixes:
    """P prefixes of V queries, which are numbered by text: completions of a prefix have adjacent numbers.

    Attributes:
        of_moment: (E,) which prefix was typed at each moment.
        low, high: (P,) each; prefix p is completed by the queries low[p] … high[p] − 1.
        start: (P + 1,) the known completions of p are known[start[p] : start[p + 1]].
        known: query numbers, by prefix, then falling count, then text.
        count: (V,) how often each query was searched; only those above 0 are known.
    """

    of_moment: Int
    low: Int
    high: Int
    start: Int
    known: Int
    count: Int
    _keys: Int
    _order: Int

    @classmethod
    def of(cls, texts: Sequence[str], count: Int, query: Int, typed: Int) -> "Prefixes":
        """The prefixes of E moments.

        Args:
            texts: V distinct texts, sorted, without NUL.
            count: (V,) searches of each.
            query: (E,) what was typed at each moment, in the end.
            typed: (E,) how many characters of it had been typed: at least 1, at most all.
        """
        shared = _shared(texts, int(typed.max()))
        of_moment = np.zeros(len(query), np.int64)
        low, high, known, sizes = [], [], [], []
        found = 0
        for length in np.unique(typed).tolist():
            moments = np.flatnonzero(typed == length)
            family = np.cumsum(shared < length) - 1  # queries with the same first characters
            used, which = np.unique(family[query[moments]], return_inverse=True)
            of_moment[moments] = found + which
            low.append(np.searchsorted(family, used))
            high.append(np.searchsorted(family, used, side="right"))
            offered = np.zeros(family[-1] + 1, bool)
            offered[used] = True
            members = np.flatnonzero((count > 0) & offered[family])
            members = members[np.lexsort((-count[members], family[members]))]
            known.append(members)
            sizes.append(np.bincount(np.searchsorted(used, family[members]), minlength=len(used)))
            found += len(used)
        start = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        together = np.concatenate(known)
        keys = np.repeat(np.arange(found), np.diff(start)) * len(texts) + together
        order = np.argsort(keys)
        return cls(
            of_moment, np.concatenate(low), np.concatenate(high), start, together, count, keys[order], order
        )

    def place(self, prefix: Int, query: Int) -> Int:
        """(N,) where in ``known`` each query stands among the completions of its prefix. It must be known."""
        return self._order[np.searchsorted(self._keys, prefix * len(self.count) + query)]


def _shared(texts: Sequence[str], most: int) -> Int:
    """(V,) how many characters, up to ``most``, each text shares with the one before; −1 for the first."""
    shared = np.full(len(texts), -1, np.int64)
    for begin in range(0, len(texts), CHUNK):
        before = max(begin - 1, 0)
        part = np.array(texts[before : begin + CHUNK], dtype=f"<U{most}")
        letters = part.view(np.uint32).reshape(len(part), most)
        same = (letters[1:] == letters[:-1]) & (letters[1:] != 0)
        shared[before + 1 : before + len(part)] = np.logical_and.accumulate(same, axis=1).sum(1)
    return shared
