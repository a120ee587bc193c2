"""What a device needs to know of searches, as JSON: what all are told, and what its own user has done."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.suggestions.visit import Standing
from data.arrays import Int, Totals
from ranking.events import COUNTED, GROUP, QUERY, WORD, Counted, Step
from ranking.features import FOLLOWS
from ranking.naming import KEYS, parts
from ranking.shared import Shared

Json = dict[str, Any]


def name_of(what: Counted) -> str:
    """What a table of counts is called."""
    return FOLLOWS[what][0] if isinstance(what, Step) else what


@dataclass(frozen=True)
class Numbers:
    """Exported numbers of queries and first words by those of the dataset, −1 for what others are not told.

    Attributes:
        query: (V,); numbers ascend with texts, so that of what is equally popular the smaller comes first.
        word: (W,) those of the first words of exported queries.
        queries, words: the dataset's numbers, in the exported order.
    """

    query: Int
    word: Int
    queries: list[int]
    words: list[int]

    @classmethod
    def of(cls, public: Shared) -> "Numbers":
        """All that others are told."""
        queries = sorted(np.flatnonzero(public.known).tolist(), key=public.texts.__getitem__)
        words = np.unique(public.first_token[queries]).tolist()
        query, word = np.full(len(public.texts), -1), np.full(len(public.words), -1)
        query[queries], word[words] = np.arange(len(queries)), np.arange(len(words))
        return cls(query, word, queries, words)

    def table(self, what: Counted, totals: Totals) -> Json:
        """Counts of things, those that others are told of, as columns; see `Part` for first and second."""
        first, second = parts(what)
        if second is None:
            columns = {"first": self._number(first, totals.keys)}
        else:
            columns = {
                "first": self._number(first, totals.keys // KEYS),
                "second": self._number(second, totals.keys % KEYS),
            }
        there = (totals.count > 0) & np.all([number >= 0 for number in columns.values()], axis=0)
        return {name: values[there].tolist() for name, values in (columns | {"count": totals.count}).items()}

    def _number(self, which: str, number: Int) -> Int:
        return {QUERY: self.query, WORD: self.word}[which][number] if which != GROUP else number


def public_tables(public: Shared, numbers: Numbers) -> Json:
    """What all are told of everyone's training period."""
    words = list(public.words)
    return {
        "queries": {
            "text": [public.texts[query] for query in numbers.queries],
            "topic": public.topic[numbers.queries].tolist(),
            "count": public.count[numbers.queries].tolist(),
        },
        "words": [words[word] for word in numbers.words],
        "groups": public.group_names,
        "topics": public.topics,
        "counts": {
            name_of(what): numbers.table(what, public.table(what)) for what in COUNTED if what != QUERY
        },
    }


def past_of(standing: Standing, numbers: Numbers) -> Json:
    """What a user has done, and what of the public counts is theirs: they take it off before they use them.

    Queries that others are not told of follow the exported ones, in the order of ``queries``.
    """
    others, events = standing.others, standing.past.events
    used = np.unique(events.query).tolist()
    own = [query for query in used if query >= len(numbers.query) or numbers.query[query] < 0]
    place = {query: len(numbers.queries) + number for number, query in enumerate(own)}
    of_pools = Totals(np.array(list(standing.off), np.int64), np.array(list(standing.off.values()), np.int64))
    return {
        "queries": {
            "text": [others.texts[query] for query in own],
            "topic": [int(others.topic[query]) for query in own],
        },
        "events": [place[one] if one in place else int(numbers.query[one]) for one in events.query.tolist()],
        "group": standing.group,
        "off": {
            "pools": numbers.table(QUERY, of_pools),
            **{name_of(what): numbers.table(what, others.taken_off(what)) for what in COUNTED},
        },
    }
