"""A log's events as arrays, and what is counted of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.arrays import Int
from data.public_counts import UNTOLD
from data.schema import column, in_split

QUERY, WORD, GROUP = "query", "first word", "group"


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


STEPS = (Step(QUERY, 1, QUERY), Step(QUERY, 2, QUERY), Step(WORD, 1, QUERY), Step(WORD, 1, WORD))
"""Of whose taking is counted, in all training periods and in each user's own past."""

Counted = str | Step
COUNTED: tuple[Counted, ...] = (QUERY, GROUP, *STEPS)
"""What is counted: searches of a query, those by groups, and steps."""


@dataclass(frozen=True)
class Events:
    """E events by user and then time; each user's training events come first.

    Attributes:
        user, query, session: (E,).
        group: (E,) number in ``group_names``, −1 for none.
        training: (E,) bool.
        told: whether they are in the public counts, see `public_counts.COUNTED`, by what is counted (E,);
            None: all of training.
    """

    user: Int
    query: Int
    session: Int
    group: Int
    training: NDArray[np.bool_]
    group_names: list[str]
    told: Mapping[Counted, NDArray[np.int8]] | None = None

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
        told = self.told and {what: of[part] for what, of in self.told.items()}
        return replace(self, told=told, **{name: getattr(self, name)[part] for name in names})

    def counted(self, what: Counted) -> NDArray[np.bool_]:
        """(E,) which of them are in the public counts of something."""
        if self.told is not None:
            counted: NDArray[np.bool_] = self.told[what] > UNTOLD
            return counted
        if isinstance(what, Step):
            return self.training & self.follows(what.back)
        return self.training if what == QUERY else self.training & (self.group >= 0)
