"""What is known when a user types: what others have searched, and the user's own strictly earlier events.

Public statistics are counts over the training period of everyone *else*: a user's own training events
are taken off them. So what a user does at or after t never changes that user's features at t, and no
ranker can tell a future search by a count that is one lower than other users see it. What *others* did
later than t in their training periods is in the counts, as in a log that was collected before; a dataset
that was imported with ``strict_time`` counts nothing that happened at or after t.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int, Occurrences, among
from data.public_counts import ALONE
from data.schema import Dataset, column
from ranking.events import GROUP, QUERY, STEPS, WORD, Counted, Events, Step
from ranking.public_statistics import PublicStatistics

HISTORY = 100
"""Own events, at most, that features look back on."""


class Past:
    """The events of some users, and what each had done before any moment of theirs.

    Args:
        public: of the dataset.
        events: all events of users that follow each other.
    """

    def __init__(self, public: PublicStatistics, events: Events) -> None:
        self.public, self.events = public, events
        self._at = np.arange(len(events.user))
        self._kept = dict[Counted, tuple[Occurrences, NDArray[np.bool_] | None]]()
        self.searched = Occurrences(self.key(QUERY, events.user, events.query), self._at, len(self._at))
        self.words = Occurrences(self.key(WORD, events.user, events.query), self._at, len(self._at))

    def key(self, which: str, user: Int, query: Int) -> Int:
        """(N,) key in ``searched`` or ``words``, of which each is that of one user."""
        return user * len(self.public.texts) + self.public.part(which, query)

    def occurrences(self, which: str) -> Occurrences:
        """``searched`` or ``words``."""
        return self.searched if which == QUERY else self.words

    def counted(self, what: Counted) -> Occurrences:
        """What of ``searched``, ``grouped`` or ``followed`` is in the public counts, under the same numbers.

        Where all of training is, it is these: whoever asks, asks only about the training period.
        """
        return self._told(what)[0]

    def alone(self, what: Counted) -> NDArray[np.bool_] | None:
        """Of which numbers in `counted` too few others have told, so that nothing counts for the user."""
        return self._told(what)[1]

    def _told(self, what: Counted) -> tuple[Occurrences, NDArray[np.bool_] | None]:
        if what not in self._kept:
            self._kept[what] = self._tell(what)
        return self._kept[what]

    def _tell(self, what: Counted) -> tuple[Occurrences, NDArray[np.bool_] | None]:
        if isinstance(what, Step):
            own = self.followed[what]
        else:
            own = self.searched if what == QUERY else self.grouped
        if self.events.told is None:
            return own, None
        alone, _ = self._keys(what, self.events.told[what] == ALONE)
        return own.at(*self._keys(what, self.events.counted(what))), among(own.keys, alone)

    @cached_property
    def number(self) -> Int:
        """(E,) of each event's user and query in ``searched``."""
        return self.searched.number(self.key(QUERY, self.events.user, self.events.query))

    @cached_property
    def followed(self) -> dict[Step, Occurrences]:
        """The steps that each user has taken, see `step_key`, at the later search."""
        return {
            step: Occurrences(*self._keys(step, self.events.follows(step.back)), len(self._at))
            for step in STEPS
        }

    def step_key(self, step: Step, given: Int, number: Int) -> Int:
        """(N,) key in ``followed``: ``given`` as from `PublicStatistics.part`, and a number in `occurrences`.

        Where ``given`` is −1, for none, it is one that never occurs.
        """
        return given * len(self.occurrences(step.then).keys) + number

    @cached_property
    def grouped(self) -> Occurrences:
        """Searches by group, see `group_key`."""
        return Occurrences(*self._keys(GROUP, np.ones(len(self._at), bool)), len(self._at))

    def _keys(self, what: Counted, which: NDArray[np.bool_]) -> tuple[Int, Int]:
        """Keys (N,) of some events (E,) in ``searched``, ``grouped`` or ``followed``, and which (N,)."""
        some, events = np.flatnonzero(which), self.events
        if not isinstance(what, Step):
            if what == QUERY:
                return self.searched.keys[self.number[some]], some
            return self.group_key(self.number[some], events.group[some]), some
        given = self.public.part(what.given, events.query[some - what.back])
        keys = self.key(what.then, events.user[some], events.query[some])
        return self.step_key(what, given, self.occurrences(what.then).number(keys)), some

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
    begin, end = np.searchsorted(column(dataset.events, "user_id"), [user, user + 1]).tolist()
    events = Events.of(dataset.events.slice(begin, end - begin), public.group_names)
    return Past(public, public.marked(events, begin))
