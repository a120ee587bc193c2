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
    """Exported numbers of queries, first words and groups by the dataset's; −1 for what nobody is told.

    Attributes:
        place: by kind, QUERY, WORD or GROUP, the exported numbers. Those of queries ascend with their texts,
            so that of what is equally popular the smaller comes first.
        told: by kind the dataset's numbers, in the exported order.
    """

    place: dict[str, Int]
    told: dict[str, list[int]]

    @classmethod
    def of(cls, public: Shared) -> "Numbers":
        """Of all that others are told."""
        queries = np.flatnonzero(public.known)
        told = {QUERY: [queries], WORD: [public.first_token[queries]], GROUP: [queries[:0]]}
        for what in COUNTED:
            first, second = parts(what)
            if second is not None:
                told[first].append(public.table(what).keys // KEYS)
                told[second].append(public.table(what).keys % KEYS)
        sizes = {QUERY: len(public.texts), WORD: len(public.words), GROUP: len(public.group_names)}
        numbers = {kind: np.unique(np.concatenate(some)).tolist() for kind, some in told.items()}
        numbers[QUERY].sort(key=public.texts.__getitem__)
        place = {}
        for kind, size in sizes.items():
            place[kind] = np.full(size, -1)
            place[kind][numbers[kind]] = np.arange(len(numbers[kind]))
        return cls(place, numbers)

    def table(self, what: Counted, totals: Totals) -> Json:
        """Counts of things, those that others are told of, as columns; see `Part` for first and second."""
        first, second = parts(what)
        if second is None:
            columns = {"first": self.place[first][totals.keys]}
        else:
            columns = {
                "first": self.place[first][totals.keys // KEYS],
                "second": self.place[second][totals.keys % KEYS],
            }
        there = (totals.count > 0) & np.all([number >= 0 for number in columns.values()], axis=0)
        return {name: values[there].tolist() for name, values in (columns | {"count": totals.count}).items()}


def public_tables(public: Shared, numbers: Numbers) -> Json:
    """What all are told of everyone's training period."""
    words, queries = list(public.words), numbers.told[QUERY]
    return {
        "queries": {
            "text": [public.texts[query] for query in queries],
            "topic": public.topic[queries].tolist(),
            "count": public.count[queries].tolist(),
        },
        "words": [words[word] for word in numbers.told[WORD]],
        "groups": [public.group_names[group] for group in numbers.told[GROUP]],
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
    known = numbers.place[QUERY]
    own = [query for query in used if query >= len(known) or known[query] < 0]
    place = {query: len(numbers.told[QUERY]) + number for number, query in enumerate(own)}
    of_pools = Totals(np.array(list(standing.off), np.int64), np.array(list(standing.off.values()), np.int64))
    return {
        "queries": {
            "text": [others.texts[query] for query in own],
            "topic": [int(others.topic[query]) for query in own],
        },
        "events": [place[one] if one in place else int(known[one]) for one in events.query.tolist()],
        "group": int(numbers.place[GROUP][standing.group]) if standing.group >= 0 else -1,
        "off": {
            "pools": numbers.table(QUERY, of_pools),
            **{name_of(what): numbers.table(what, others.taken_off(what)) for what in COUNTED},
        },
    }
