"""Finds the reader of a log by its name: delimited text, JSON or Parquet, some of them compressed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.progress import Tell, silent
from data.reading.delimited import read_delimited
from data.reading.headers import first_delimited
from data.reading.json_rows import first_json, read_json
from data.reading.parquet_rows import NAMES, first_parquet, is_parquet, read_parquet
from data.reading.rows import Chunk, Reading
from data.reading.text_files import COMPRESSED
from data.schema import DataError

TEXT = (".csv", ".tsv", ".txt")
JSON = (".jsonl", ".json", ".ndjson")

ENDINGS = (*(text + packed for text in (*TEXT, *JSON) for packed in COMPRESSED), *TEXT, *JSON, *NAMES)
"""How the names of logs end, the longest endings first."""


def first_rows(file: Path, reading: Reading, rows: int) -> tuple[list[str], list[list[str]]]:
    """The names of a log's columns, and the cells of its first rows as text, as many as there are.

    Raises:
        DataError: no such file, no reader for it, or it cannot be read at all.
    """
    kind, suffix = _kind(file)
    if kind == "Parquet":
        return first_parquet(file, rows)
    if kind == "JSON":
        return first_json(file, reading, rows)
    return first_delimited(file, suffix, reading, rows)


def read_chunks(
    file: Path, columns: Sequence[str], reading: Reading, left_out: dict[str, int], tell: Tell = silent
) -> Iterator[Chunk]:
    """The named columns of a log, chunk by chunk; ``columns[1]`` holds the times.

    Args:
        tell: is told how much of the file has been read.
        left_out: takes the count of what the file holds but cannot be read (a cut last line).

    Raises:
        DataError: no such file, no reader for it, or what the reader finds wrong.
    """
    if file.is_dir():
        _refuse_options(file, "Parquet", reading)
        return read_parquet(file, columns, tell)
    kind, suffix = _kind(file)
    if kind == "delimited":
        return read_delimited(file, columns, suffix, reading, tell)
    _refuse_options(file, kind, reading)
    if kind == "JSON":
        return read_json(file, columns, reading, left_out, tell)
    return read_parquet(file, columns, tell)


def _kind(file: Path) -> tuple[str, str]:
    """What a file holds, by its name, and the ending that says so."""
    if not file.is_file():
        raise DataError(f"{file} does not exist or is not a file.")
    inner = Path(file.stem) if file.suffix.lower() in COMPRESSED else file
    suffix = inner.suffix.lower()
    if suffix in TEXT:
        return "delimited", suffix
    if suffix in JSON:
        return "JSON", suffix
    if suffix not in NAMES and not is_parquet(file):
        raise DataError(
            f"{file}: the name must end in .csv, .jsonl, .parquet, .tsv, .txt, .json or .ndjson; "
            "all but .parquet may be followed by .gz, .zst, .bz2 or .xz."
        )
    if inner != file and suffix in NAMES:
        raise DataError(f"{file}: Parquet is compressed inside; decompress the file first.")
    return "Parquet", suffix


def _refuse_options(file: Path, kind: str, reading: Reading) -> None:
    if not reading.quotes:
        raise DataError(f"--no-quotes is of delimited files, and {file} is {kind}: leave it out.")
    if kind == "Parquet" and reading.encoding is not None:
        raise DataError(f"--encoding is of text files, and {file} is {kind}: leave it out.")
