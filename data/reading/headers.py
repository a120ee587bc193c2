"""How a delimited log begins: its delimiter, its header, and how its quotes are written."""

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from data.reading.rows import Reading, missing_columns, one_line
from data.reading.text_files import line_blocks
from data.schema import DataError

if TYPE_CHECKING:
    import _csv

DELIMITERS = (",", ";", "\t", "|")
LONGEST_FIELD = 131_072
"""Characters of one field, at most: a quote that is never closed is noticed after as many."""


def first_delimited(
    file: Path, suffix: str, reading: Reading, rows: int
) -> tuple[list[str], list[list[str]]]:
    """The header of a delimited file and some of its first rows, as they are written.

    Raises:
        DataError: it is empty, or its header cannot be read.
    """
    first = next(line_blocks(file, reading.encoding), [])
    at, delimiter = skip(first, suffix)
    if not any(line.strip() for line in first):
        raise DataError(f"{file} is empty.")
    delimiter, header, used = header_of(file, first[at:], (), delimiter, reading)
    blanks = reading.quotes and blanks_before_quotes(first[at:], delimiter)
    lines = reader(first[at + used :], delimiter, reading.quotes, strict=False, blanks=blanks)
    try:
        return header, [row for row in islice(lines, rows) if row]
    except csv.Error as error:
        raise DataError(f"{file}: its first rows cannot be read ({one_line(error)}).") from error


def skip(first: list[str], suffix: str) -> tuple[int, str | None]:
    """How many lines precede the header, and the delimiter if the file says it (sep=; or .tsv)."""
    at = 0
    while at < len(first) and not first[at].strip():
        at += 1
    if at < len(first) and (told := re.fullmatch(r'"?sep=(.)"?[\r\n]*', first[at], re.IGNORECASE)):
        return at + 1, told[1]
    return at, "\t" if suffix == ".tsv" else None


def header_of(
    file: Path, lines: list[str], columns: Sequence[str], delimiter: str | None, reading: Reading
) -> tuple[str, list[str], int]:
    """The delimiter, the names of the columns and the number of lines they take."""
    header: list[str]
    tries: list[tuple[int, int, str, list[str], int]] = []
    trouble: csv.Error | None = None
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        blanks = reading.quotes and blanks_before_quotes(lines, candidate)
        rows = reader(lines, candidate, reading.quotes, blanks=blanks)
        try:
            header = next((row for row in rows if row), [])
        except csv.Error as error:  # quotes that are right with another delimiter
            trouble = trouble or error
            continue
        names = {name.strip() for name in header} | set(header)
        tries.append((sum(c in names for c in columns), len(header), candidate, header, rows.line_num))
    found, width, chosen, header, used = max(tries, key=lambda t: t[:2], default=(0, 0, "", [], 0))
    if trouble and not found and width < 2:
        raise DataError(f"{file}: the header cannot be read ({one_line(trouble)}): check its quotes.")
    if found < len(columns) and re.match(r"\s*(?:\[\s*)?\{|\s*\[\s*$", "".join(lines[:2])):
        raise DataError(f"{file} holds JSON and no delimited text: give its name the ending .jsonl.")
    if not any(name.strip() for name in header):
        raise DataError(f"{file} is empty.")
    if found < len(columns):
        missing = [c for c in columns if c not in header and c not in {h.strip() for h in header}]
        raise DataError(missing_columns(file, missing, header))
    return chosen, header, used


def blanks_before_quotes(lines: list[str], delimiter: str) -> bool:
    """Whether every quote that encloses a field behind a delimiter has blanks before it: a, "b c"."""
    text = "".join(lines[:1000])[:LONGEST_FIELD]
    if f'{delimiter} "' not in text and f"{delimiter}  " not in text:
        return False
    mark = re.escape(delimiter)
    rest, found = re.subn(rf'{mark} +"[^"]*(?:""[^"]*)*" *(?=[{mark}\r\n]|\Z)', delimiter, text)
    return found > 0 and f'{delimiter}"' not in rest


def reader(
    lines: Iterable[str], delimiter: str, quotes: bool, strict: bool = True, blanks: bool = False
) -> "_csv.Reader":
    """The fields of lines, row by row; without ``quotes`` these are ordinary characters."""
    if quotes:
        return csv.reader(lines, delimiter=delimiter, strict=strict, skipinitialspace=blanks)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=strict)
