"""What is counted has numbers in each dataset of its own, and texts that are the same in all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.arrays import Int
from ranking.events import GROUP, QUERY, WORD, Counted, Step

KEYS = 2**31
"""More than there are queries, which are numbered by 32 bits, or first words: keys of pairs go by it."""


@dataclass(frozen=True)
class Part:
    """Things of one kind by their texts, T of them.

    Attributes:
        first: the query, the group, or what a step goes from.
        second: the group's query, or what a step goes to; empty for queries.
        count: (T,) how often they have been told of.
        tellers: (T,) by how many users.
    """

    first: list[str]
    second: list[str]
    count: Int
    tellers: Int


def pair(first: Int, second: Int) -> Int:
    """(N,) numbers of pairs: of a group or what a step goes from, and of a query or what a step goes to."""
    return first * KEYS + second


def parts(what: Counted) -> tuple[str, str | None]:
    """What a thing is made of: QUERY, WORD or GROUP, and for pairs QUERY or WORD."""
    if isinstance(what, Step):
        return what.given, what.then
    return (QUERY, None) if what == QUERY else (GROUP, QUERY)


class Names:
    """The texts of queries, first words and groups, by their numbers in a dataset."""

    def __init__(self, queries: Sequence[str], words: Sequence[str], groups: Sequence[str]) -> None:
        self._texts = {QUERY: queries, WORD: words, GROUP: groups}

    def texts(self, what: Counted, thing: Int) -> tuple[list[str], list[str]]:
        """The two texts of T things; see `Part`."""
        first, second = parts(what)
        if second is None:
            return self._all(first, thing), [""] * len(thing)
        return self._all(first, thing // KEYS), self._all(second, thing % KEYS)

    def numbers(self, what: Counted, part: Part) -> Int:
        """(T,) of things, −1 where a text is unknown."""
        first, second = parts(what)
        one = self._numbers(first, part.first)
        if second is None:
            return one
        two = self._numbers(second, part.second)
        return np.where((one >= 0) & (two >= 0), pair(one, two), -1)

    def _all(self, which: str, number: Int) -> list[str]:
        texts = self._texts[which]
        return [texts[n] for n in number.tolist()]

    def _numbers(self, which: str, texts: list[str]) -> Int:
        known = {text: number for number, text in enumerate(self._texts[which])}
        return np.fromiter((known.get(text, -1) for text in texts), np.int64, len(texts))
