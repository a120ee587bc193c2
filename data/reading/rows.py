"""Rows of a log on their way in: how they are to be read, and where in the log each one stands."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.reading.times import formats
from data.schema import DataError

CHUNK = 65_536
"""Rows that are read at a time."""

NO_ENCODINGS = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
"""Codecs of names and of source code, in which no file is written."""


@dataclass(frozen=True)
class Reading:
    """How a log is read where the log itself leaves it open.

    Attributes:
        time_format: the strptime format of every time, instead of finding it from the column.
        day_first: 03/04/2024 is the third of April.
        month_first: 03/04/2024 is the fourth of March.
        any_time: accept times before 1990 and after tomorrow.
        keep_copies: keep rows that repeat the user, time and query of an earlier one.
        encoding: of a text file, instead of UTF-8 or what its byte order mark says.
        quotes: double quotes enclose fields of a delimited file; otherwise they are ordinary characters.
    """

    time_format: str | None = None
    day_first: bool = False
    month_first: bool = False
    any_time: bool = False
    keep_copies: bool = False
    encoding: str | None = None
    quotes: bool = True

    def __post_init__(self) -> None:
        options = ("time_format", "day_first", "month_first")
        chosen = [f"--{name.replace('_', '-')}" for name in options if getattr(self, name)]
        if len(chosen) > 1:
            raise DataError(f"{' and '.join(chosen)} contradict each other: choose one.")
        if self.time_format is not None:
            formats.check(self.time_format)
        if self.encoding is not None:
            _check_encoding(self.encoding)


@dataclass(frozen=True)
class Places:
    """Where the rows of a chunk stand: ``numbers`` are lines of a text file or rows counted from 1."""

    log: str
    unit: str
    numbers: "range | NDArray[np.int64]"

    def of(self, row: int) -> str:
        """For example "log.csv, line 7"."""
        return f"{self.log}, {self.unit} {self.numbers[row]}"

    def take(self, rows: NDArray[np.bool_]) -> "Places":
        """The places of the rows that are marked."""
        return self if rows.all() else Places(self.log, self.unit, np.asarray(self.numbers)[rows])


@dataclass(frozen=True)
class Chunk:
    """Some rows of a log: the wanted columns by name, in the types of the file, and the rows' places."""

    columns: Mapping[str, pa.Array]
    places: Places


def find_columns(file: Path | str, names: Sequence[str], have: Sequence[str]) -> dict[str, int]:
    """The position of every wanted column among those that a file has.

    Raises:
        DataError: one is missing, or is there twice.
    """
    trimmed = [name.strip() for name in have]
    found: dict[str, int] = {}
    for name in names:
        column_names = list(have) if name in have else trimmed
        if column_names.count(name) > 1:
            raise DataError(f"{file} has the column {name!r} twice: rename one of them.")
        if name in column_names:
            found[name] = column_names.index(name)
    missing = [name for name in dict.fromkeys(names) if name not in found]
    if missing:
        raise DataError(missing_columns(file, missing, have))
    return found


def missing_columns(file: Path | str, missing: Sequence[str], have: Sequence[str]) -> str:
    """The sentence that says which columns are not there, what may be meant, and what there is."""
    lower = {name.strip().lower(): name for name in have}
    near = [get_close_matches(name.lower(), lower, n=1) for name in missing]
    meant = [repr(lower[close[0]]) for close in near if close]
    hint = f" (did you mean {', '.join(meant)}?)" if meant else ""
    shown = ", ".join(quoted(name) for name in have[:30]) + (", …" if len(have) > 30 else "")
    return f"{file} has no column {', '.join(map(repr, missing))}{hint}; its columns are: {shown}."


def seen_from(here: str, other: str) -> str:
    """Another row's place, as `Places.of` gives them: without its file if that is the same one."""
    log, _, row = other.rpartition(", ")
    return row if here.rpartition(", ")[0] == log else other


def quoted(text: str, longest: int = 60) -> str:
    """A text for a message: on one line, and not too long of it."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= longest else text[:longest] + "…"


def one_line(error: BaseException) -> str:
    """The first line of what a library says, without a full stop."""
    lines: list[Any] = str(error).splitlines() or [type(error).__name__]
    return str(lines[0]).rstrip(". ")


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        if codecs.lookup(encoding).name in NO_ENCODINGS:
            raise LookupError(encoding)
    except (LookupError, UnicodeError, ValueError, TypeError) as error:
        raise DataError(
            f"the encoding {encoding!r} is not known: give one like 'windows-1252', 'latin-1' or 'utf-16'."
        ) from error
