"""Turns SVMlight files with queries into a dataset of features: whose each query is, and in which split."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrays import Int, ranges
from data.feature_parts import Repeated, repeated, require_different, require_known, require_order
from data.feature_sets import SLATES, FeatureSet, candidates_schema
from data.progress import Tell, silent
from data.reading.svmlight import Candidates, read_svmlight
from data.schema import SCHEMAS, SPLITS, DataError
from data.splits import time_split

EVERYBODY = "everybody"
"""Whose all queries are where nobody says whose they are."""

TOO_FEW = "users with fewer than 3 queries"
UNTRAINED = "users without a query to train on"

VALUES = 2**24
"""Features that are written at once, zeros included."""


@dataclass(frozen=True)
class Coming:
    """A dataset of features that is to be written, by `feature_sets.fill`."""

    found: FeatureSet
    parts: Sequence[Candidates]
    keep: NDArray[np.bool_]
    base: int
    features: int
    log1p: bool
    left_out: Mapping[str, int]
    repeated: Sequence[Repeated]

    def manifest(self) -> dict[str, Any]:
        """What is said beside the files."""
        return {
            "kind": "learning-to-rank",
            "options": {"log1p": self.log1p, "first_feature": self.base},
            "features": [str(self.base + number) for number in range(self.features)],
            "left_out": dict(self.left_out),
        } | (
            {"in_two_files": {found.parts: found.queries for found in self.repeated}} if self.repeated else {}
        )

    def candidates(self) -> Iterator[pa.Table]:
        """Tables of all candidates, in their order."""
        first, kept = 0, 0
        for part in self.parts:
            keep = self.keep[first : first + len(part.qid)]
            first += len(part.qid)
            slate = np.repeat(kept + np.cumsum(keep) - 1, part.size)
            kept += int(keep.sum())
            rows = np.flatnonzero(np.repeat(keep, part.size))
            begin = np.cumsum(part.count) - part.count
            for some in np.array_split(rows, max(1, len(rows) * self.features // VALUES)):
                values = self._dense(part, begin[some], part.count[some])
                columns = [
                    pa.array(slate[some], pa.int64()),
                    pa.array(part.grade[some], pa.int16()),
                    pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), self.features),
                ]
                names = candidates_schema(self.features).names
                yield pa.table(dict(zip(names, columns, strict=True)))

    def _dense(self, part: Candidates, begin: Int, count: Int) -> NDArray[np.float32]:
        """(N, F) the features of candidates, zeros included."""
        values = np.zeros((len(begin), self.features), np.float32)
        places = ranges(begin, count)
        row = np.repeat(np.arange(len(begin)), count)
        values[row, part.feature[places] - self.base] = part.value[places]
        return np.sign(values) * np.log1p(np.abs(values)) if self.log1p else values


def read_features(
    files: Sequence[Path],
    users: Mapping[int, str] | None = None,
    log1p: bool = False,
    encoding: str | None = None,
    tell: Tell = silent,
) -> Coming:
    """Read what is to become a dataset.

    Args:
        files: one, whose queries are split inside each user as logs are, the order being that of the file; or
            three: what trains, validates and tests.
        users: whose query each one is, by its number; None: what comments say, or else all are EVERYBODY's.
        log1p: take sign(x)·ln(1 + \\|x\\|) of every feature x, as networks want it of large numbers.
        encoding: of the files; None: as `line_blocks` finds it.
        tell: is told how much has been read.

    Raises:
        DataError: a line that is not right, nobody has enough queries, or three files cannot be what they
            are given as.
    """
    if len(files) > 1:
        require_order(files)
    parts = [read_svmlight(file, encoding, tell) for file in files]
    names = [_named(file, part, users) for file, part in zip(files, parts, strict=True)]
    shared = []
    if len(files) > 1:
        require_different(files, parts)
        require_known(files, names)
        shared = repeated(files, parts, names)
    known, user = np.unique(np.array([n for some in names for n in some], dtype=object), return_inverse=True)
    queries = [len(part.qid) for part in parts]
    if len(parts) == 1:
        order = np.argsort(user, kind="stable")
        split = np.empty(len(user), dtype=object)
        split[order] = time_split(user[order])
        fits, why = np.bincount(user) >= 3, TOO_FEW
    else:
        split = np.repeat(np.array(SPLITS, dtype=object), queries)
        fits, why = np.bincount(user[: queries[0]], minlength=len(known)) > 0, UNTRAINED
    if not fits.any():
        raise DataError(f"{files[0]}: there are only {why}: at least 3 are needed of somebody.")
    keep = fits[user]
    number = np.cumsum(fits) - 1
    table = pa.table(
        [
            pa.array(np.arange(int(keep.sum())), pa.int64()),
            pa.array(np.concatenate([part.qid for part in parts])[keep], pa.int64()),
            pa.array(number[user[keep]], pa.int32()),
            pa.array(split[keep].tolist(), pa.string()),
        ],
        schema=SLATES,
    )
    columns = [pa.array(np.arange(int(fits.sum())), pa.int32()), pa.array(known[fits].tolist(), pa.string())]
    base = 0 if any((part.feature == 0).any() for part in parts) else 1
    features = max(int(part.feature.max(initial=base)) for part in parts) - base + 1
    found = FeatureSet(
        pa.table(columns, schema=SCHEMAS["users"]), table, candidates_schema(features).empty_table()
    )
    left_out = {} if fits.all() else {why: int((~fits).sum())}
    return Coming(found, parts, keep, base, features, log1p, left_out, shared)


def _named(file: Path, part: Candidates, users: Mapping[int, str] | None) -> list[str]:
    """Whose each query of a file is."""
    if users is not None:
        for qid in part.qid.tolist():
            if qid not in users:
                raise DataError(f"{file}: nobody says whose query qid {qid} is: --users must name all.")
        return [users[qid] for qid in part.qid.tolist()]
    if not any(part.user):
        return [EVERYBODY] * len(part.user)
    if not all(part.user):
        qid = part.qid[part.user.index("")]
        raise DataError(f"{file}: qid {qid} has no user:NAME in its comments, as other queries have.")
    return part.user
