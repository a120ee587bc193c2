"""What is known when a user types: what others have searched, and the user's own strictly earlier events.

Public statistics are counts over the training period of everyone *else*: a user's own training events
are taken off them. So what a user does at or after t never changes that user's features at t, and no
ranker can tell a future search by a count that is one lower than other users see it. What *others* did
later than t in their training periods is in the counts, as in a log that was collected before; a dataset
that was imported with ``strict_time`` counts nothing that happened at or after t.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.arrays import Int, Occurrences
from data.schema import Dataset, column, in_split

HISTORY = 100
"""Own events, at most, that features look back on."""

QUERY, WORD = "query", "first word"


class Step(NamedTuple):
    """A way in which one search follows another of the same user.

    Attributes:
        given: what is looked at of the earlier search: QUERY or WORD.
        back: how many events ago that was, from 1.
        then: what is looked at of the later search: QUERY or WORD.
    """

    given: str
    back: int
    then: str


KEYS = 2**31
"""More than there are queries, which are numbered by 32 bits, or first words: keys of pairs go by it."""

STEPS = (Step(QUERY, 1, QUERY), Step(QUERY, 2, QUERY), Step(WORD, 1, QUERY), Step(WORD, 1, WORD))
"""What is counted of all training periods, and of each user's own past."""


class PublicStatistics:
    """Counts over everyone's training period, and what is known of each of the V queries.

    Attributes:
        texts: of the V queries.
        topics: their names; ``topic`` (V,) is each query's, −1 for none.
        first_token: (V,) number of each query's first word; ``words`` has the numbers of all.
        length: (V,) characters.
        count: (V,) searches in the training period.
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
        learned = np.flatnonzero(events.training)
        time = column(dataset.events, "timestamp")
        self._times = np.sort(time[learned])
        at = self.moment(time[learned])
        query = events.query[learned]
        self._before = column(dataset.queries, "public_count")
        self.count: Int = self._before + np.bincount(query, minlength=len(texts))
        length = len(learned) + 1
        self._searched = Occurrences(query, at, length) if self.strict else None
        grouped = events.group[learned] >= 0
        self._in_group = Occurrences(
            self.key(events.group[learned][grouped], query[grouped]), at[grouped], length
        )
        self._followed = {
            step: Occurrences(self.key(given, then), at[later], length)
            for step, later, given, then in self.steps(events, learned)
        }

    @staticmethod
    def key(first: Int, second: Int) -> Int:
        """(N,) keys of pairs: of a group or what a step goes from, and of a query or what a step goes to."""
        return first * KEYS + second

    def steps(self, events: "Events", some: Int) -> Iterator[tuple[Step, Int, Int, Int]]:
        """Each step, where in ``some`` of the events it ends, what it goes from, and to; as from `part`."""
        for step in STEPS:
            later = np.flatnonzero(events.follows(step.back)[some])
            given = self.part(step.given, events.query[some[later] - step.back])
            yield step, later, given, self.part(step.then, events.query[some[later]])

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
        return self._before[query] + self._counted(self._searched, query, moment)

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


@dataclass(frozen=True)
class Events:
    """E events by user and then time; each user's training events come first.

    Attributes:
        user, query, session: (E,).
        group: (E,) number in ``group_names``, −1 for none.
        training: (E,) bool.
    """

    user: Int
    query: Int
    session: Int
    group: Int
    training: NDArray[np.bool_]
    group_names: list[str]

    @classmethod
    def of(cls, events: pa.Table, group_names: list[str] | None = None) -> "Events":
        """The events of a dataset, or some of them.

        Args:
            events: see `data.schema`.
            group_names: in their order, if they have been numbered before.
        """
        groups = events.column("group")
        if group_names is None:
            group_names = sorted(g for g in groups.unique().to_pylist() if g is not None)
        number = pc.index_in(groups, value_set=pa.array(group_names, pa.string()))
        return cls(
            user=column(events, "user_id").astype(np.int64),
            query=column(events, "query_id").astype(np.int64),
            session=column(events, "session_id").astype(np.int64),
            group=number.fill_null(-1).to_numpy().astype(np.int64),
            training=in_split(events, "train"),
            group_names=group_names,
        )

    def follows(self, back: int) -> NDArray[np.bool_]:
        """(E,) whether the event so many places before is the same user's."""
        same = np.zeros(len(self.user), bool)
        same[back:] = self.user[back:] == self.user[:-back]
        return same

    def __getitem__(self, part: slice) -> "Events":
        names = ("user", "query", "session", "group", "training")
        return replace(self, **{name: getattr(self, name)[part] for name in names})


class Past:
    """The events of some users, and what each had done before any moment of theirs.

    Args:
        public: of the dataset.
        events: all events of users that follow each other.
    """

    def __init__(self, public: PublicStatistics, events: Events) -> None:
        self.public, self.events = public, events
        self._at = np.arange(len(events.user))
        self.searched = Occurrences(self.key(QUERY, events.user, events.query), self._at, len(self._at))
        self.words = Occurrences(self.key(WORD, events.user, events.query), self._at, len(self._at))

    def key(self, which: str, user: Int, query: Int) -> Int:
        """(N,) key in ``searched`` or ``words``, of which each is that of one user."""
        return user * len(self.public.texts) + self.public.part(which, query)

    def occurrences(self, which: str) -> Occurrences:
        """``searched`` or ``words``."""
        return self.searched if which == QUERY else self.words

    @cached_property
    def number(self) -> Int:
        """(E,) of each event's user and query in ``searched``."""
        return self.searched.number(self.key(QUERY, self.events.user, self.events.query))

    @cached_property
    def followed(self) -> dict[Step, Occurrences]:
        """The steps that each user has taken, see `step_key`, at the later search."""
        found = {}
        for step in STEPS:
            later = np.flatnonzero(self.events.follows(step.back))
            given = self.public.part(step.given, self.events.query[later - step.back])
            keys = self.key(step.then, self.events.user[later], self.events.query[later])
            number = self.occurrences(step.then).number(keys)
            found[step] = Occurrences(self.step_key(step, given, number), later, len(self._at))
        return found

    def step_key(self, step: Step, given: Int, number: Int) -> Int:
        """(N,) key in ``followed``: ``given`` as from `PublicStatistics.part`, and a number in `occurrences`.

        Where ``given`` is −1, for none, it is one that never occurs.
        """
        return given * len(self.occurrences(step.then).keys) + number

    @cached_property
    def grouped(self) -> Occurrences:
        """Searches by group, see `group_key`."""
        keys = self.group_key(self.number, self.events.group)
        return Occurrences(keys, self._at, len(self._at))

    @cached_property
    def topics(self) -> Int:
        """(E + 1, T + 1) how many events before each had each topic; the last place counts those without."""
        topic = self.public.topic[self.events.query]
        counts = np.zeros((len(topic) + 1, len(self.public.topics) + 1), np.int64)
        counts[self._at + 1, topic] = 1
        return counts.cumsum(axis=0)

    def group_key(self, number: Int, group: Int) -> Int:
        """(N,) key of a number of ``searched`` and a group, −1 included."""
        return number * (len(self.events.group_names) + 1) + group + 1


def full_past(dataset: Dataset, public: PublicStatistics, user: int) -> Past:
    """Everything that ``user`` has done: what the next keystroke will be judged by."""
    mine = dataset.events.filter(column(dataset.events, "user_id") == user)
    return Past(public, Events.of(mine, public.group_names))
