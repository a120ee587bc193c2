"""Where slates come from: a log, whose features are computed here, or features that somebody else has made.

Whoever trains or judges a ranker sees a `Source` alone. What needs a query's text asks for ``texts``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data import card, feature_sets
from data.arrays import Int, ranges
from data.feature_sets import Data, FeatureSet
from data.progress import Tell, silent
from data.schema import DataError, Dataset, column, in_split, ragged
from ranking.building import FEATURES, build, split_rows
from ranking.features import feature_names
from ranking.public_statistics import PublicStatistics
from ranking.slates import Slates, StoredSlates, pad
from ranking.yardsticks import yardsticks

Yardsticks = dict[str, Callable[[Slates], Tensor] | None]


class Source(Protocol):
    """What slates are built from.

    Attributes:
        fingerprint: of the dataset.
        users: names of the U users.
        feature_names: of the F features.
        texts: of the queries that candidates are; None: their texts are not known.
        first_feature: the number of the first feature where they are numbered.
        candidates: R, of all splits together.
    """

    fingerprint: str
    users: list[str]
    feature_names: list[str]
    first_feature: int
    texts: list[str] | None
    candidates: int

    def slates(self, split: str, directory: Path | None = None, tell: Tell = silent) -> StoredSlates:
        """The slates of a split, by user and then time; arguments and errors as of `building.build`."""
        ...

    def rows(self, split: str) -> Int:
        """(S,) which rows of their table these slates are: in this order they were written, or read."""
        ...

    def numbers(self, split: str) -> Int:
        """(S,) by which number each of these slates is known outside."""
        ...

    def prefixes(self, split: str) -> list[str | None]:
        """What had been typed at each of these slates; None where that is not known."""
        ...

    def yardsticks(self) -> Yardsticks:
        """See `yardsticks.yardsticks`; None for those that these slates do not allow."""
        ...

    def utilities(self, split: str) -> Tensor | None:
        """(S, N) true utilities, of simulated data that was read with its truth."""
        ...

    def trained(self) -> Int:
        """(U,) how many events or queries of each user are for training."""
        ...

    def earlier(self, split: str) -> Int | None:
        """(S,) how many events of its user are strictly earlier than each slate; None without times."""
        ...

    def card(self) -> dict[str, Any]:
        """What the data looks like, for people."""
        ...


class Log:
    """A log as a `Source`; ``public`` is what is known of everyone's training period."""

    def __init__(self, dataset: Dataset, public: PublicStatistics | None = None) -> None:
        self.dataset, self.fingerprint = dataset, dataset.fingerprint
        self.public = public or PublicStatistics(dataset)
        self.users: list[str] = dataset.users.column("name").to_pylist()
        self.feature_names = feature_names(self.public)
        self.first_feature = 1
        self.texts: list[str] | None = self.public.texts
        self.candidates = len(ragged(dataset.slates, "pool")[1])

    def slates(self, split: str, directory: Path | None = None, tell: Tell = silent) -> StoredSlates:
        """See `Source.slates`."""
        return build(self.dataset, self.public, split, directory, tell)

    def rows(self, split: str) -> Int:
        """See `Source.rows`."""
        return split_rows(self.dataset, split)

    def numbers(self, split: str) -> Int:
        """See `Source.numbers`: they are those of the rows."""
        return self.rows(split)

    def prefixes(self, split: str) -> list[str | None]:
        """See `Source.prefixes`."""
        typed: list[str | None] = self.dataset.slates.column("prefix").take(self.numbers(split)).to_pylist()
        return typed

    def yardsticks(self) -> Yardsticks:
        """See `Source.yardsticks`."""
        return dict(yardsticks(self.public))

    def utilities(self, split: str) -> Tensor | None:
        """See `Source.utilities`."""
        if not self.dataset.truth:
            return None
        offsets, values = ragged(self.dataset.truth["utilities"], "utility")
        by_slate = torch.tensor(values).split(np.diff(offsets).tolist())
        return pad([by_slate[row] for row in self.numbers(split).tolist()])

    def trained(self) -> Int:
        """See `Source.trained`."""
        events = self.dataset.events
        user = column(events, "user_id")[in_split(events, "train")]
        return np.bincount(user, minlength=len(self.users))

    def earlier(self, split: str) -> Int:
        """See `Source.earlier`."""
        events, slates = self.dataset.events, self.dataset.slates
        counts = earlier(column(events, "user_id"), column(events, "timestamp"))
        found: Int = counts[column(slates, "event_id")[self.rows(split)]]
        return found

    def card(self) -> dict[str, Any]:
        """See `Source.card`."""
        return card.card(self.dataset)


class Imported:
    """Imported features as a `Source`.

    Whoever has a grade above 0 is in the reference: higher grades first, and of equal ones as the file has
    them. A query in which nobody has is a miss, with a reference of length 1 that is not in its pool.
    """

    def __init__(self, found: FeatureSet) -> None:
        self.found, self.fingerprint = found, found.fingerprint
        self.users: list[str] = found.users.column("name").to_pylist()
        self.feature_names = [f"feature {name}" for name in found.names]
        self.first_feature = int(found.names[0])
        self.texts: list[str] | None = None
        self.candidates = found.candidates.num_rows

    def slates(self, split: str, directory: Path | None = None, tell: Tell = silent) -> StoredSlates:
        """See `Source.slates`. A candidate's number is its place in its query, from 1; nothing is typed."""
        chosen = self.rows(split)
        size = self.found.sizes
        begin = (np.cumsum(size) - size)[chosen]
        size = size[chosen]
        slates = StoredSlates.empty(torch.from_numpy(size), len(self.feature_names), directory)
        rows = ranges(begin, size)
        grade = column(self.found.candidates, "grade")[rows]
        slate = np.repeat(np.arange(len(size)), size)
        slates.position[:] = torch.from_numpy(places(grade, slate))
        slates.candidates[:] = torch.from_numpy(ranges(np.ones(len(size)), size))
        slates.wanted[:] = torch.from_numpy(np.maximum(1, np.bincount(slate[grade > 0], minlength=len(size))))
        slates.user[:] = torch.from_numpy(column(self.found.slates, "user_id")[chosen])
        tell(FEATURES, 0, len(size))
        np.take(self.found.values, rows, axis=0, out=slates.features.numpy())
        tell(FEATURES, len(size), len(size))
        return slates.graded(torch.from_numpy(grade))

    def numbers(self, split: str) -> Int:
        """See `Source.numbers`: they are those of the file."""
        qid: Int = column(self.found.slates, "qid")[self.rows(split)]
        return qid

    def prefixes(self, split: str) -> list[str | None]:
        """See `Source.prefixes`."""
        return [None] * len(self.rows(split))

    def yardsticks(self) -> Yardsticks:
        """See `Source.yardsticks`: nobody knows what is popular, or what somebody has searched."""
        return {"random": lambda slates: torch.zeros(slates.mask.shape), "popularity": None, "history": None}

    def utilities(self, split: str) -> Tensor | None:
        """See `Source.utilities`."""
        return None

    def trained(self) -> Int:
        """See `Source.trained`."""
        user = column(self.found.slates, "user_id")[in_split(self.found.slates, "train")]
        return np.bincount(user, minlength=len(self.users))

    def earlier(self, split: str) -> None:
        """See `Source.earlier`."""

    def card(self) -> dict[str, Any]:
        """See `Source.card`."""
        return feature_sets.card(self.found)

    def rows(self, split: str) -> Int:
        """See `Source.rows`.

        Raises:
            DataError: the split is empty.
        """
        chosen = np.flatnonzero(in_split(self.found.slates, split))
        if not len(chosen):
            raise DataError(f"there is no query in the {split} part of the data.")
        user = column(self.found.slates, "user_id")[chosen]
        return chosen[np.argsort(user, kind="stable")]


def places(grade: NDArray[np.int16], slate: Int) -> NDArray[np.int16]:
    """(R,) each candidate's place in its reference, from 1; 0 outside it.

    Args:
        grade: (R,) how much it is wanted, 0 for not at all.
        slate: (R,) its slate, ascending.
    """
    member = np.flatnonzero(grade > 0)
    order = member[np.lexsort((-grade[member], slate[member]))]
    counts = np.bincount(slate[member], minlength=int(slate[-1]) + 1)
    found = np.zeros(len(grade), np.int16)
    found[order] = ranges(np.ones(len(counts)), counts)
    return found


def earlier(user: Int, time: Int) -> Int:
    """(E,) how many events of the same user are strictly earlier than each event.

    Args:
        user: (E,) whose they are, in any order.
        time: (E,) when they were.
    """
    order = np.lexsort((time, user))
    place = np.arange(len(order))
    user_begins = np.diff(user[order], prepend=-1) != 0
    moment_begins = user_begins | (np.diff(time[order], prepend=0) != 0)
    first_of_user = np.maximum.accumulate(np.where(user_begins, place, 0))
    first_of_moment = np.maximum.accumulate(np.where(moment_begins, place, 0))
    counts = np.empty_like(place)
    counts[order] = first_of_moment - first_of_user
    return counts


def source_of(data: Data) -> Source:
    """A dataset of either kind as a source of slates."""
    return Log(data) if isinstance(data, Dataset) else Imported(data)
