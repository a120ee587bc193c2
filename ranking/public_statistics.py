"""What everyone is told of everyone's training period: counts, and what is known of each query."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int, Occurrences
from data.public_counts import UNTOLD, Bounds
from data.schema import Dataset, column
from ranking.events import COUNTED, GROUP, QUERY, STEPS, Counted, Events, Step

KEYS = 2**31
"""More than there are queries, which are numbered by 32 bits, or first words: keys of pairs go by it."""


class PublicStatistics:
    """Counts over everyone's training period, and what is known of each of the V queries.

    Attributes:
        texts: of the V queries.
        topics: their names; ``topic`` (V,) is each query's, −1 for none.
        first_token: (V,) number of each query's first word; ``words`` has the numbers of all.
        length: (V,) characters.
        outside: (V,) searches of people who are not among the users.
        count: (V,) these, and those of the training period that count.
        strict: whether counts at a moment hold only what had happened before it.
    """

    def __init__(self, dataset: Dataset) -> None:
        texts = dataset.queries.column("text").to_pylist()
        self.texts: list[str] = texts
        named = dataset.queries.column("topic").to_pylist()
        self.topics = sorted({t for t in named if t is not None})
        of_topic = {None: -1} | {t: i for i, t in enumerate(self.topics)}
        self.topic = np.array([of_topic[t] for t in named])
        first = [text.split(" ", 1)[0] for text in texts]
        self.words = {token: i for i, token in enumerate(dict.fromkeys(first))}
        self.first_token = np.array([self.words[token] for token in first])
        self.length = np.fromiter(map(len, texts), np.int64, len(texts))
        self.strict = bool(dataset.manifest.get("options", {}).get("strict_time", False))

        events = Events.of(dataset.events)
        self.group_names = events.group_names
        time = column(dataset.events, "timestamp")
        self._times = np.sort(time[events.training])
        bounds = Bounds.of(dataset.manifest)
        self._told = self._within(bounds, events) if bounds else None
        events = self.marked(events, 0)

        def occurrences(what: Counted) -> Occurrences:
            some, key = self.happenings(events, what)
            return Occurrences(key, self.moment(time[some]), len(self._times) + 1)

        _, query = self.happenings(events, QUERY)
        self.outside: Int = column(dataset.queries, "public_count")
        self.count: Int = self.outside + np.bincount(query, minlength=len(texts))
        self._searched = occurrences(QUERY) if self.strict else None
        self._in_group = occurrences(GROUP)
        self._followed = {step: occurrences(step) for step in STEPS}

    @staticmethod
    def key(first: Int, second: Int) -> Int:
        """(N,) keys of pairs: of a group or what a step goes from, and of a query or what a step goes to."""
        return first * KEYS + second

    def happenings(self, events: "Events", what: Counted) -> tuple[Int, Int]:
        """Which of some events are in the public counts of something (N,), and what is counted there (N,).

        That is a query, or the `key` of a group and a query, or of what a step goes from and to.
        """
        some = np.flatnonzero(events.counted(what))
        query = events.query[some]
        if isinstance(what, Step):
            given = self.part(what.given, events.query[some - what.back])
            return some, self.key(given, self.part(what.then, query))
        return some, query if what == QUERY else self.key(events.group[some], query)

    @property
    def bounded(self) -> bool:
        """Whether only what enough users tell of counts, see `Bounds`."""
        return self._told is not None

    def marked(self, events: "Events", begin: int) -> "Events":
        """Events of the dataset that follow each other, the first of them number ``begin``, as they count."""
        if self._told is None:
            return events
        part = slice(begin, begin + len(events.user))
        return replace(events, told={what: told[part] for what, told in self._told.items()})

    def _within(self, bounds: Bounds, events: "Events") -> dict[Counted, NDArray[np.int8]]:
        """Whether all events (E,) count, by what is counted."""
        found = {}
        for what in COUNTED:
            some, thing = self.happenings(events, what)
            found[what] = np.full(len(events.user), UNTOLD, np.int8)
            found[what][some] = bounds.told(events.user[some], thing)
        return found

    def part(self, which: str, query: Int) -> Int:
        """(N,) what a step looks at: the queries themselves, or the numbers of their first words."""
        return query if which == QUERY else self.first_token[query]

    def moment(self, time: Int) -> Int:
        """(N,) times, in microseconds, as `searched`, `in_group` and `followed` take them.

        It is the number of training events before, or where all are counted alike, 0.
        """
        return np.searchsorted(self._times, time) if self.strict else np.zeros(len(time), np.int64)

    @property
    def now(self) -> int:
        """The moment at which all that was ever counted has happened."""
        return len(self._times) if self.strict else 0

    def searched(self, query: Int, moment: Int) -> Int:
        """(N,) how often everybody together had searched each query."""
        if self._searched is None:
            counted: Int = self.count[query]
            return counted
        return self.outside[query] + self._counted(self._searched, query, moment)

    def in_group(self, group: Int, query: Int, moment: Int) -> Int:
        """(N,) how often a group had searched each query; nobody is in group −1."""
        counted = np.zeros(len(query), np.int64)
        some = group >= 0
        key = self.key(group[some], query[some])
        counted[some] = self._counted(self._in_group, key, moment[some])
        return counted

    def followed(self, step: Step, given: Int, then: Int, moment: Int) -> Int:
        """(N,) how often anybody had taken a step; ``given`` and ``then`` as from `part`."""
        return self._counted(self._followed[step], self.key(given, then), moment)

    def _counted(self, occurrences: Occurrences, key: Int, moment: Int) -> Int:
        counted = np.zeros(len(key), np.int64)
        number = occurrences.number(key)
        some = np.flatnonzero(number >= 0)
        known = number[some]
        counted[some] = occurrences.before(known, moment[some]) if self.strict else occurrences.total(known)
        return counted
