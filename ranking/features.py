"""Features of a candidate, computable on the user's own device.

Fixed constants bring every feature to a standard deviation of about 1 on typical logs, as gradient
methods want it. They are never statistics of the data at hand: a device asks nobody to compute its own.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int
from ranking.history import HISTORY, Past, PublicStatistics

Floats = NDArray[np.float64]

POPULARITY, OWN_COUNT, OWN_RECENCY = "popularity", "own count", "own recency"
"""The features that yardsticks rank by."""


def feature_names(public: PublicStatistics) -> list[str]:
    """Names of the F features, in order; they depend on nothing but the data's topics."""
    return [
        POPULARITY,
        "group popularity",
        "length",
        "typed share",
        "follows previous",
        OWN_COUNT,
        OWN_RECENCY,
        "own follows previous",
        "equals previous",
        "own first token",
        *(["own topic share", "session topic"] if public.topics else []),
        *(f"topic {t}" for t in public.topics),
    ]


@dataclass(frozen=True)
class Moments:
    """S moments at which somebody typed, with N_s candidates each and R of them in all.

    Attributes:
        user: (S,) as in the events of the past.
        passed: (S,) number of the first event that had not happened yet, of this user or a later one.
        begin: (S,) number of the user's first event.
        trained: (S,) number of the user's first event after their training period.
        moment: (S,) see `PublicStatistics.moment`.
        session: (S,) the present session; an earlier event of the same one tells the session's topic.
        group: (S,) the user's group at this moment, −1 for none.
        typed: (S,) characters of the prefix.
        size: (S,) N_s.
        pool: (R,) query ids, moment by moment.
    """

    user: Int
    passed: Int
    begin: Int
    trained: Int
    moment: Int
    session: Int
    group: Int
    typed: Int
    size: Int
    pool: Int

    @classmethod
    def now(cls, past: Past, typed: int, pool: Int, session: int, group: int) -> "Moments":
        """The one moment after all events of a past, which is of a single user; arguments as above."""
        events = past.events
        one = np.ones(1, np.int64)
        return cls(
            user=(events.user[0] if len(events.user) else 0) * one,
            passed=len(events.user) * one,
            begin=0 * one,
            trained=int(events.training.sum()) * one,
            moment=past.public.now * one,
            session=session * one,
            group=group * one,
            typed=typed * one,
            size=len(pool) * one,
            pool=np.asarray(pool, np.int64),
        )


def features(past: Past, moments: Moments) -> NDArray[np.float32]:
    """The features (R, F) of all candidates of some moments.

    Args:
        past: holds at least all events of the users whose moments these are.
        moments: S of them.
    """
    rows = _Rows(past, moments)
    columns = [
        (np.log1p(rows.popularity) - 2) / 1.5,
        np.log1p(rows.group_popularity) / 1.5,
        (rows.length - 20) / 10,
        (5 * moments.typed)[rows.of] / rows.length,
        2 * np.log1p(rows.followers),
        3 * np.log1p(rows.own_count),
        rows.own_recency,
        5 * np.log1p(rows.own_followers),
        5.0 * rows.equals_previous,
        np.log1p(rows.own_first_token),
        *rows.topics(),
    ]
    values = np.empty((len(moments.pool), len(columns)), np.float32)
    for number, column in enumerate(columns):
        values[:, number] = column
    return values


class _Rows:
    """R candidates, and what is counted for each of them.

    Most candidates their user has never searched; what counts own searches looks at the others only.
    """

    def __init__(self, past: Past, moments: Moments) -> None:
        self.past, self.moments, self.public = past, moments, past.public
        self.of = np.repeat(np.arange(len(moments.size)), moments.size)
        self.query = moments.pool
        number = past.searched.number(moments.user[self.of] * len(self.public.texts) + self.query)
        self.own = np.flatnonzero(number >= 0)  # rows of candidates that are the user's own, at any time
        self.number, own_of = number[self.own], self.of[self.own]
        self.passed = moments.passed[own_of]
        self.begin = np.maximum(moments.passed - HISTORY, moments.begin)[own_of]
        # Own training events that public counts hold, and which are taken off them.
        self.counted = moments.trained[own_of]
        if self.public.strict:
            self.counted = np.minimum(self.counted, self.passed)

    def _for_all(self, of_own: NDArray[np.generic]) -> Floats:
        values = np.zeros(len(self.query))
        values[self.own] = of_own
        return values

    @cached_property
    def length(self) -> Int:
        return self.public.length[self.query]

    @property
    def popularity(self) -> Floats:
        """Searches by others."""
        mine = self._for_all(self.past.searched.before(self.number, self.counted))
        return self.public.searched(self.query, self.moments.moment[self.of]) - mine

    @property
    def group_popularity(self) -> Floats:
        """Searches by others of the user's group."""
        group = self.moments.group[self.of]
        if (group < 0).all():
            return np.zeros(len(group))
        others = self.public.in_group(group, self.query, self.moments.moment[self.of])
        mine = np.zeros(len(self.own), np.int64)
        at = self.past.grouped.number(self.past.group_key(self.number, group[self.own]))
        some = np.flatnonzero((at >= 0) & (group[self.own] >= 0))
        mine[some] = self.past.grouped.before(at[some], self.counted[some])
        return others - self._for_all(mine)

    @cached_property
    def own_count(self) -> Floats:
        """Own searches within the latest HISTORY events."""
        searched = self.past.searched
        return self._for_all(
            searched.before(self.number, self.passed) - searched.before(self.number, self.begin)
        )

    @property
    def own_recency(self) -> Floats:
        """5 / (how many events ago the user searched it), 0 for never within the latest HISTORY."""
        searched = self.past.searched
        recent = self.own_count[self.own] > 0
        number, passed = self.number[recent], self.passed[recent]
        values = np.zeros(len(self.own))
        values[recent] = 5 / (passed - searched.last(number, searched.before(number, passed)))
        return self._for_all(values)

    @cached_property
    def previous(self) -> Int:
        """(S,) the query before each moment, −1 where there is none."""
        moments = self.moments
        return np.where(moments.passed > moments.begin, self._before(self.past.events.query), -1)

    def _before(self, of_events: Int) -> Int:
        """(S,) the value of the event before each moment; any where there is none."""
        return np.append(of_events, -1)[self.moments.passed - 1]

    @property
    def equals_previous(self) -> NDArray[np.bool_]:
        """Whether it is the query before."""
        same: NDArray[np.bool_] = self.query == self.previous[self.of]
        return same

    @property
    def followers(self) -> Floats:
        """How often others searched it right after the previous query."""
        some = np.flatnonzero(self.previous[self.of] >= 0)
        counted = np.zeros(len(self.query))
        counted[some] = self.public.followed(
            self.previous[self.of[some]], self.query[some], self.moments.moment[self.of[some]]
        )
        return counted - self._for_all(self._own_pairs(np.zeros_like(self.counted), self.counted))

    @property
    def own_followers(self) -> Floats:
        """How often the user searched it right after the previous query, within the latest HISTORY events."""
        return self._for_all(self._own_pairs(self.begin + 1, self.passed))

    def _own_pairs(self, begin: Int, end: Int) -> Int:
        """How often each own row followed the previous query, from event ``begin`` until before ``end``."""
        past = self.past
        of = self.of[self.own]
        pair = past.followed.number(past.pair(self._before(past.number)[of], self.number))
        some = np.flatnonzero((pair >= 0) & (self.previous[of] >= 0))
        counted = np.zeros(len(self.own), np.int64)
        known, end = pair[some], np.maximum(end, begin)
        counted[some] = past.followed.before(known, end[some]) - past.followed.before(known, begin[some])
        return counted

    @property
    def own_first_token(self) -> Int:
        """How many of the latest HISTORY events begin with the same word."""
        moments = self.moments
        begin = np.maximum(moments.passed - HISTORY, moments.begin)
        return self.past.tokens(moments.user[self.of], self.query, begin[self.of], moments.passed[self.of])

    def topics(self) -> list[Floats]:
        """The topic's share of the user's history, whether it is the session's, and which one it is."""
        public, past, moments = self.public, self.past, self.moments
        if not public.topics:
            return []
        topic = public.topic[self.query]
        begin = np.maximum(moments.passed - HISTORY, moments.begin)
        counted = (past.topics[moments.passed] - past.topics[begin])[self.of, topic].astype(float)
        looked = np.maximum(moments.passed - begin, 1).astype(float)
        share = np.where(topic >= 0, counted, 0) / looked[self.of]
        present = (self.previous >= 0) & (self._before(past.events.session) == moments.session)
        same = present[self.of] & (topic >= 0) & (topic == public.topic[self.previous][self.of])
        return [
            4 * share,
            3 * same.astype(float),
            *(3.0 * (topic[None] == np.arange(len(public.topics))[:, None])),
        ]
