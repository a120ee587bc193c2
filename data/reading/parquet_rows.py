"""Parquet logs: a file, or a folder of parts whose names may hold columns (user=u1/part-0.parquet)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from data.progress import READING, Tell, silent
from data.reading.rows import CHUNK, Chunk, Places, find_columns, one_line
from data.schema import DataError

NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
NAMES = (".parquet", ".pq", ".parq")
CHECKSUMS = (".crc", ".md5", ".sha256")
"""Files that stand beside data and hold none."""


def read_parquet(file: Path, columns: Sequence[str], tell: Tell = silent) -> Iterator[Chunk]:
    """The wanted columns of a file or a folder, in the types that they have there.

    Raises:
        DataError: nothing to read, a damaged part, or one that lacks a wanted column.
    """
    some = False
    found = parts(file) if file.is_dir() else [file]
    total, done = sum(part.stat().st_size for part in found), 0
    for part in found:
        for chunk in _read_part(part, columns, _partitions(part.relative_to(file)) if part != file else {}):
            some = True
            yield chunk
        done += part.stat().st_size
        tell(READING, done, total)
    if not some:
        raise DataError(f"{file} is empty: it has no rows.")


def first_parquet(file: Path, rows: int) -> tuple[list[str], list[list[str]]]:
    """The columns of a Parquet file, and some of its first rows as text.

    Raises:
        DataError: it is damaged.
    """
    try:
        with pq.ParquetFile(file, coerce_int96_timestamp_unit="us") as parquet:
            names = list(parquet.schema_arrow.names)
            first = next(parquet.iter_batches(batch_size=rows), None)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{file} cannot be read as parquet: {one_line(error)}.") from error
    columns = [] if first is None else [column.to_pylist() for column in first.columns]
    shown = [["" if cell is None else str(cell) for cell in row] for row in zip(*columns, strict=True)]
    return names, shown


def parts(folder: Path) -> list[Path]:
    """The Parquet files of a folder, by name; hidden ones and those that begin with _ are not data.

    Raises:
        DataError: there is none, or a file that is none: what it holds would be passed over.
    """
    found = []
    for file in sorted(folder.rglob("*")):
        hidden = any(_is_hidden(name) for name in file.relative_to(folder).parts)
        if hidden or not file.is_file() or file.suffix.lower() in CHECKSUMS:
            continue
        if not is_parquet(file):
            raise DataError(
                f"{folder} holds {file.relative_to(folder)}: of folders only those of .parquet files are "
                "read; take it out, join all files into one, or import one of them."
            )
        found.append(file)
    if not found:
        raise DataError(
            f"{folder} is a folder without a .parquet file: give a file, or a folder of Parquet parts."
        )
    return found


def _is_hidden(name: str) -> bool:
    """Not data; but _day=1 is the folder of a column."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def is_parquet(file: Path) -> bool:
    """By its name, or because it begins as Parquet does: Hive and others write parts like 000000_0."""
    if file.suffix.lower() in NAMES:
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(4) == b"PAR1"
    except OSError:
        return False


def _partitions(part: Path) -> dict[str, str | None]:
    """Columns that the folders of a part are named after."""
    pairs = [name.split("=", 1) for name in part.parts[:-1] if "=" in name]
    return {key: None if value == NO_PARTITION else unquote(value) for key, value in pairs}


def _refuse_range(part: Path, columns: Sequence[str], schema: pa.Schema) -> None:
    """Pandas keeps an index of numbers in a row as their first and last only: it is no column."""
    kept = (schema.pandas_metadata or {}).get("index_columns", [])
    ranges = [index.get("name") for index in kept if isinstance(index, dict)]
    for name in columns:
        if name in ranges and name not in schema.names:
            raise DataError(
                f"{part}: the column {name!r} is an index of pandas that is not written as a column: call "
                "reset_index() before to_parquet()."
            )


def _read_part(part: Path, columns: Sequence[str], told: dict[str, str | None]) -> Iterator[Chunk]:
    try:
        with pq.ParquetFile(part, coerce_int96_timestamp_unit="us") as parquet:
            names = parquet.schema_arrow.names
            _refuse_range(part, columns, parquet.schema_arrow)
            place = find_columns(part, columns, [*names, *(key for key in told if key not in names)])
            inside = [names[i] for i in dict.fromkeys(place.values()) if i < len(names)]
            start = 1
            for batch in parquet.iter_batches(batch_size=CHUNK, columns=inside):
                arrays = {
                    name: batch.column(names[i])
                    if i < len(names)
                    else pa.array([told[name]] * batch.num_rows, pa.string())
                    for name, i in place.items()
                }
                if batch.num_rows:
                    yield Chunk(arrays, Places(str(part), "row", range(start, start + batch.num_rows)))
                start += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{part} cannot be read as parquet: {one_line(error)}.") from error
