"""The other kind of dataset: queries whose candidates have features of somebody else's making, and no text.

It is a directory::

    manifest.json       how it was made, names of the features; rows and SHA-256 of every table
    users.parquet       one row per user
    slates.parquet      one row per query of the file: its number there, whose it is, and in which split
    candidates.parquet  one row per candidate, query by query as the file had them: its grade and its features

In memory the tables are Arrow tables too; ids are row numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrays import Int
from data.manifests import FEATURES
from data.progress import READING, Tell, silent
from data.schema import SCHEMAS, SPLITS, DataError, Dataset, column, in_split, schema_of
from data.storage import (
    read,
    read_manifest,
    read_table,
    require_unchanged,
    whole,
    write_manifest,
    write_table,
)

HIGHEST_GRADE = 30
"""LightGBM's gains, 2^grade − 1, end there."""

SLATES = schema_of(slate_id=pa.int64(), qid=pa.int64(), user_id=pa.int32(), split=pa.string())


def candidates_schema(features: int) -> pa.Schema:
    """Of a table of candidates with so many features."""
    values = pa.list_(pa.field("item", pa.float32(), nullable=False), features)
    return schema_of(slate_id=pa.int64(), grade=pa.int16(), features=values)


@dataclass(frozen=True)
class FeatureSet:
    """Queries with the features and grades of their candidates, in memory."""

    users: pa.Table
    slates: pa.Table
    candidates: pa.Table
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """See `Dataset.fingerprint`."""
        return str(self.manifest.get("fingerprint", ""))

    @property
    def names(self) -> list[str]:
        """The F features as their file numbers them."""
        return [str(name) for name in self.manifest["features"]]

    @property
    def sizes(self) -> Int:
        """(S,) how many candidates each query has."""
        return np.bincount(column(self.candidates, "slate_id"), minlength=self.slates.num_rows)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """(R, F) the features of all candidates."""
        parts = [
            chunk.flatten().to_numpy().reshape(len(chunk), -1)
            for chunk in self.candidates.column("features").chunks
        ]
        array: NDArray[np.float32] = np.concatenate(parts)
        return array


Data = Dataset | FeatureSet
"""What a ranker can be trained on."""


def open_data(directory: Path, truth: bool = False, tell: Tell = silent) -> Data:
    """A dataset of either kind, read and checked; arguments and errors as of `storage.read`."""
    if read_manifest(directory)["format"] == FEATURES:
        return read_set(directory, tell)
    return read(directory, truth, tell)


def read_set(directory: Path, tell: Tell = silent) -> FeatureSet:
    """A dataset of features, read and checked; errors as of `storage.read`."""
    manifest = read_manifest(directory)
    names = manifest.get("features")
    if not isinstance(names, list) or not names or not all(str(name).isdecimal() for name in names):
        raise DataError(f"{directory / 'manifest.json'} is damaged: it does not name the features.")
    require_unchanged(directory, manifest["files"])
    found = FeatureSet(
        users=read_table(directory / "users.parquet", SCHEMAS["users"]),
        slates=read_table(directory / "slates.parquet", SLATES),
        candidates=read_table(directory / "candidates.parquet", candidates_schema(len(names))),
        manifest=manifest,
    )
    tell(READING, 0, found.slates.num_rows)
    validate(found)
    tell(READING, found.slates.num_rows, found.slates.num_rows)
    return found


def fill(
    found: FeatureSet, candidates: Iterable[pa.Table], manifest: Mapping[str, Any], out: Path
) -> FeatureSet:
    """Write a feature set to a directory that is held, see `storage.fresh`.

    Args:
        found: all but the candidates.
        candidates: tables of them in their order, of any lengths.
        manifest: what is to be said beside the files; it names the ``features``.
        out: where.

    Returns:
        The same with its finished manifest, and without its candidates.
    """
    schema = candidates_schema(len(manifest["features"]))
    with whole(out) as building:
        files = {
            "users.parquet": write_table(building / "users.parquet", [found.users], SCHEMAS["users"]),
            "slates.parquet": write_table(building / "slates.parquet", [found.slates], SLATES),
            "candidates.parquet": write_table(building / "candidates.parquet", candidates, schema),
        }
        return replace(found, manifest=write_manifest(building, FEATURES, files, manifest))


def validate(found: FeatureSet) -> None:
    """Raise DataError, naming the table, unless the tables fit together."""
    for name in ("users", "slates", "candidates"):
        table = getattr(found, name)
        if not table.num_rows:
            raise DataError(f"{name} is empty: there is nothing to learn from.")
        if any(table.column(c).null_count for c in table.column_names):
            raise DataError(f"{name}: there are empty values.")
    for name, key in (("users", "user_id"), ("slates", "slate_id")):
        table = getattr(found, name)
        if not np.array_equal(column(table, key), np.arange(table.num_rows)):
            raise DataError(f"{name}: {key} must count 0, 1, 2, … in row order.")
    user, slate = column(found.slates, "user_id"), column(found.candidates, "slate_id")
    if user.min() < 0 or user.max() >= found.users.num_rows:
        raise DataError(f"slates: a user_id does not exist: there are {found.users.num_rows} users.")
    if set(found.slates.column("split").unique().to_pylist()) - set(SPLITS):
        raise DataError(f"slates: every split is one of {', '.join(SPLITS)}.")
    without = np.bincount(user[in_split(found.slates, "train")], minlength=found.users.num_rows) == 0
    if without.any():
        raise DataError(f"slates: user {int(np.argmax(without))} has no query to train on.")
    steps = np.diff(slate, prepend=-1, append=found.slates.num_rows)
    if (steps < 0).any() or (steps > 1).any() or steps[0] != 1 or steps[-1] != 1:
        raise DataError("candidates: those of each query must stand together, in the queries' order.")
    grade = column(found.candidates, "grade")
    if grade.min() < 0 or grade.max() > HIGHEST_GRADE:
        raise DataError(f"candidates: grades are whole numbers from 0 to {HIGHEST_GRADE}.")
    if not np.isfinite(found.values).all():
        raise DataError("candidates: a feature is NaN or infinite.")


def card(found: FeatureSet) -> dict[str, Any]:
    """What a feature set holds: users, queries by split, candidates, grades, features and their range."""
    grade, sizes = column(found.candidates, "grade"), found.sizes
    wanted = np.bincount(column(found.candidates, "slate_id")[grade > 0], minlength=len(sizes))
    grades, counts = np.unique(grade, return_counts=True)
    low, middle, high = np.percentile(sizes, [0, 50, 100])
    return {
        "kind": found.manifest.get("kind"),
        "fingerprint": found.fingerprint,
        "users": found.users.num_rows,
        "slates": found.slates.num_rows,
        "slates_by_split": {split: int(in_split(found.slates, split).sum()) for split in SPLITS},
        "pool_size": {"min": float(low), "median": float(middle), "max": float(high)},
        "features": len(found.names),
        "largest_value": float(np.abs(found.values).max()),
        "candidates_by_grade": dict(zip(map(str, grades.tolist()), counts.tolist(), strict=True)),
        "missed": int((wanted == 0).sum()),
        "left_out": found.manifest.get("left_out", {}),
        "in_two_files": found.manifest.get("in_two_files", {}),
    }
