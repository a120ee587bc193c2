"""What others have searched, of the point of view of one user, beside texts that nobody else knows."""

from collections.abc import Sequence

import numpy as np

from data.arrays import Int, Totals, among
from data.public_counts import ALONE
from ranking.events import GROUP, QUERY, STEPS, Counted, Events, Step
from ranking.public_statistics import PublicStatistics


class Others(PublicStatistics):
    """Public counts without one user's own training events, as they stand when all of those are over.

    Elsewhere a user's own searches are taken off the public counts with the help of their past. Here that is
    done once and for all, so that their past may be changed: it can lose events and get new ones without any
    effect on what others have searched. The events of such a past must not be marked as training.

    Args:
        public: of the dataset.
        own: all of the user's events in it, the training events first, see `PublicStatistics.marked`.
        texts: of further queries, which follow those of the dataset; nobody has ever searched them.

    Attributes:
        off: (V,) how much of the public count of each query of the dataset is not told of by others, or by
            too few of them.
    """

    def __init__(self, public: PublicStatistics, own: Events, texts: Sequence[str] = ()) -> None:
        vars(self).update(vars(public))
        _, query = self.happenings(own, QUERY)
        self.off = np.bincount(query, minlength=len(public.texts))
        alone = self._alone(own, QUERY)
        self.off[alone] = (public.count - public.outside)[alone]
        # Noise may have made less of it than the user told.
        self.off = np.minimum(self.off, public.count - public.outside)
        self.count = public.count - self.off
        self._mine = {what: Totals.of(self.happenings(own, what)[1]) for what in (GROUP, *STEPS)}
        self._hidden = {what: self._alone(own, what) for what in (GROUP, *STEPS)}
        if texts:
            self._add(texts)

    def _alone(self, own: Events, what: Counted) -> Int:
        """Of what too few others have told, so that nothing counts for this user; keys as in `happenings`."""
        some, key = self.happenings(own, what)
        return key[:0] if own.told is None else np.unique(key[own.told[what][some] == ALONE])

    def taken_off(self, what: Counted) -> Totals:
        """How much of public counts others do not tell of, or too few of them; keys as in `happenings`."""
        if what == QUERY:
            some = np.flatnonzero(self.off)
            return Totals(some, self.off[some])
        key = self._mine[what].keys
        counted = self._totals[what].total(key)
        return Totals(key, counted - self._left(what, key, counted))

    def _left(self, what: Counted, key: Int, counted: Int) -> Int:
        """(N,) what is left of public counts for others."""
        left = np.maximum(counted - self._mine[what].total(key), 0)
        return np.where(among(key, self._hidden[what]), 0, left)

    def _add(self, texts: Sequence[str]) -> None:
        words = dict(self.words)
        first = [words.setdefault(text.split(" ", 1)[0], len(words)) for text in texts]
        nobody = np.zeros(len(texts), np.int64)
        self.texts = [*self.texts, *texts]
        self.words = words
        self.topic = np.append(self.topic, nobody - 1)
        self.first_token = np.append(self.first_token, first)
        self.length = np.append(self.length, [len(text) for text in texts])
        self.count = np.append(self.count, nobody)
        self.outside = np.append(self.outside, nobody)

    def searched(self, query: Int, moment: Int) -> Int:
        """See `PublicStatistics.searched`."""
        counted: Int = self.count[query]
        return counted

    def in_group(self, group: Int, query: Int, moment: Int) -> Int:
        """See `PublicStatistics.in_group`."""
        return self._left(GROUP, self.key(group, query), super().in_group(group, query, moment))

    def followed(self, step: Step, given: Int, then: Int, moment: Int) -> Int:
        """See `PublicStatistics.followed`."""
        return self._left(step, self.key(given, then), super().followed(step, given, then, moment))
