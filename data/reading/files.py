"""Finds the reader of a log by its name: delimited text, JSON or Parquet, some of them compressed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.progress import Tell, silent
from data.reading.delimited import read_delimited
from data.reading.json_rows import read_json
from data.reading.parquet_rows import NAMES, is_parquet, read_parquet
from data.reading.rows import Chunk, Reading
from data.reading.text_files import COMPRESSED
from data.schema import DataError

TEXT = (".csv", ".tsv", ".txt")
JSON = (".jsonl", ".json", ".ndjson")


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
    if not file.is_file():
        raise DataError(f"{file} does not exist or is not a file.")
    inner = Path(file.stem) if file.suffix.lower() in COMPRESSED else file
    suffix = inner.suffix.lower()
    if suffix in TEXT:
        return read_delimited(file, columns, suffix, reading, tell)
    if suffix in JSON:
        _refuse_options(file, "JSON", reading)
        return read_json(file, columns, reading, left_out, tell)
    if suffix not in NAMES and not is_parquet(file):
        raise DataError(
            f"{file}: the name must end in .csv, .jsonl, .parquet, .tsv, .txt, .json or .ndjson; "
            "all but .parquet may be followed by .gz, .zst, .bz2 or .xz."
        )
    if inner != file and suffix in NAMES:
        raise DataError(f"{file}: Parquet is compressed inside; decompress the file first.")
    _refuse_options(file, "Parquet", reading)
    return read_parquet(file, columns, tell)


def _refuse_options(file: Path, kind: str, reading: Reading) -> None:
    if not reading.quotes:
        raise DataError(f"--no-quotes is of delimited files, and {file} is {kind}: leave it out.")
    if kind == "Parquet" and reading.encoding is not None:
        raise DataError(f"--encoding is of text files, and {file} is {kind}: leave it out.")
