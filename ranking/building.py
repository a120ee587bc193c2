"""The slates of a dataset with the features of their candidates, of many users at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from data.arrays import Int, ranges
from data.progress import Tell, silent
from data.schema import DataError, Dataset, column, in_split, ragged
from ranking.events import Events
from ranking.features import feature_names, features
from ranking.history import Past
from ranking.moments import Moments
from ranking.public_statistics import PublicStatistics
from ranking.slates import StoredSlates

FEATURES = "features"
"""What building is called where its progress is shown."""

ROWS = 2**18
"""Candidates, about, whose features are computed at once."""


def build(
    dataset: Dataset,
    public: PublicStatistics | None = None,
    split: str | None = None,
    directory: Path | None = None,
    tell: Tell = silent,
) -> StoredSlates:
    """Slates of a dataset with their features.

    Args:
        dataset: where they come from.
        public: its public statistics, if they are known already.
        split: only the slates of this part, in user and time order; None: all, in the dataset's order.
        directory: where to keep the features on disk; None: in memory. See `StoredSlates.empty`.
        tell: is told how far it is.

    Raises:
        DataError: a feature that is not a finite number, or no slate at all.
    """
    public = public or PublicStatistics(dataset)
    builder = _Builder(dataset, public)
    chosen = split_rows(dataset, split)
    sizes = builder.size[chosen]
    slates = StoredSlates.empty(torch.from_numpy(sizes), len(feature_names(public)), directory)
    slates.wanted[:] = torch.from_numpy(np.diff(builder.reference_offsets)[chosen])
    slates.user[:] = torch.from_numpy(builder.events.user[builder.of_event[chosen]])
    slates.typed[:] = torch.from_numpy(builder.typed[chosen])
    offsets = slates.offsets.numpy()
    done = 0
    tell(FEATURES, done, len(chosen))
    for places in builder.parts(chosen):
        to = ranges(offsets[places], sizes[places])
        values, pool, position = builder.built(chosen[places])
        if not np.isfinite(values).all():
            row, feature = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            name = feature_names(public)[feature]
            text = public.texts[pool[row]]
            raise DataError(f"the feature {name!r} of the candidate {text!r} is NaN or infinite.")
        slates.features.numpy()[to] = values
        slates.candidates.numpy()[to] = pool
        slates.position.numpy()[to] = position
        done += len(places)
        tell(FEATURES, done, len(chosen))
    return slates


def split_rows(dataset: Dataset, split: str | None) -> NDArray[np.int64]:
    """Which slates of a dataset belong to a split, in user and time order; all of them for None.

    Raises:
        DataError: there is none.
    """
    if split is None:
        return np.arange(dataset.slates.num_rows)
    of_event = column(dataset.slates, "event_id")
    chosen = np.flatnonzero(in_split(dataset.events, split)[of_event])
    if not len(chosen):
        raise DataError(f"no slate is left in the {split} part of the data: import it without --drop-missed.")
    user = column(dataset.events, "user_id")[of_event[chosen]]
    return chosen[np.argsort(user, kind="stable")]


class _Builder:
    """A dataset as arrays."""

    def __init__(self, dataset: Dataset, public: PublicStatistics) -> None:
        self.public = public
        self.events = public.marked(Events.of(dataset.events, public.group_names), 0)
        self.time = column(dataset.events, "timestamp")
        user = self.events.user
        new = np.concatenate([[True], (np.diff(user) != 0) | (np.diff(self.time) != 0)])
        self.passed = np.flatnonzero(new)[np.cumsum(new) - 1]
        self.begin = np.searchsorted(user, np.arange(dataset.users.num_rows + 1))
        self.trained = self.begin[:-1] + np.bincount(
            user[self.events.training], minlength=dataset.users.num_rows
        )
        self.of_event = column(dataset.slates, "event_id")
        self.pool_offsets, self.pool = ragged(dataset.slates, "pool")
        self.reference_offsets, self.reference = ragged(dataset.slates, "reference")
        self.size = np.diff(self.pool_offsets)
        self.typed = pc.utf8_length(dataset.slates.column("prefix")).to_numpy().astype(np.int64)
        self._present: tuple[int, int] = (0, 0)
        self._past: Past | None = None

    def parts(self, chosen: Int) -> Iterator[Int]:
        """The places in ``chosen`` of all slates, by user and time, about ROWS candidates at a time."""
        order = np.argsort(self.of_event[chosen], kind="stable")
        rows = np.cumsum(self.size[chosen[order]])
        edges = np.searchsorted(rows, np.arange(ROWS, rows[-1] + 1, ROWS))
        yield from (part for part in np.split(order, np.unique(edges)) if len(part))

    def built(self, slates: Int) -> tuple[NDArray[np.float32], Int, Int]:
        """Features (R, F), query ids (R,) and places in the reference (R,) of some slates' candidates."""
        event = self.of_event[slates]
        user = self.events.user[event]
        origin = int(self.begin[user[0]])
        size = self.size[slates]
        pool = self.pool[ranges(self.pool_offsets[slates], size)].astype(np.int64)
        moments = Moments(
            user=user,
            passed=self.passed[event] - origin,
            begin=self.begin[user] - origin,
            trained=self.trained[user] - origin,
            moment=self.public.moment(self.time[event]),
            session=self.events.session[event],
            group=self.events.group[event],
            typed=self.typed[slates],
            size=size,
            pool=pool,
        )
        past = self._past_of(origin, int(self.begin[user[-1] + 1]))
        return features(past, moments), pool, self._position(slates, size, pool)

    def _past_of(self, begin: int, end: int) -> Past:
        """The events begin … end − 1; a user with many slates is asked for many times."""
        if self._past is None or self._present != (begin, end):
            self._past, self._present = Past(self.public, self.events[begin:end]), (begin, end)
        return self._past

    def _position(self, slates: Int, size: Int, pool: Int) -> Int:
        """(R,) the place of each candidate in its slate's reference, from 1; 0 outside it."""
        wanted = np.diff(self.reference_offsets)[slates]
        vocabulary = len(self.public.texts)
        references = self.reference[ranges(self.reference_offsets[slates], wanted)]
        keys = np.repeat(np.arange(len(slates)), wanted) * vocabulary + references
        places = ranges(np.ones(len(slates), np.int64), wanted)
        order = np.argsort(keys)
        sought = np.repeat(np.arange(len(slates)), size) * vocabulary + pool
        found = np.minimum(np.searchsorted(keys[order], sought), len(keys) - 1)
        return np.where(keys[order][found] == sought, places[order][found], 0)
