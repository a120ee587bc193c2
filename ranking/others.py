"""What others have searched, of the point of view of one user, beside texts that nobody else knows."""

from collections.abc import Sequence

import numpy as np

from data.arrays import Int, Occurrences
from ranking.history import Events, PublicStatistics, Step


class Others(PublicStatistics):
    """Public counts without one user's own training events, as they stand when all of those are over.

    Elsewhere a user's own searches are taken off the public counts with the help of their past. Here that is
    done once and for all, so that their past may be changed: it can lose events and get new ones without any
    effect on what others have searched. The events of such a past must not be marked as training.

    Args:
        public: of the dataset.
        own: all of the user's events in it, the training events first.
        texts: of further queries, which follow those of the dataset; nobody has ever searched them.
    """

    def __init__(self, public: PublicStatistics, own: Events, texts: Sequence[str] = ()) -> None:
        vars(self).update(vars(public))
        training = np.flatnonzero(own.training)
        query = own.query[training]
        self.count = public.count - np.bincount(query, minlength=len(public.texts))
        at = np.zeros(len(training), np.int64)
        grouped = own.group[training] >= 0
        key = self.key(own.group[training][grouped], query[grouped])
        self._mine_in_group = Occurrences(key, at[grouped], 1)
        self._mine_followed = {
            step: Occurrences(self.key(given, then), at[later], 1)
            for step, later, given, then in self.steps(own, training)
        }
        if texts:
            self._add(texts)

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

    def searched(self, query: Int, moment: Int) -> Int:
        """See `PublicStatistics.searched`."""
        counted: Int = self.count[query]
        return counted

    def in_group(self, group: Int, query: Int, moment: Int) -> Int:
        """See `PublicStatistics.in_group`."""
        others = super().in_group(group, query, moment)
        return others - _total(self._mine_in_group, self.key(group, query))

    def followed(self, step: Step, given: Int, then: Int, moment: Int) -> Int:
        """See `PublicStatistics.followed`."""
        others = super().followed(step, given, then, moment)
        return others - _total(self._mine_followed[step], self.key(given, then))


def _total(occurrences: Occurrences, key: Int) -> Int:
    """(N,) how often each key occurred, 0 for one that never did."""
    counted = np.zeros(len(key), np.int64)
    number = occurrences.number(key)
    some = np.flatnonzero(number >= 0)
    counted[some] = occurrences.total(number[some])
    return counted
