"""What everyone is told of everyone's training period: counts, and what is known of each query."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int, Occurrences, Totals, among
from data.privacy import Release
from data.public_counts import UNTOLD, Bounds, Sums
from data.schema import DataError, Dataset, column
from ranking.events import COUNTED, GROUP, QUERY, Counted, Events, Step
from ranking.naming import Names, Part, pair
from ranking.public_tables import PublicTables


class PublicStatistics:
    """Counts over everyone's training period, and what is known of each of the V queries.

    Args:
        dataset: of all users; or of some, who are told in ``tables`` of the others.
        tables: what all users tell together; None: those of the dataset are all that there are.
        told: whether the dataset's users have a part in the tables.

    Attributes:
        texts: of the V queries.
        topics: their names; ``topic`` (V,) is each query's, −1 for none.
        first_token: (V,) number of each query's first word; ``words`` has the numbers of all, by text.
        length: (V,) characters.
        outside: (V,) searches of people who are not among the users.
        count: (V,) these, and those of the training period that count.
        strict: whether counts at a moment hold only what had happened before it.
        own: what the dataset's users tell, by what is counted; empty where public counts have no bounds.

    Raises:
        DataError: there are tables, but no bounds; or the tables lack what these users have told, or the
            dataset's own were released with noise.
    """

    def __init__(self, dataset: Dataset, tables: PublicTables | None = None, told: bool = True) -> None:
        texts = dataset.queries.column("text").to_pylist()
        self.texts: list[str] = texts
        named = dataset.queries.column("topic").to_pylist()
        self.topics = sorted({t for t in named if t is not None})
        of_topic = {None: -1} | {t: i for i, t in enumerate(self.topics)}
        self.topic = np.array([of_topic[t] for t in named])
        first = [text.split(" ", 1)[0] for text in texts]
        # By text: so of what is equally frequent the same comes first, whatever else a dataset holds.
        self.words = {token: i for i, token in enumerate(sorted(set(first)))}
        self.first_token = np.array([self.words[token] for token in first])
        self.length = np.fromiter(map(len, texts), np.int64, len(texts))
        self.strict = bool(dataset.manifest.get("options", {}).get("strict_time", False))

        events = Events.of(dataset.events)
        self.group_names = events.group_names
        self._times = np.sort(column(dataset.events, "timestamp")[events.training])
        self.own: dict[Counted, Sums] = {}
        self._told: dict[Counted, NDArray[np.int8]] | None = None
        self._totals: dict[Counted, Totals] = {}
        self._when: dict[Counted, Occurrences] = {}
        release = Release.of(dataset) if tables is None else None
        if release:
            self._count_released(release, events)
        elif bounds := Bounds.of(dataset.manifest):
            self._count_within(bounds, events, tables, told)
        elif tables is not None:
            raise DataError("what users tell together counts only where the data says within which bounds.")
        else:
            self._count_all(events, column(dataset.events, "timestamp"))
        self.outside: Int = column(dataset.queries, "public_count")
        self.count: Int = self.outside + self._totals[QUERY].total(np.arange(len(texts)))

    def _count_all(self, events: Events, time: Int) -> None:
        """Of the training period everything counts."""
        for what in COUNTED:
            some, key = self.happenings(events, what)
            self._totals[what] = Totals.of(key)
            if self.strict:
                self._when[what] = Occurrences(key, self.moment(time[some]), len(self._times) + 1)

    def _count_within(self, bounds: Bounds, events: Events, tables: PublicTables | None, told: bool) -> None:
        """What enough users tell of counts; arguments as of the class."""
        names = self.names()
        self._told = {}
        for what in COUNTED:
            some, thing = self.happenings(events, what)
            chosen = bounds.chosen(events.user[some], thing)
            own = Sums.of(events.user[some][chosen], thing[chosen])
            self.own[what] = public = own
            if tables is not None:
                public = _known(names, what, tables.part(what))
                _require_part(own, public, told)
            enough = public.tellers >= bounds.users
            self._totals[what] = Totals(public.thing[enough], public.count[enough])
            self._told[what] = np.full(len(events.user), UNTOLD, np.int8)
            self._told[what][some] = bounds.becoming(chosen & told, public.tellers_of(thing))

    def _count_released(self, release: Release, events: Events) -> None:
        """Only what was released counts. Of it users take off what they have told, on their own devices."""
        names, tables, self._told = self.names(), PublicTables(release.table), {}
        tables.require()
        for kind, what in enumerate(COUNTED):
            bounds = release.bounds(kind)
            some, thing = self.happenings(events, what)
            public = _known(names, what, tables.part(what))
            self._totals[what] = Totals(public.thing, public.count)
            self._told[what] = np.full(len(events.user), UNTOLD, np.int8)
            chosen = bounds.chosen(events.user[some], thing)
            self._told[what][some] = bounds.becoming(chosen, public.tellers_of(thing))

    def names(self) -> Names:
        """The texts of what is counted."""
        return Names(self.texts, list(self.words), self.group_names)

    @staticmethod
    def key(first: Int, second: Int) -> Int:
        """See `naming.pair`."""
        return pair(first, second)

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
        if not self.strict:
            known: Int = self.count[query]
            return known
        return self.outside[query] + self._counted(QUERY, query, moment)

    def in_group(self, group: Int, query: Int, moment: Int) -> Int:
        """(N,) how often a group had searched each query; nobody is in group −1."""
        counted = np.zeros(len(query), np.int64)
        some = group >= 0
        counted[some] = self._counted(GROUP, self.key(group[some], query[some]), moment[some])
        return counted

    def followed(self, step: Step, given: Int, then: Int, moment: Int) -> Int:
        """(N,) how often anybody had taken a step; ``given`` and ``then`` as from `part`."""
        return self._counted(step, self.key(given, then), moment)

    def _counted(self, what: Counted, key: Int, moment: Int) -> Int:
        if not self.strict:
            return self._totals[what].total(key)
        counted = np.zeros(len(key), np.int64)
        number = self._when[what].number(key)
        some = np.flatnonzero(number >= 0)
        counted[some] = self._when[what].before(number[some], moment[some])
        return counted


def _known(names: Names, what: Counted, part: Part) -> Sums:
    """What tables say of the things that a dataset knows."""
    thing = names.numbers(what, part)
    order = np.argsort(thing, kind="stable")
    order = order[thing[order] >= 0]
    return Sums(thing[order], part.count[order], part.tellers[order])


def _require_part(own: Sums, public: Sums, told: bool) -> None:
    """Raise DataError unless what is public holds what these users have told, as far as it is public."""
    here = among(own.thing, public.thing)
    thing, there = own.thing[here], Totals(public.thing, public.count)
    less = (there.total(thing) < own.count[here]) | (public.tellers_of(thing) < own.tellers[here])
    if told and less.any():
        raise DataError("the public counts lack what this dataset's users have told: they are of others.")
