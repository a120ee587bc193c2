"""The one data format: four Parquet tables with explicit Arrow schemas, and a manifest.

A dataset is a directory::

    manifest.json     how it was made; rows and SHA-256 of every table
    users.parquet     one row per user
    queries.parquet   every distinct query, with its topic and public count where known
    events.parquet    one row per submitted query, by user and then time
    slates.parquet    one row per ranking moment: prefix, pool and reference
    truth/            simulated data only, read by nothing but the oracle: the users' true weights
                      and the true utility of every candidate

In memory the tables are Arrow tables too; ids are row numbers (``user_id`` 7 is row 7 of users).
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

FORMAT = "persarank-dataset"
VERSION = 1
SPLITS = ("train", "validation", "test")


class DataError(Exception):
    """The data is not what it must be; the message is one sentence for the person who brought it."""


def _schema(**columns: pa.DataType) -> pa.Schema:
    """Every column is required to hold values, unless its name is marked with a trailing underscore."""
    return pa.schema([pa.field(n.rstrip("_"), t, nullable=n.endswith("_")) for n, t in columns.items()])


SCHEMAS: dict[str, pa.Schema] = {
    "users": _schema(user_id=pa.int32(), name=pa.string()),
    "queries": _schema(query_id=pa.int32(), text=pa.string(), topic_=pa.string(), public_count=pa.int64()),
    "events": _schema(
        event_id=pa.int64(),
        user_id=pa.int32(),
        timestamp=pa.timestamp("us", tz="UTC"),
        query_id=pa.int32(),
        session_id=pa.int32(),
        group_=pa.string(),
        split=pa.string(),
    ),
    "slates": _schema(
        slate_id=pa.int64(),
        event_id=pa.int64(),
        prefix=pa.string(),
        pool=pa.list_(pa.int32()),
        reference=pa.list_(pa.int32()),
    ),
}
TRUTH_SCHEMAS: dict[str, pa.Schema] = {
    "weights": _schema(user_id=pa.int32(), cluster=pa.int32(), weights=pa.list_(pa.float64())),
    "utilities": _schema(slate_id=pa.int64(), utility=pa.list_(pa.float64())),
}


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory. ``truth`` is empty for imported logs and stays on disk until asked for."""

    users: pa.Table
    queries: pa.Table
    events: pa.Table
    slates: pa.Table
    manifest: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Equal for equal tables; names the data that a run was trained on."""
        return str(self.manifest.get("fingerprint", ""))


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column without nulls as a numpy array; timestamps as whole microseconds."""
    values = table.column(name).combine_chunks()
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def in_split(events: pa.Table, split: str) -> NDArray[np.bool_]:
    """(E,) which events are in a split."""
    array: NDArray[np.bool_] = pc.equal(events.column("split"), split).to_numpy()
    return array


def ragged(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """A list column as (offsets of length rows+1, values): row r is ``values[offsets[r]:offsets[r+1]]``."""
    values = table.column(name).combine_chunks()
    offsets = np.asarray(values.offsets, dtype=np.int64)
    return offsets - offsets[0], values.flatten().to_numpy(zero_copy_only=False)


def write(dataset: Dataset, out: Path) -> Dataset:
    """Write ``dataset`` to the directory ``out``, which appears whole or not at all.

    Returns the dataset with its finished manifest. Raises DataError if ``out`` exists and is not an
    empty directory: nothing already written is ever replaced.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty directory: choose another --out.")
    validate(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        manifest = _write_tables(dataset, building)
        building.chmod(0o755)
        if out.exists():
            out.rmdir()
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return replace(dataset, manifest=manifest)


def _write_tables(dataset: Dataset, building: Path) -> dict[str, Any]:
    """Write every file of a dataset and return its manifest."""
    files = {}
    tables = {f"{n}.parquet": (getattr(dataset, n), s) for n, s in SCHEMAS.items()}
    tables |= {f"truth/{n}.parquet": (dataset.truth[n], s) for n, s in TRUTH_SCHEMAS.items() if dataset.truth}
    for name, (table, schema) in tables.items():
        path = building / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table.cast(schema), path, compression="zstd")
        files[name] = {"rows": table.num_rows, "sha256": _sha256(path)}
    fingerprint = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    manifest = {"format": FORMAT, "version": VERSION, **dataset.manifest, "files": files}
    manifest["fingerprint"] = fingerprint
    (building / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def read(directory: Path, truth: bool = False, verify: bool = False) -> Dataset:
    """Read and validate a dataset directory.

    Args:
        directory: what `write` wrote.
        truth: also read the simulator's truth (for the oracle); stays empty for imported logs.
        verify: also compare every file's checksum with the manifest.

    Raises:
        DataError: not a dataset, a changed or truncated file, wrong columns, or impossible content.
    """
    manifest = _read_manifest(directory)
    for name in SCHEMAS:
        if f"{name}.parquet" not in manifest["files"]:
            raise DataError(f"{directory / 'manifest.json'} is damaged: it does not list {name}.parquet.")
    tables = {n: _read_table(directory / f"{n}.parquet", s) for n, s in SCHEMAS.items()}
    truths = {}
    if truth and (directory / "truth").is_dir():
        truths = {n: _read_table(directory / "truth" / f"{n}.parquet", s) for n, s in TRUTH_SCHEMAS.items()}
    for name, entry in manifest["files"].items():
        if not isinstance(entry, dict) or "sha256" not in entry:
            raise DataError(f"{directory / 'manifest.json'} is damaged: it has no checksum for {name!r}.")
        if not (directory / name).is_file():
            raise DataError(f"{directory / name} is missing: the manifest lists it.")
        if verify and _sha256(directory / name) != entry["sha256"]:
            raise DataError(f"{directory / name} has changed since it was written: its checksum differs.")
    dataset = Dataset(**tables, manifest=manifest, truth=truths)
    validate(dataset)
    return dataset


def validate(dataset: Dataset) -> None:
    """Raise DataError, naming table and row, unless the tables fit together."""
    users, queries, events, slates = dataset.users, dataset.queries, dataset.events, dataset.slates
    for name, table in (("users", users), ("queries", queries), ("events", events), ("slates", slates)):
        if table.num_rows == 0:
            raise DataError(f"{name} is empty: there is nothing to learn from.")
        for f in SCHEMAS[name]:
            if not f.nullable and table.column(f.name).null_count:
                raise DataError(
                    f"{name}: column {f.name!r} has {table.column(f.name).null_count} empty values."
                )
        if not np.array_equal(column(table, SCHEMAS[name][0].name), np.arange(table.num_rows)):
            raise DataError(f"{name}: {SCHEMAS[name][0].name} must count 0, 1, 2, … in row order.")
    if column(queries, "public_count").min() < 0:
        raise DataError("queries: public_count counts searches; it cannot be negative.")
    _validate_events(events, users.num_rows, queries.num_rows)
    _validate_slates(slates, queries, events.num_rows)
    if dataset.truth:
        _validate_truth(dataset.truth["utilities"], slates)


def _validate_truth(utilities: pa.Table, slates: pa.Table) -> None:
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
    split = column(events, "split")
    unknown = ~np.isin(split, SPLITS)
    if unknown.any():
        raise DataError(f"events: row {int(np.argmax(unknown))} has the unknown split {split[unknown][0]!r}.")
    rank = np.array([SPLITS.index(name) for name in split])
    for part, name in enumerate(SPLITS):
        without = np.setdiff1d(np.arange(users), user[rank == part])
        if len(without):
            raise DataError(f"events: user {int(without[0])} has no event in the split {name!r}.")
    if ((np.diff(user) == 0) & (np.diff(rank) < 0)).any():
        raise DataError(
            "events: a user's training events must come before validation, and those before test."
        )


def _validate_slates(slates: pa.Table, queries: pa.Table, events: int) -> None:
    _in_range(column(slates, "event_id"), events, "slates: event_id")
    for name in ("pool", "reference"):
        if slates.column(name).combine_chunks().flatten().null_count:
            raise DataError(f"slates: a {name} holds an empty value.")
    offsets, pool = ragged(slates, "pool")
    reference_offsets, reference = ragged(slates, "reference")
    _in_range(pool, queries.num_rows, "slates: pool")
    _in_range(reference, queries.num_rows, "slates: reference")
    for name, starts, values in (("pool", offsets, pool), ("reference", reference_offsets, reference)):
        row = np.repeat(np.arange(slates.num_rows), np.diff(starts))
        order = np.lexsort((values, row))
        twice = (np.diff(row[order]) == 0) & (np.diff(values[order]) == 0)
        if twice.any():
            where = order[np.argmax(twice)]
            text = queries.column("text")[int(values[where])].as_py()
            raise DataError(f"slates: row {int(row[where])} has the candidate {text!r} twice in its {name}.")
    if (np.diff(reference_offsets) == 0).any():
        empty = int(np.argmax(np.diff(reference_offsets) == 0))
        raise DataError(f"slates: row {empty} has an empty reference: somebody must have wanted something.")
    text, prefix = column(queries, "text"), column(slates, "prefix")
    if (prefix == "").any():
        raise DataError(f"slates: row {int(np.argmax(prefix == ''))} has an empty prefix.")
    row = np.repeat(np.arange(slates.num_rows), np.diff(offsets))
    for at, candidate in zip(row.tolist(), pool.tolist(), strict=True):
        if not text[candidate].startswith(prefix[at]):
            raise DataError(f"slates: row {at}: {text[candidate]!r} does not start with {prefix[at]!r}.")


def _in_range(values: NDArray[Any], size: int, what: str) -> None:
    bad = (values < 0) | (values >= size)
    if bad.any():
        raise DataError(f"{what} {int(values[bad][0])} does not exist: there are {size}.")


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / "manifest.json"
    if not path.is_file():
        raise DataError(f"{directory} is not a PersaRank dataset: it has no manifest.json.")
    try:
        manifest = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path} is not the manifest of a PersaRank dataset.")
    if manifest.get("version") != VERSION or not isinstance(manifest.get("files"), dict):
        raise DataError(
            f"{path} has version {manifest.get('version')}: this program reads version {VERSION}."
        )
    return manifest


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    try:
        table = pq.read_table(path)
        names = table.column_names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file.") from error
    missing = [n for n in schema.names if n not in names]
    extra = [n for n in names if n not in schema.names]
    if missing or extra:
        parts = [f"lacks the column(s) {', '.join(missing)}"] if missing else []
        parts += [f"has the unexpected column(s) {', '.join(extra)}"] if extra else []
        raise DataError(f"{path} {' and '.join(parts)}.")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
