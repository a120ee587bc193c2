"""Public counts without what only a few users have done: all that is told to other people."""

import numpy as np

from data.arrays import Totals, among
from data.privacy import Release
from data.public_counts import Sums
from data.schema import Dataset
from ranking.events import COUNTED, QUERY, Counted, Events
from ranking.public_statistics import PublicStatistics


class Shared(PublicStatistics):
    """Counts of what enough users have done: searched a query, in a group, or gone from one to another.

    What fewer have done counts nothing. People who are not among the users count as they are, and what was
    released with noise is told as it was released. Queries keep their numbers.

    Args:
        dataset: whose training period counts.
        public: of the dataset.
        users: how many must have done something in training.

    Attributes:
        known: (V,) of which queries others are told.
    """

    def __init__(self, dataset: Dataset, public: PublicStatistics, users: int) -> None:
        vars(self).update(vars(public))
        self.strict, self._times = False, public._times[:0]  # what is told is told at the end
        if Release.of(dataset) is None:
            events = public.marked(Events.of(dataset.events), 0)
            self._totals = {what: self._enough(what, events, users) for what in COUNTED}
        self.count = self.outside + self._totals[QUERY].total(np.arange(len(self.texts)))
        self.known = self.count > 0

    def table(self, what: Counted) -> Totals:
        """What is told of one kind of thing: see `PublicStatistics.happenings` for its keys."""
        return self._totals[what]

    def _enough(self, what: Counted, events: Events, users: int) -> Totals:
        some, thing = self.happenings(events, what)
        sums, totals = Sums.of(events.user[some], thing), self._totals[what]
        told = among(totals.keys, sums.thing[sums.tellers >= users])
        return Totals(totals.keys[told], totals.count[told])
