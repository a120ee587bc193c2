"""Datasets on disk: written whole or not at all, read back and checked."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.folders import FolderError, filling, remove
from data.manifests import FORMAT, MANIFEST, TABLES, VERSION, fingerprint, parsed
from data.privacy import Budget, rules_of
from data.progress import Tell, silent
from data.schema import PUBLIC_SCHEMA, SCHEMAS, TRUTH_SCHEMAS, DataError, Dataset
from data.validation import SlateChecks, validate, validate_base, validate_truth

TRUTH, PUBLIC = "truth/", "public.parquet"
BUILDING = ".persarank.partial"
"""Where the files of a dataset lie until all are finished."""

GROUP = 65_536
"""Slates in one row group of their file: equal slates give equal bytes, however they were handed over."""


@contextmanager
def fresh(out: Path) -> Iterator[None]:
    """Make the directory of a dataset that is to be, or take an empty one, and hold it until it is written.

    Raises:
        DataError: something is at ``out`` already, which is never replaced, or it is being written.
    """
    _require_text(out)
    try:
        with filling(out):
            yield
    except FolderError as error:
        raise DataError(f"{error}: choose another --out.") from error


def write(dataset: Dataset, out: Path) -> Dataset:
    """Write ``dataset`` to the directory ``out``, where it appears whole or not at all.

    Returns the dataset with its finished manifest. Raises DataError as `fresh` does.
    """
    with fresh(out):
        return fill(dataset, out)


def fill(dataset: Dataset, out: Path) -> Dataset:
    """The same for a directory that is held already, by `fresh`."""
    if dataset.truth:
        validate_truth(dataset.truth["utilities"], dataset.slates)
    return replace(dataset, manifest=fill_parts(dataset, [dataset.slates], lambda: dataset.manifest, out))


def fill_parts(
    dataset: Dataset, slates: Iterable[pa.Table], manifest: Callable[[], Mapping[str, Any]], out: Path
) -> dict[str, Any]:
    """The same for slates that are made while they are written, so that never all of them are in memory.

    Args:
        dataset: all but the slates, which it may lack.
        slates: tables of slates in their order, of any lengths; they are checked as they come.
        manifest: what is to be said beside the files; asked for when all slates are written.
        out: where.

    Returns:
        The finished manifest.
    """
    validate_base(dataset)
    with whole(out) as building:
        files = _write_tables(dataset, slates, building)
        return write_manifest(building, FORMAT, files, manifest())


def write_manifest(
    building: Path, kind: str, files: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the manifest of a dataset that is being built, and return it.

    Args:
        building: its folder, see `whole`.
        kind: FORMAT or FEATURES.
        files: rows and checksum of every file.
        said: what is to be said beside them.
    """
    finished = {"format": kind, "version": VERSION, **said, "files": files}
    finished["fingerprint"] = fingerprint(finished)
    (building / MANIFEST).write_text(json.dumps(finished, indent=2) + "\n")
    return finished


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder for files that appear in ``out``, which is held, when all are finished; the manifest last."""
    building = out / BUILDING
    shutil.rmtree(building, ignore_errors=True)  # of a process that was killed
    building.mkdir()
    try:
        yield building
        files = sorted(
            path.relative_to(building).as_posix() for path in building.rglob("*") if path.is_file()
        )
        _appear(building, sorted(files, key=lambda name: name == MANIFEST), out)
    except OSError as error:
        if error.errno and not error.filename:  # pyarrow names no file, and says the cause in its own words
            raise OSError(error.errno, os.strerror(error.errno), str(out)) from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _appear(building: Path, names: Sequence[str], out: Path) -> None:
    """Move finished files to where they belong; the last one, the manifest, makes a dataset of them."""
    try:
        for name in names:
            (out / name).parent.mkdir(exist_ok=True)
            os.replace(building / name, out / name)
    except BaseException:
        remove(out, names)
        raise


def _write_tables(dataset: Dataset, slates: Iterable[pa.Table], building: Path) -> dict[str, Any]:
    """Write every table of a dataset; returns rows and checksum by file."""
    parts: dict[str, tuple[Iterable[pa.Table], pa.Schema]] = {}
    for name, schema in SCHEMAS.items():
        whole = name != "slates"
        parts[f"{name}.parquet"] = [getattr(dataset, name)] if whole else _checked(dataset, slates), schema
    for name, schema in TRUTH_SCHEMAS.items():
        if dataset.truth:
            parts[f"truth/{name}.parquet"] = [dataset.truth[name]], schema
    if dataset.public is not None:
        parts[PUBLIC] = [dataset.public], PUBLIC_SCHEMA
    files = {}
    for name, (tables, schema) in parts.items():
        files[name] = write_table(building / name, tables, schema)
    return files


def write_table(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> dict[str, Any]:
    """Write the parts of a table to a Parquet file; returns how many rows there are, and its checksum."""
    path.parent.mkdir(exist_ok=True)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table.cast(schema))
            rows += table.num_rows
    return {"rows": rows, "sha256": sha256(path)}


def _checked(dataset: Dataset, slates: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same slates in tables of GROUP rows, each checked."""
    checks = SlateChecks(dataset)
    for table in _groups(slates):
        checks.see(table)
        yield table
    checks.end()


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of GROUP rows, the last one shorter."""
    kept: list[pa.Table] = []
    room = GROUP
    for table in tables:
        while table.num_rows:
            kept.append(table.slice(0, room))
            room -= kept[-1].num_rows
            table = table.slice(kept[-1].num_rows)
            if not room:
                yield pa.concat_tables(kept).combine_chunks()
                kept, room = [], GROUP
    if kept:
        yield pa.concat_tables(kept).combine_chunks()


def discard(directory: Path) -> None:
    """Remove the files of a dataset, and nothing else."""
    tables = [f"{name}.parquet" for name in SCHEMAS] + [f"{TRUTH}{name}.parquet" for name in TRUTH_SCHEMAS]
    remove(directory, [MANIFEST, PUBLIC, *tables])


def read(directory: Path, truth: bool = False, tell: Tell = silent) -> Dataset:
    """Read and validate a dataset directory; what is read is as it was written, or refused.

    Args:
        directory: what `write` wrote.
        truth: also read the simulator's truth (for the oracle); stays empty for imported logs.
        tell: is told how far it is.

    Raises:
        DataError: not a dataset, a changed or truncated file, wrong columns, or impossible content.
    """
    _require_text(directory)
    manifest = read_manifest(directory)
    if manifest["format"] != FORMAT:
        raise DataError(f"{directory} holds imported features without their queries, and this needs a log.")
    files = manifest["files"]
    tables = {n: read_table(directory / f"{n}.parquet", s) for n, s in SCHEMAS.items()}
    truths = {}
    if truth and any(name.startswith(TRUTH) for name in files):
        truths = {n: read_table(directory / f"{TRUTH}{n}.parquet", s) for n, s in TRUTH_SCHEMAS.items()}
    require_unchanged(directory, files, () if truth else TRUTH)
    public = read_table(directory / PUBLIC, PUBLIC_SCHEMA) if PUBLIC in files else None
    dataset = Dataset(**tables, manifest=manifest, truth=truths, public=public)
    validate(dataset, tell)
    return dataset


def require_unchanged(directory: Path, files: Mapping[str, Any], unread: str | tuple[()] = ()) -> None:
    """Raise DataError unless all files are there and, but for those that are not read, as written."""
    for name, entry in files.items():
        if not (directory / name).is_file():
            raise DataError(f"{directory / name} is missing: the manifest lists it.")
        if not name.startswith(unread) and sha256(directory / name) != entry["sha256"]:
            raise DataError(f"{directory / name} has changed since it was written: its checksum differs.")


def _require_text(directory: Path) -> None:
    """Parquet files cannot be opened, nor runs remember, where a name is not UTF-8."""
    try:
        str(directory.absolute()).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{directory}: its path is not UTF-8: choose another.") from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a dataset directory; it fits itself, but its files have not been looked at.

    Raises:
        DataError: there is none, or it is damaged.
    """
    manifest = parsed(directory / MANIFEST)
    path, files = directory / MANIFEST, manifest["files"]
    truths = [f"{TRUTH}{name}.parquet" for name in TRUTH_SCHEMAS]
    tables = TABLES[manifest["format"]]
    wanted = [f"{name}.parquet" for name in tables] + (truths if any(t in files for t in truths) else [])
    for name in wanted:
        if name not in files:
            raise DataError(f"{path} is damaged: it does not list {name}.")
    for name, entry in files.items():
        if not isinstance(entry, dict) or "sha256" not in entry:
            raise DataError(f"{path} is damaged: it has no checksum for {name!r}.")
    if manifest.get("fingerprint") != fingerprint(manifest):
        raise DataError(f"{path} has changed since it was written: its fingerprint is not that of its files.")
    try:
        rules = rules_of(manifest)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if isinstance(rules, Budget) and PUBLIC not in files:
        raise DataError(f"{path} is damaged: it does not list {PUBLIC}.")
    return manifest


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """A Parquet file with these columns.

    Raises:
        DataError: it is not there, cannot be read, or has others.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    try:
        table = pq.read_table(path)
        names = table.column_names
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {os.strerror(errno.EACCES)}.") from error
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


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
