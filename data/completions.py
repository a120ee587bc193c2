"""The completions index: which queries of the training period start with what has been typed."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LAST = "\U0010ffff"
"""The last of all characters."""

POOL_SIZE = 75
"""Popular completions offered per prefix, before the user's own are added."""


class Completions:
    """The most popular completions of a prefix, from counts over the training period of everyone.

    Equally popular queries are ordered by text, so the answer depends on nothing but the counts.
    """

    def __init__(self, texts: Sequence[str], counts: NDArray[np.int64]) -> None:
        """Index the queries whose count is above 0. ``texts[i]`` was seen ``counts[i]`` times."""
        known = sorted((texts[i], i) for i in np.flatnonzero(counts > 0).tolist())
        self._texts: list[str] = [text for text, _ in known]
        self._ids = [i for _, i in known]
        self._place = {i: place for place, i in enumerate(self._ids)}
        self._counts = counts
        order = np.argsort(-counts[self._ids], kind="stable")
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._top = lru_cache(maxsize=4096)(self._find)

    def top(self, prefix: str, k: int = POOL_SIZE) -> tuple[int, ...]:
        """Ids of the ``k`` most popular completions of ``prefix``, best first."""
        return self._top(prefix, k)

    def pool(
        self,
        prefix: str,
        own: Sequence[int] = (),
        unseen: Mapping[int, int] | None = None,
        k: int = POOL_SIZE,
    ) -> list[int]:
        """The candidates of one slate: the ``k`` most popular completions and the user's own.

        Args:
            prefix: what has been typed.
            own: ids from the user's past that start with ``prefix``; those not among the popular ones
                are appended in this order.
            unseen: how often the user will submit a query later in the training period. These are
                taken off the counts first: a pool never looks into its user's future.
            k: how many popular completions.
        """
        later = {i: n for i, n in (unseen or {}).items() if n and self._starts(i, prefix)}
        widened = -(-len(later) // 25) * 25  # in steps, so that the cache is hit
        popular = list(self._top(prefix, k + widened))
        if later:
            counts = {i: int(self._counts[i]) - later.get(i, 0) for i in popular}
            popular = [i for i in popular if counts[i] > 0]
            popular.sort(key=lambda i: (-counts[i], self._place[i]))
        popular = popular[:k]
        chosen = set(popular)
        return popular + [i for i in dict.fromkeys(own) if i not in chosen]

    def forget_typed(self) -> None:
        """Keep nothing of the prefixes that have been asked for."""
        self._top.cache_clear()

    def _starts(self, query: int, prefix: str) -> bool:
        return self._texts[self._place[query]].startswith(prefix)

    def _find(self, prefix: str, k: int) -> tuple[int, ...]:
        start, end = starting_with(self._texts, prefix)
        rank = self._rank[start:end]
        best = np.argpartition(rank, k - 1)[:k] if len(rank) > k else np.arange(len(rank))
        return tuple(self._ids[start + at] for at in best[np.argsort(rank[best])].tolist())


def starting_with(texts: Sequence[str], prefix: str) -> tuple[int, int]:
    """Between which places of sorted texts those stand that start with a prefix: start ≤ place < end."""
    start = bisect_left(texts, prefix)
    stem = prefix.rstrip(LAST)  # the least text behind all of them is one character greater at its end
    if not stem:
        return start, len(texts)
    return start, bisect_left(texts, stem[:-1] + chr(ord(stem[-1]) + 1), start)
