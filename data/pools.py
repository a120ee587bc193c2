"""The pools of a log: for every event what completes its prefix, in array programs over many users at once.

A pool holds the most popular completions, by the training events of others and the user's own earlier
ones, then the user's own recent queries that are not among them. While training lasts, a user's counts
grow: a = (everyone's training events) − (the user's own that are still to come). Nothing that grows past
the last of the popular ones can have come from far below: it is one of those that the user has searched in
between. So a user's moments at one prefix are cut into blocks, for each of which the popular completions
at its begin, and what the user searched during it, are all that has to be looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.arrays import Occurrences, among, ranges, within
from data.completions import POOL_SIZE
from data.prefixes import Prefixes
from data.public_counts import ALONE, UNTOLD

Int = NDArray[np.int64]
BLOCK = 64
"""Own training events with the prefix, about, in a block."""
MOMENTS = 8192
"""Events, at most, whose pools are made at once."""


@dataclass(frozen=True)
class Searches:
    """E events by user and then time, as pools see them.

    Attributes:
        user, query: (E,).
        passed: (E,) number of the first event of the same user and time: all own events before it are past.
        training: (E,) bool; each user's training events come first.
        history: own events, at most, that a pool looks back on.
        told: (E,) what becomes of these, see `public_counts.COUNTED`, where public counts are bounded: then
            popular is what others have told of, whatever the user has searched. None: all of training counts.
    """

    user: Int
    query: Int
    passed: Int
    training: NDArray[np.bool_]
    history: int
    told: NDArray[np.int8] | None = None

    @cached_property
    def begin(self) -> Int:
        """(U + 1,) user u's events are begin[u] … begin[u + 1] − 1."""
        return np.searchsorted(self.user, np.arange(self.user[-1] + 2))

    @cached_property
    def trained(self) -> Int:
        """(U,) how many training events each user has."""
        return np.bincount(self.user[self.training], minlength=len(self.begin) - 1)

    @cached_property
    def again(self) -> Int:
        """(E,) number of the user's next event with the same query, E where there is none."""
        order = np.lexsort((self.query, self.user))
        same = (np.diff(self.user[order]) == 0) & (np.diff(self.query[order]) == 0)
        again = np.full(len(order), len(order), np.int64)
        again[order[:-1][same]] = order[1:][same]
        return again


@dataclass(frozen=True)
class Pools:
    """Pools of consecutive moments: that of moment number i is pool[offsets[i] : offsets[i + 1]]."""

    offsets: Int
    pool: Int


def pools(searches: Searches, prefixes: Prefixes) -> Iterator[Pools]:
    """The pools of all events, in their order, some thousands at a time."""
    events = len(searches.user)
    for begin in range(0, events, MOMENTS):
        yield _Chunk(searches, prefixes, begin, min(begin + MOMENTS, events)).pools()


class _Chunk:
    """The moments begin … end − 1."""

    def __init__(self, searches: Searches, prefixes: Prefixes, begin: int, end: int) -> None:
        self.searches, self.prefixes = searches, prefixes
        self.begin, self.end = begin, end
        self.user, self.passed = searches.user[begin:end], searches.passed[begin:end]
        self.prefix = prefixes.of_moment[begin:end]
        self.size = len(prefixes.count)  # V
        first, last = int(self.user[0]), int(self.user[-1])
        own = np.arange(searches.begin[first], searches.begin[last + 1])
        self.constant = searches.told is not None  # what is popular for a user does not change with time
        counted = searches.training if searches.told is None else searches.told > UNTOLD
        own = own[counted[own]]
        self.origin = int(searches.begin[first])
        self.own = Occurrences(
            searches.user[own] * self.size + searches.query[own], own - self.origin, len(searches.user)
        )
        alone = own[:0] if searches.told is None else own[searches.told[own] == ALONE]
        self.alone = among(self.own.keys, searches.user[alone] * self.size + searches.query[alone])

    def pools(self) -> Pools:
        """See `Pools`."""
        popular = self._popular()
        counts = np.bincount(popular // self.size, minlength=self.end - self.begin)
        edge = self._edge(popular, counts)
        own = self._recent(counts, edge)
        moment = np.concatenate([popular, own]) // self.size
        order = np.argsort(moment, kind="stable")
        size = np.bincount(moment, minlength=self.end - self.begin)
        offsets = np.concatenate([[0], np.cumsum(size)])
        return Pools(offsets, np.concatenate([popular, own])[order] % self.size)

    def _popular(self) -> Int:
        """The most popular completions of every moment as moment · V + query, by moment and falling count."""
        searches = self.searches
        # Also a held-out event may have a training event of its own time, which is not past.
        growing = self.passed < (searches.begin[:-1] + searches.trained)[self.user]
        if self.constant:
            growing = among(self.user, self.own.keys // self.size)
        parts = [self._settled(np.flatnonzero(~growing)), self._growing(np.flatnonzero(growing))]
        together = np.concatenate(parts)
        return together[np.argsort(together // self.size, kind="stable")]

    def _settled(self, moments: Int) -> Int:
        """Where all own training events are past, the most popular ones are everybody's."""
        prefix = self.prefix[moments]
        size = np.minimum(np.diff(self.prefixes.start)[prefix], POOL_SIZE)
        known = self.prefixes.known[ranges(self.prefixes.start[prefix], size)]
        return np.repeat(moments, size) * self.size + known

    def _growing(self, moments: Int) -> Int:
        """Where own training events are still to come, or else are no part of what is popular."""
        if not len(moments):
            return moments
        return _Blocks.cut(self, moments).popular()

    def count_at(self, own: Int, query: Int, passed: Int) -> Int:
        """(N,) a of queries at moments that own events before ``passed`` precede.

        Args:
            own: (N,) number of the (user, query) in ``self.own``, −1 for what the user never trains on.
            query: (N,).
            passed: (N,).
        """
        count = self.prefixes.count[query].copy()
        mine = np.flatnonzero(own >= 0)
        number = own[mine]
        count[mine] -= self.own.total(number)
        if self.constant:
            count[mine[self.alone[number]]] = 0
        else:
            count[mine] += self.own.before(number, passed[mine] - self.origin)
        return count

    def _edge(self, popular: Int, counts: Int) -> Int:
        """(moments,) how late in the order of popularity the last popular completion of a full pool comes."""
        full = np.flatnonzero(counts == POOL_SIZE)
        last = popular[np.cumsum(counts)[full] - 1] % self.size
        own = self.own.number(self.user[full] * self.size + last)
        edge = np.full(len(counts), np.iinfo(np.int64).max)
        edge[full] = self._order(self.count_at(own, last, self.passed[full]), last)
        return edge

    def _order(self, count: Int, query: Int) -> Int:
        """Less for what is more popular, at equal counts for what comes first by text."""
        late: Int = query - count * self.size
        return late

    def _recent(self, counts: Int, edge: Int) -> Int:
        """The user's own recent completions beside the popular ones, the latest first; as in `_popular`."""
        searches = self.searches
        low, high = self.prefixes.low[self.prefix], self.prefixes.high[self.prefix]
        back = np.minimum(self.passed - searches.begin[self.user], searches.history)
        moment = np.repeat(np.arange(len(back)), back)
        event = self.passed[moment] - 1 - within(back)
        query = searches.query[event]
        fits = (
            (query >= low[moment]) & (query < high[moment]) & (searches.again[event] >= self.passed[moment])
        )
        moment, query = moment[fits], query[fits]
        own = self.own.number(self.user[moment] * self.size + query)
        count = self.count_at(own, query, self.passed[moment])
        offered = (count > 0) & (self._order(count, query) <= edge[moment])
        beside: Int = moment[~offered] * self.size + query[~offered]
        return beside


@dataclass(frozen=True)
class _Blocks:
    """B blocks: moments of one user at one prefix, close to each other.

    Attributes:
        chunk: where they come from.
        moments: (M,) numbers in the chunk; some own training event is still to come at each.
        of: (M,) the block of each.
        user, prefix: (B,).
        begin: (B,) how many events of all are past when the block begins, and ``end`` (B,) when it ends.
        first: (B,) and ``distinct`` (B,): the queries with the prefix that the user trains on are so many
            adjacent numbers of ``chunk.own``.
    """

    chunk: _Chunk
    moments: Int
    of: Int
    user: Int
    prefix: Int
    begin: Int
    end: Int
    first: Int
    distinct: Int

    @classmethod
    def cut(cls, chunk: _Chunk, moments: Int) -> "_Blocks":
        """The blocks of some moments before the user's last training event."""
        searches, prefixes, own = chunk.searches, chunk.prefixes, chunk.own
        number = len(prefixes.low)
        groups, group = np.unique(chunk.user[moments] * number + chunk.prefix[moments], return_inverse=True)
        user, prefix = groups // number, groups % number
        first = np.searchsorted(own.keys, user * chunk.size + prefixes.low[prefix])
        last = np.searchsorted(own.keys, user * chunk.size + prefixes.high[prefix])
        searched = own.between(first, last)
        pieces = np.maximum(-(-searched // np.maximum(BLOCK, 2 * np.sqrt(searched).astype(int))), 1)
        trained, since = searches.trained[user], searches.begin[user]
        piece = (chunk.passed[moments] - since[group]) * pieces[group] // trained[group]
        keys, of = np.unique(group * (len(chunk.searches.user) + 1) + piece, return_inverse=True)
        group, piece = keys // (len(chunk.searches.user) + 1), keys % (len(chunk.searches.user) + 1)
        end = np.zeros(len(keys), np.int64)
        np.maximum.at(end, of, chunk.passed[moments])
        begin = since[group] - (-piece * trained[group] // pieces[group])
        return cls(
            chunk, moments, of, user[group], prefix[group], begin, end, first[group], (last - first)[group]
        )

    def popular(self) -> Int:
        """The most popular completions of every moment as moment · V + query."""
        chunk = self.chunk
        start, slot, own = self._slots()
        size = np.diff(start)[self.of]
        at = ranges(start[self.of], size)
        row = np.repeat(np.arange(len(size)), size)
        count = chunk.count_at(own[at], slot[at], chunk.passed[self.moments][row])
        row, query = self._best(row, count, slot[at])
        return self.moments[row] * chunk.size + query

    def _slots(self) -> tuple[Int, Int, Int]:
        """What may be popular in block b: start[b] … start[b + 1] − 1 of the queries and own numbers."""
        chunk, prefixes = self.chunk, self.chunk.prefixes
        width = np.minimum(np.diff(prefixes.start)[self.prefix], POOL_SIZE + self.distinct)
        query = prefixes.known[ranges(prefixes.start[self.prefix], width)]
        block = np.repeat(np.arange(len(width)), width)
        own = np.full(len(query), -1, np.int64)
        mine = ranges(self.first, self.distinct)
        whose = np.repeat(np.arange(len(width)), self.distinct)
        sought = chunk.own.keys[mine] % chunk.size
        place = prefixes.place(self.prefix[whose], sought) - prefixes.start[self.prefix[whose]]
        near = place < width[whose]
        row = (np.cumsum(width) - width)[whose[near]] + place[near]
        own[row] = mine[near]
        count = chunk.count_at(own, query, self.begin[block])
        taken_block, taken = self._best(block, count, query)
        known = among(whose * chunk.size + sought, taken_block * chunk.size + taken)
        since, until = self.begin[whose] - chunk.origin, self.end[whose] - chunk.origin
        touched = chunk.own.before(mine, until) > chunk.own.before(mine, since)
        more = touched & ~known
        block = np.concatenate([taken_block, whose[more]])
        order = np.argsort(block, kind="stable")
        query = np.concatenate([taken, sought[more]])[order]
        block = block[order]
        start = np.searchsorted(block, np.arange(len(width) + 1))
        return start, query, chunk.own.number(self.user[block] * chunk.size + query)

    def _best(self, row: Int, count: Int, query: Int) -> tuple[Int, Int]:
        """The POOL_SIZE most popular queries of every row, those with a count; by row and falling count."""
        there = count > 0
        row, count, query = row[there], count[there], query[there]
        size = self.chunk.size
        most = int(self.chunk.prefixes.count.max()) + 1
        keys = np.sort((row * most + (most - 1 - count)) * size + query)
        row = keys // size // most
        kept = within(np.bincount(row)) < POOL_SIZE if len(row) else there[:0]
        return row[kept], keys[kept] % size
