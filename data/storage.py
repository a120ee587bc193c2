"""Datasets on disk: written whole or not at all, read back and checked."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.progress import Tell, silent
from data.schema import SCHEMAS, TRUTH_SCHEMAS, DataError, Dataset
from data.validation import SlateChecks, validate, validate_base, validate_truth

FORMAT = "persarank-dataset"
VERSION = 1
GROUP = 65_536
"""Slates in one row group of their file: equal slates give equal bytes, however they were handed over."""


def write(dataset: Dataset, out: Path) -> Dataset:
    """Write ``dataset`` to the directory ``out``, which appears whole or not at all.

    Returns the dataset with its finished manifest. Raises DataError if ``out`` exists and is not an
    empty directory: nothing already written is ever replaced.
    """
    if dataset.truth:
        validate_truth(dataset.truth["utilities"], dataset.slates)
    return replace(dataset, manifest=write_parts(dataset, [dataset.slates], lambda: dataset.manifest, out))


def write_parts(
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
    require_free(out)
    validate_base(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        files = _write_tables(dataset, slates, building)
        fingerprint = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
        finished = {"format": FORMAT, "version": VERSION, **manifest(), "files": files}
        finished["fingerprint"] = fingerprint
        (building / "manifest.json").write_text(json.dumps(finished, indent=2) + "\n")
        building.chmod(0o755)
        if out.exists():
            out.rmdir()
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return finished


def require_free(out: Path) -> None:
    """Raise DataError if something is at ``out`` already: nothing already written is ever replaced."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty directory: choose another --out.")


def _write_tables(dataset: Dataset, slates: Iterable[pa.Table], building: Path) -> dict[str, Any]:
    """Write every table of a dataset; returns rows and checksum by file."""
    parts: dict[str, tuple[Iterable[pa.Table], pa.Schema]] = {}
    for name, schema in SCHEMAS.items():
        whole = name != "slates"
        parts[f"{name}.parquet"] = [getattr(dataset, name)] if whole else _checked(dataset, slates), schema
    for name, schema in TRUTH_SCHEMAS.items():
        if dataset.truth:
            parts[f"truth/{name}.parquet"] = [dataset.truth[name]], schema
    files = {}
    for name, (tables, schema) in parts.items():
        path = building / name
        path.parent.mkdir(exist_ok=True)
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table.cast(schema))
                rows += table.num_rows
        files[name] = {"rows": rows, "sha256": sha256(path)}
    return files


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


def read(directory: Path, truth: bool = False, verify: bool = False, tell: Tell = silent) -> Dataset:
    """Read and validate a dataset directory.

    Args:
        directory: what `write` wrote.
        truth: also read the simulator's truth (for the oracle); stays empty for imported logs.
        verify: also compare every file's checksum with the manifest.
        tell: is told how far it is.

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
        if verify and sha256(directory / name) != entry["sha256"]:
            raise DataError(f"{directory / name} has changed since it was written: its checksum differs.")
    dataset = Dataset(**tables, manifest=manifest, truth=truths)
    validate(dataset, tell)
    return dataset


def fingerprint(directory: Path) -> str:
    """Of a dataset directory, without reading its tables; see `Dataset.fingerprint`.

    Raises:
        DataError: not a dataset.
    """
    return str(_read_manifest(directory).get("fingerprint", ""))


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


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
