"""What must hold of a dataset's tables, each by itself and all together."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.completions import starting_with
from data.progress import READING, Tell, silent
from data.schema import SCHEMAS, SPLITS, DataError, Dataset, column, in_split, ragged

ROWS = 16_384
"""Slates checked at once."""


def validate(dataset: Dataset, tell: Tell = silent) -> None:
    """Raise DataError, naming table and row, unless the tables fit together."""
    slates = dataset.slates.num_rows
    tell(READING, 0, slates)
    validate_base(dataset)
    checks = SlateChecks(dataset)
    for begin in range(0, slates, ROWS):
        checks.see(dataset.slates.slice(begin, ROWS))
        tell(READING, min(begin + ROWS, slates), slates)
    checks.end()
    if dataset.truth:
        validate_truth(dataset.truth["utilities"], dataset.slates)


def validate_base(dataset: Dataset) -> None:
    """The same for all tables but slates."""
    for name in ("users", "queries", "events"):
        _whole(name, getattr(dataset, name))
    if column(dataset.queries, "public_count").min() < 0:
        raise DataError("queries: public_count counts searches; it cannot be negative.")
    _validate_events(dataset.events, dataset.users.num_rows, dataset.queries.num_rows)


class SlateChecks:
    """Slates are given in their order, some at a time, and each time checked against the other tables."""

    def __init__(self, dataset: Dataset) -> None:
        self._events, self._queries = dataset.events.num_rows, dataset.queries.num_rows
        self._texts = dataset.queries.column("text").combine_chunks()
        order = pc.sort_indices(self._texts)
        self._sorted: list[str] = self._texts.take(order).to_pylist()
        self._rank = np.empty(len(order), np.int64)
        self._rank[order.to_numpy()] = np.arange(len(order))
        self._between: dict[str, tuple[int, int]] = {}
        self._seen = 0

    def see(self, slates: pa.Table) -> None:
        """Check the next slates.

        Raises:
            DataError: something of them cannot be; names the row.
        """
        for begin in range(0, slates.num_rows, ROWS):
            self._check(slates.slice(begin, ROWS))

    def _check(self, slates: pa.Table) -> None:
        _no_nulls("slates", slates)
        first = self._seen
        if not np.array_equal(column(slates, "slate_id"), np.arange(first, first + slates.num_rows)):
            raise DataError("slates: slate_id must count 0, 1, 2, … in row order.")
        _in_range(column(slates, "event_id"), self._events, "slates: event_id")
        rows = {}
        for name in ("pool", "reference"):
            offsets, values = self._list(slates, name)
            rows[name] = np.repeat(np.arange(slates.num_rows), np.diff(offsets)), values
            self._twice(name, *rows[name])
            if name == "reference" and (np.diff(offsets) == 0).any():
                empty = first + int(np.argmax(np.diff(offsets) == 0))
                raise DataError(
                    f"slates: row {empty} has an empty reference: somebody must have wanted something."
                )
        self._prefixes(slates.column("prefix"), *rows["pool"])
        self._seen += slates.num_rows

    def end(self) -> None:
        """Raise DataError if there was no slate at all."""
        _not_empty("slates", self._seen)

    def _list(self, slates: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        if slates.column(name).combine_chunks().flatten().null_count:
            raise DataError(f"slates: a {name} holds an empty value.")
        offsets, values = ragged(slates, name)
        _in_range(values, self._queries, f"slates: {name}")
        return offsets, values

    def _twice(self, name: str, row: NDArray[np.int64], values: NDArray[Any]) -> None:
        keys = np.sort(row * self._queries + values)
        twice = np.diff(keys) == 0
        if twice.any():
            key = int(keys[np.argmax(twice)])
            text = self._texts[key % self._queries].as_py()
            raise DataError(
                f"slates: row {self._seen + key // self._queries} has the candidate {text!r} twice "
                f"in its {name}."
            )

    def _prefixes(self, prefix: pa.ChunkedArray, row: NDArray[np.int64], pool: NDArray[Any]) -> None:
        """All candidates start with what was typed: in text order they lie between two places."""
        distinct = prefix.combine_chunks().dictionary_encode()
        names = distinct.dictionary.to_pylist()
        number = distinct.indices.to_numpy()
        if "" in names:
            raise DataError(
                f"slates: row {self._seen + int(np.argmax(number == names.index('')))} has an empty prefix."
            )
        low, high = np.array([self._bounds(name) for name in names]).T
        rank = self._rank[pool]
        bad = (rank < low[number][row]) | (rank >= high[number][row])
        if bad.any():
            at = int(np.argmax(bad))
            text, typed = self._texts[int(pool[at])].as_py(), names[number[row[at]]]
            raise DataError(f"slates: row {self._seen + row[at]}: {text!r} does not start with {typed!r}.")

    def _bounds(self, prefix: str) -> tuple[int, int]:
        """Between which places in text order the queries stand that start with a prefix."""
        if prefix not in self._between:
            self._between[prefix] = starting_with(self._sorted, prefix)
        return self._between[prefix]


def _whole(name: str, table: pa.Table) -> None:
    """A table that is not empty, has no empty values where there must be some, and counts its rows."""
    _not_empty(name, table.num_rows)
    _no_nulls(name, table)
    if not np.array_equal(column(table, SCHEMAS[name][0].name), np.arange(table.num_rows)):
        raise DataError(f"{name}: {SCHEMAS[name][0].name} must count 0, 1, 2, … in row order.")


def _not_empty(name: str, rows: int) -> None:
    if rows == 0:
        raise DataError(f"{name} is empty: there is nothing to learn from.")


def _no_nulls(name: str, table: pa.Table) -> None:
    for f in SCHEMAS[name]:
        if not f.nullable and table.column(f.name).null_count:
            raise DataError(f"{name}: column {f.name!r} has {table.column(f.name).null_count} empty values.")


def validate_truth(utilities: pa.Table, slates: pa.Table) -> None:
    """Raise DataError unless there is one finite utility for every candidate."""
    offsets, values = ragged(utilities, "utility")
    if not np.array_equal(offsets, ragged(slates, "pool")[0]):
        raise DataError("truth/utilities: there must be one utility for every candidate of every slate.")
    if not np.isfinite(values).all():
        raise DataError("truth/utilities: a utility is NaN or infinite.")


def _validate_events(events: pa.Table, users: int, queries: int) -> None:
    user, time = column(events, "user_id"), column(events, "timestamp")
    _in_range(user, users, "events: user_id")
    _in_range(column(events, "query_id"), queries, "events: query_id")
    backwards = (np.diff(user) < 0) | ((np.diff(user) == 0) & (np.diff(time) < 0))
    if backwards.any():
        raise DataError(f"events: row {int(np.argmax(backwards)) + 1} is out of order (user, then time).")
    counts = np.bincount(user, minlength=users)
    if counts.min() < 3:
        raise DataError(
            f"user {int(counts.argmin())} has {int(counts.min())} event(s): at least 3 are needed, "
            "one each to train, validate and test; leave such users out."
        )
    rank = np.full(len(user), -1)
    for part, name in enumerate(SPLITS):
        rank[in_split(events, name)] = part
    if (rank < 0).any():
        row = int(np.argmax(rank < 0))
        raise DataError(f"events: row {row} has the unknown split {events.column('split')[row].as_py()!r}.")
    for part, name in enumerate(SPLITS):
        without = np.flatnonzero(np.bincount(user[rank == part], minlength=users) == 0)
        if len(without):
            raise DataError(f"events: user {int(without[0])} has no event in the split {name!r}.")
    if ((np.diff(user) == 0) & (np.diff(rank) < 0)).any():
        raise DataError(
            "events: a user's training events must come before validation, and those before test."
        )


def _in_range(values: NDArray[Any], size: int, what: str) -> None:
    bad = (values < 0) | (values >= size)
    if bad.any():
        raise DataError(f"{what} {int(values[bad][0])} does not exist: there are {size}.")
