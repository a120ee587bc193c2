"""Moments at which somebody typed, and what is counted for every candidate of theirs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int
from ranking.events import GROUP, QUERY, STEPS, WORD, Counted, Step
from ranking.history import HISTORY, Past

Floats = NDArray[np.float64]


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


class Known:
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


class Rows:
    """R candidates, and what is counted for each of them.

    Most candidates their user has never searched; what counts own searches looks at the others only.
    """

    def __init__(self, past: Past, moments: Moments) -> None:
        self.past, self.moments, self.public = past, moments, past.public
        self.of = np.repeat(np.arange(len(moments.size)), moments.size)
        self.query = moments.pool
        self.known = {which: Known(past, moments, self.of, which) for which in (QUERY, WORD)}
        self.own = self.known[QUERY]

    @cached_property
    def length(self) -> Int:
        return self.public.length[self.query]

    @cached_property
    def popularity(self) -> Floats:
        """Searches by others."""
        counted = self.public.searched(self.query, self.moments.moment[self.of])
        outside = self.public.outside[self.query]
        return outside + self._others(QUERY, counted - outside, self.own, self.own.number)

    @property
    def group_popularity(self) -> Floats:
        """Searches by others of the user's group."""
        own, group = self.own, self.moments.group[self.of]
        if (group < 0).all():
            return np.zeros(len(group))
        counted = self.public.in_group(group, self.query, self.moments.moment[self.of])
        number = self.past.grouped.number(self.past.group_key(own.number, group[own.rows]))
        return self._others(GROUP, counted, own, np.where(group[own.rows] >= 0, number, -1))

    def _others(self, what: Counted, counted: NDArray[Any], known: Known, number: Int) -> Floats:
        """What is left of public counts (R,) for others, once the user has taken off what they told.

        Args:
            what: is counted.
            counted: (R,) by everybody together.
            known: which candidates the user has had to do with.
            number: (K,) of each of these in `Past.counted`, −1 for none.
        """
        left = counted.astype(float)
        some = np.flatnonzero(number >= 0)
        rows, number = known.rows[some], number[some]
        left[rows] -= self.past.counted(what).before(number, known.counted[some])
        if (alone := self.past.alone(what)) is not None:
            left[rows[alone[number]]] = 0
        np.maximum(left, 0, out=left)  # noise may have made less of it than the user told
        return left

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
        """1 / (how many events ago the user searched it), 0 for never within the latest HISTORY."""
        own, searched = self.own, self.past.searched
        recent = self.own_count[own.rows] > 0
        number, passed = own.number[recent], own.passed[recent]
        values = np.zeros(len(own.rows))
        values[recent] = 1 / (passed - searched.last(number, searched.before(number, passed)))
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
        counted = np.zeros(len(self.query))
        then = self.public.part(step.then, self.query[some])
        counted[some] = self.public.followed(step, given[some], then, self.moments.moment[self.of[some]])

        taken = past.followed[step]
        number = taken.number(past.step_key(step, given[known.rows], known.number))
        others = self._others(step, counted, known, number)
        there = np.flatnonzero(number >= 0)
        number, begin = number[there], known.begin[there] + step.back
        mine = np.zeros(len(known.rows), np.int64)
        mine[there] = taken.before(number, np.maximum(begin, known.passed[there])) - taken.before(
            number, begin
        )
        return others, known.for_all(mine)

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
            share,
            same.astype(float),
            *(topic[None] == np.arange(len(public.topics))[:, None]).astype(float),
        ]
