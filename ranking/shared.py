"""Public counts without what only a few users have searched: all that is told to other people."""

import numpy as np
from numpy.typing import NDArray

from data.arrays import Totals
from data.privacy import Release
from data.schema import Dataset
from ranking.events import QUERY, WORD, Counted, Events
from ranking.naming import KEYS, parts
from ranking.public_statistics import PublicStatistics


class Shared(PublicStatistics):
    """Counts of the queries that enough users have searched, and between those; others count nothing.

    Queries keep their numbers. What was released with noise may be told to anybody, and is kept as it is.

    Args:
        dataset: whose training period counts.
        public: of the dataset.
        users: how many must have searched a query in training; people who are not among the users are enough.

    Attributes:
        known: (V,) of which queries others are told.
    """

    def __init__(self, dataset: Dataset, public: PublicStatistics, users: int) -> None:
        vars(self).update(vars(public))
        self.strict, self._times = False, public._times[:0]  # what is told is told at the end
        self.known = public.count > 0
        if Release.of(dataset) is None:
            self.known &= _searched_by(Events.of(dataset.events), len(public.texts)) >= users
            self.known |= public.outside > 0
        self.count = np.where(self.known, public.count, 0)
        first_words = np.zeros(len(public.words), bool)
        first_words[public.first_token[self.known]] = True
        known = {QUERY: self.known, WORD: first_words}
        self._totals = {what: _between(what, totals, known) for what, totals in public._totals.items()}

    def table(self, what: Counted) -> Totals:
        """What is told of one kind of thing: see `PublicStatistics.happenings` for its keys."""
        return self._totals[what]


def _searched_by(events: Events, queries: int) -> NDArray[np.int64]:
    """(V,) how many users have searched each query in training."""
    pairs = np.unique(np.stack([events.user, events.query])[:, events.training], axis=1)
    return np.bincount(pairs[1], minlength=queries)


def _between(what: Counted, totals: Totals, known: dict[str, NDArray[np.bool_]]) -> Totals:
    """Those things whose parts others are told of; any group may be."""
    first, second = parts(what)
    if second is None:
        there = known[first][totals.keys]
    else:
        there = known[second][totals.keys % KEYS]
        if first in known:
            there &= known[first][totals.keys // KEYS]
    return Totals(totals.keys[there], totals.count[there])
