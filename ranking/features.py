"""Features of a candidate, computable on the user's own device.

Fixed constants bring every feature to a standard deviation of about 1 on typical logs, as gradient
methods want it. They are never statistics of the data at hand: a device asks nobody to compute its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int
from ranking.history import HISTORY, QUERY, STEPS, WORD, Past, PublicStatistics, Step

Floats = NDArray[np.float64]

VERSION = 2
"""Of the features. Raise it with any change: a model is worth nothing on others than it learned from."""

POPULARITY, OWN_COUNT, OWN_RECENCY = "popularity", "own count", "own recency"
"""The features that yardsticks rank by."""

FOLLOWS = {
    Step(QUERY, 1, QUERY): ("follows previous", 2, 5),
    Step(QUERY, 2, QUERY): ("follows the one before", 3, 8),
    Step(WORD, 1, QUERY): ("follows first word", 1.5, 8),
    Step(WORD, 1, WORD): ("first word follows first word", 0.5, 1.5),
}
"""The name of each step's feature, and its scale for the steps of others and for the user's own."""

LATELY = (3, 10, 30)
"""Own events, at most, within which the user's searches are counted besides HISTORY."""


def feature_names(public: PublicStatistics) -> list[str]:
    """Names of the F features, in order; they depend on nothing but the data's topics."""
    return [
        POPULARITY,
        "group popularity",
        "length",
        "typed share",
        OWN_COUNT,
        OWN_RECENCY,
        *(f"own count of {events}" for events in LATELY),
        "own first word",
        "equals previous",
        *(f"{whose}{FOLLOWS[step][0]}" for step in STEPS for whose in ("", "own ")),
        *(f"share of {counted}" for counted in ("popularity", "own count", "follows", "own follows")),
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

    @property
    def recent(self) -> Int:
        """(S,) number of the first event that features look back on."""
        return np.maximum(self.passed - HISTORY, self.begin)

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
        3 * np.log1p(rows.own_count),
        rows.own_recency,
        *(5 * np.log1p(rows.recent(QUERY, events)) for events in LATELY),
        np.log1p(rows.own_first_word),
        5.0 * rows.equals_previous,
        *_follows(rows),
        *(8 * rows.share(counted) for counted in (rows.popularity, rows.own_count, *rows.followed[STEPS[0]])),
        *rows.topics(),
    ]
    values = np.empty((len(moments.pool), len(columns)), np.float32)
    for number, column in enumerate(columns):
        values[:, number] = column
    return values


def _follows(rows: "_Rows") -> Iterator[Floats]:
    """Of each step those of others, and then the user's own."""
    for step in STEPS:
        _, *scales = FOLLOWS[step]
        for scale, counted in zip(scales, rows.followed[step], strict=True):
            yield scale * np.log1p(counted)


class _Known:
    """Those of R candidates that their user has searched at any time, or whose first words were.

    Attributes:
        rows: (K,) which they are.
        of: (K,) the moment of each.
        number: (K,) in `Past.occurrences`.
        begin, passed: (K,) the user's events at the moment, at most the latest HISTORY.
        counted: (K,) own training events before this one are in the public counts, and taken off them.
    """

    def __init__(self, past: Past, moments: Moments, of: Int, which: str) -> None:
        number = past.occurrences(which).number(past.key(which, moments.user[of], moments.pool))
        self.rows = np.flatnonzero(number >= 0)
        self.size = len(of)
        self.of, self.number = of[self.rows], number[self.rows]
        self.passed = moments.passed[self.of]
        self.begin = moments.recent[self.of]
        self.counted = moments.trained[self.of]
        if past.public.strict:
            self.counted = np.minimum(self.counted, self.passed)

    def for_all(self, of_known: NDArray[np.generic]) -> Floats:
        """(R,) the values (K,), and 0 for the others."""
        values = np.zeros(self.size)
        values[self.rows] = of_known
        return values


class _Rows:
    """R candidates, and what is counted for each of them.

    Most candidates their user has never searched; what counts own searches looks at the others only.
    """

    def __init__(self, past: Past, moments: Moments) -> None:
        self.past, self.moments, self.public = past, moments, past.public
        self.of = np.repeat(np.arange(len(moments.size)), moments.size)
        self.query = moments.pool
        self.known = {which: _Known(past, moments, self.of, which) for which in (QUERY, WORD)}
        self.own = self.known[QUERY]

    @cached_property
    def length(self) -> Int:
        return self.public.length[self.query]

    @cached_property
    def popularity(self) -> Floats:
        """Searches by others."""
        mine = self.own.for_all(self.past.searched.before(self.own.number, self.own.counted))
        return self.public.searched(self.query, self.moments.moment[self.of]) - mine

    @property
    def group_popularity(self) -> Floats:
        """Searches by others of the user's group."""
        own, group = self.own, self.moments.group[self.of]
        if (group < 0).all():
            return np.zeros(len(group))
        others = self.public.in_group(group, self.query, self.moments.moment[self.of])
        mine = np.zeros(len(own.rows), np.int64)
        at = self.past.grouped.number(self.past.group_key(own.number, group[own.rows]))
        some = np.flatnonzero((at >= 0) & (group[own.rows] >= 0))
        mine[some] = self.past.grouped.before(at[some], own.counted[some])
        return others - own.for_all(mine)

    @cached_property
    def own_count(self) -> Floats:
        """Own searches within the latest HISTORY events."""
        return self.recent(QUERY, HISTORY)

    @property
    def own_first_word(self) -> Floats:
        """How many of the latest HISTORY events begin with the same word."""
        return self.recent(WORD, HISTORY)

    def recent(self, which: str, events: int) -> Floats:
        """How many of the user's latest events, so many, are of the query, or begin with its first word."""
        known, past = self.known[which], self.past.occurrences(which)
        begin = np.maximum(known.passed - events, known.begin)
        return known.for_all(past.before(known.number, known.passed) - past.before(known.number, begin))

    def share(self, counted: Floats) -> Floats:
        """Which part each candidate has of what is counted for all of its pool; 0 where there is nothing.

        What is typed leaves only the pool to choose from: so these are shares of what can be meant.
        """
        total = np.bincount(self.of, counted, len(self.moments.size))[self.of]
        return np.divide(counted, total, out=np.zeros(len(counted)), where=total > 0)

    @property
    def own_recency(self) -> Floats:
        """5 / (how many events ago the user searched it), 0 for never within the latest HISTORY."""
        own, searched = self.own, self.past.searched
        recent = self.own_count[own.rows] > 0
        number, passed = own.number[recent], own.passed[recent]
        values = np.zeros(len(own.rows))
        values[recent] = 5 / (passed - searched.last(number, searched.before(number, passed)))
        return own.for_all(values)

    @cached_property
    def previous(self) -> Int:
        """(S,) the query before each moment, −1 where there is none."""
        return self._ago(1)

    def _ago(self, back: int) -> Int:
        """(S,) the query so many events before each moment, the last one being 1; −1 where there is none."""
        moments = self.moments
        place = moments.passed - back
        return np.where(
            place >= moments.begin, np.append(self.past.events.query, -1)[np.maximum(place, -1)], -1
        )

    @property
    def equals_previous(self) -> NDArray[np.bool_]:
        """Whether it is the query before."""
        same: NDArray[np.bool_] = self.query == self.previous[self.of]
        return same

    @cached_property
    def followed(self) -> dict[Step, tuple[Floats, Floats]]:
        """See `_followed`."""
        return {step: self._followed(step) for step in STEPS}

    def _followed(self, step: Step) -> tuple[Floats, Floats]:
        """How often others took the step to it from what came before, and how often the user did.

        The user's are steps within the latest HISTORY events.
        """
        past, known = self.past, self.known[step.then]
        before = self._ago(step.back)
        given = np.where(before >= 0, self.public.part(step.given, before), -1)[self.of]
        some = np.flatnonzero(given >= 0)
        others = np.zeros(len(self.query))
        then = self.public.part(step.then, self.query[some])
        others[some] = self.public.followed(step, given[some], then, self.moments.moment[self.of[some]])

        taken = past.followed[step]
        number = taken.number(past.step_key(step, given[known.rows], known.number))
        there = np.flatnonzero(number >= 0)
        number, begin = number[there], known.begin[there] + step.back
        mine, counted = np.zeros((2, len(known.rows)), np.int64)
        counted[there] = taken.before(number, known.counted[there])
        mine[there] = taken.before(number, np.maximum(begin, known.passed[there])) - taken.before(
            number, begin
        )
        return others - known.for_all(counted), known.for_all(mine)

    def topics(self) -> list[Floats]:
        """The topic's share of the user's history, whether it is the session's, and which one it is."""
        public, past, moments = self.public, self.past, self.moments
        if not public.topics:
            return []
        topic, begin = public.topic[self.query], moments.recent
        counted = (past.topics[moments.passed] - past.topics[begin])[self.of, topic].astype(float)
        looked = np.maximum(moments.passed - begin, 1).astype(float)
        share = np.where(topic >= 0, counted, 0) / looked[self.of]
        session = np.append(past.events.session, -1)[moments.passed - 1]
        present = (self.previous >= 0) & (session == moments.session)
        same = present[self.of] & (topic >= 0) & (topic == public.topic[self.previous][self.of])
        return [
            4 * share,
            3 * same.astype(float),
            *(3.0 * (topic[None] == np.arange(len(public.topics))[:, None])),
        ]
