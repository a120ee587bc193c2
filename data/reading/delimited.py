"""Delimited logs (CSV, TSV and the like), strict about quotes: a stray one swallows rows in silence."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.progress import Tell, silent
from data.reading.field_counts import likely_cause, not_backslashes
from data.reading.headers import LONGEST_FIELD, blanks_before_quotes, header_of, reader, skip
from data.reading.rows import CHUNK, Chunk, Places, Reading, find_columns, one_line
from data.reading.text_files import breaks, line_blocks
from data.schema import DataError

if TYPE_CHECKING:
    import _csv

_MONTH = re.compile(
    r"(?<![^\W\d_])(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![^\W\d_])",
    re.IGNORECASE,
)
_STYLES = {
    "number": re.compile(r"[\['+-]*00000000"),
    "date": re.compile(r"[\[']*(?:0000[-/.]0[-/.]0|0[-/.]0[-/.]0|(?=.*0)(?:a\W*)?(?:0+(?:a|\W)*)?~)"),
}
"""Times by their shape, in which ~ is the name of a month; that they are times at all has to do."""


class _Lines:
    """Hands out lines one by one and remembers those of the present chunk, for messages about them."""

    def __init__(self, blocks: Iterator[list[str]], first: int) -> None:
        self._blocks = blocks
        self.recent: list[str] = []
        self.first = first  # number of the first recent line

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            self.recent += block
            yield from block

    def of(self, start: int, end: int) -> list[str]:
        """Lines ``start`` to ``end`` (included) by number, those that have been handed out."""
        return self.recent[start - self.first : end - self.first + 1]

    def forget(self, before: int) -> None:
        """Drop the lines before this number."""
        del self.recent[: before - self.first]
        self.first = before


def read_delimited(
    file: Path, columns: Sequence[str], suffix: str, reading: Reading, tell: Tell = silent
) -> Iterator[Chunk]:
    """The wanted columns as text; ``columns[1]`` holds the times.

    Raises:
        DataError: a missing column, a row with more or fewer fields than the header, a quote that is
            not closed, closes too late or is followed by text; the line is named.
    """
    blocks = line_blocks(file, reading.encoding, tell=tell)
    first = next(blocks, [])
    at, delimiter = skip(first, suffix)
    if not any(line.strip() for line in first):
        raise DataError(f"{file} is empty.")
    delimiter, header, used = header_of(file, first[at:], columns, delimiter, reading)
    place = find_columns(file, columns, header)
    blanks = reading.quotes and blanks_before_quotes(first[at:], delimiter)
    table = _Table(file, header, delimiter, place[columns[1]], reading.quotes, blanks)
    lines = _Lines(chain([first[at + used :]], blocks), at + used + 1)
    rows = reader(lines, delimiter, reading.quotes, blanks=blanks)
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield from _chunks(table, rows, lines, place)
    finally:
        csv.field_size_limit(limit)


def _chunks(table: "_Table", rows: "_csv.Reader", lines: _Lines, place: dict[str, int]) -> Iterator[Chunk]:
    before = lines.first - 1  # lines that precede those of the reader
    while True:
        start = before + rows.line_num + 1
        lines.forget(start)
        read: list[list[str]] = []
        trouble: csv.Error | None = None
        try:
            read.extend(islice(rows, CHUNK))
        except csv.Error as error:
            trouble = error
        many = before + rows.line_num + 1 - start != len(read)
        if trouble is None and not read:
            return
        numbers: range | list[int] = range(start, start + len(read))
        if trouble or many:
            numbers = table.line_numbers(read, start)
        if set(map(len, read)) != {len(table.header)}:
            ended = trouble is None and len(read) < CHUNK
            read, numbers = table.of_equal_length(read, numbers, lines, ended)
        if many and trouble is None:
            table.refuse_swallowed(read, numbers, lines)
        if trouble:
            raise DataError(table.broken(trouble, lines)) from trouble
        if read:
            places = numbers if isinstance(numbers, range) else np.array(numbers, np.int64)
            cells = {name: table.cells(read, i, numbers, lines) for name, i in place.items()}
            yield Chunk(cells, Places(str(table.file), "line", places))


class _Table:
    """What the rows of one file are checked against."""

    def __init__(
        self, file: Path, header: list[str], delimiter: str, time: int, quotes: bool, blanks: bool
    ) -> None:
        self.file, self.header, self.delimiter, self.time = file, header, delimiter, time
        self.quotes, self.blanks = quotes, blanks
        self.next_line = 0
        self.shapes: set[str] = set()

    def cells(self, rows: list[list[str]], column: int, numbers: Sequence[int], lines: _Lines) -> pa.Array:
        """A column, \\N being none as databases write it; a blank before a quote would make it text."""
        cells = pa.array(list(map(itemgetter(column), rows)), pa.string())
        if self.quotes and not self.blanks and pc.any(pc.starts_with(cells, " ")).as_py():
            enclosed = pc.match_substring_regex(cells, r'(?s)^ +".*" *$').to_numpy(zero_copy_only=False)
            for at in np.flatnonzero(enclosed).tolist():
                start = numbers[at]
                raw = "".join(lines.of(start, start + sum(map(breaks, rows[at]))))
                if self.delimiter + rows[at][column] in self.delimiter + raw:
                    raise DataError(
                        f"{self.file}, line {start}: a blank precedes the quote that encloses a field, and "
                        "not so in others: take it out, or add --no-quotes if quotes enclose nothing here."
                    )
        none = pc.equal(cells, "\\N")
        return pc.if_else(none, None, cells) if column != self.time and pc.any(none).as_py() else cells

    def line_numbers(self, rows: list[list[str]], start: int) -> list[int]:
        """The line on which each row begins, when some take several."""
        numbers = []
        for row in rows:
            numbers.append(start)
            start += 1 + sum(breaks(field) for field in row if "\n" in field or "\r" in field)
        self.next_line = start
        return numbers

    def of_equal_length(
        self, rows: list[list[str]], numbers: range | list[int], lines: _Lines, ended: bool
    ) -> tuple[list[list[str]], range | list[int]]:
        """Without blank lines; any other row that is not as long as the header is refused."""
        kept = []
        for at, row in enumerate(rows):
            if len(row) == len(self.header):
                kept.append(at)
            elif row and (len(row) > 1 or row[0].strip()):
                width, start = len(self.header), numbers[at]
                raw = "".join(lines.of(start, start + sum(map(breaks, row))))
                cause = likely_cause(rows, at, width, self.delimiter, self.quotes, raw, ended)
                fields = f"{len(row)} field{'s' if len(row) > 1 else ''}"
                raise DataError(
                    f"{self.file}, line {start}: it has {fields}, the header has {width}: {cause}"
                )
        return [rows[at] for at in kept], [numbers[at] for at in kept]

    def refuse_swallowed(self, rows: list[list[str]], numbers: Sequence[int], lines: _Lines) -> None:
        """Refuse a quoted field of several lines if one of them is itself a row of the log."""
        several = [at for at, row in enumerate(rows) if any("\n" in f or "\r" in f for f in row)]
        suspects = {}
        for at in several:
            raw = lines.of(numbers[at], numbers[at] + sum(map(breaks, rows[at])))
            if any(line.count(self.delimiter) >= len(self.header) - 1 for line in raw[1:]):
                suspects[numbers[at]] = raw
        if suspects:
            others = set(range(len(rows))).difference(several)
            self.shapes |= {_shape(rows[at][self.time]) for at in others or several}
            self.shapes |= {style for shape in self.shapes if (style := _style(shape))}
        for start, raw in suspects.items():
            for opens, closes, _ in self._fields(raw):
                whole = closes > opens and self._looks_like_a_row(raw[opens], plain=True)
                for line in range(opens + 1, closes + 1):
                    if (whole or line < closes) and self._looks_like_a_row(raw[line]):
                        raise DataError(
                            f"{self.file}, line {start + opens}: a quote opens here and closes only on line "
                            f"{start + closes}, with the row of line {start + line} inside it: close it "
                            "where its field ends, add --no-quotes if quotes enclose nothing here, or, if "
                            "the field really holds a copy of a row, write it on one line."
                        )

    def _fields(self, raw: list[str]) -> list[tuple[int, int, str]]:
        """Every field in quotes: the lines on which it opens and closes, and what follows (none: no end)."""
        text = "".join(raw)
        found = []
        for field in re.finditer(
            rf'(?:^|(?<=[{re.escape(self.delimiter)}\r\n])){" *" * self.blanks}"[^"]*(?:""[^"]*)*("|\Z)', text
        ):
            opens, closes = breaks(text[: field.start()]), breaks(text[: field.end()])
            follows = (text[field.end() : field.end() + 1] or "\n") if field[1] else ""
            found.append((opens, closes, follows))
        return found

    def _looks_like_a_row(self, line: str, plain: bool = False) -> bool:
        """Split alone it has the header's fields, or more, and a time; ``plain``: quotes are ordinary."""
        try:
            cells = next(reader([line], self.delimiter, quotes=not plain, strict=False), [])
        except csv.Error:
            return False
        width = len(self.header)
        if len(cells) < width:
            return False
        shapes = {_shape(cells[i]) for i in (self.time, self.time - width)}
        return not self.shapes.isdisjoint(shapes | {_style(shape) for shape in shapes} - {""})

    def broken(self, error: csv.Error, lines: _Lines) -> str:
        """The sentence for the row that begins on the next line and cannot be read."""
        start = self.next_line
        fields = self._fields(lines.of(start, start + 10**9)) if self.quotes else []
        ends = {self.delimiter, "\r", "\n"}
        opens, closes, follows = next((f for f in fields if f[2] not in ends), (0, 0, None))
        where = f"{self.file}, line {start + opens}"
        line = "".join(lines.of(start + opens, start + opens))
        twice = f"write a quote inside a field twice{not_backslashes(line)}"
        if follows and closes == opens:
            return (
                f"{where}: text follows the quote that closes a field: a quote inside a field must be "
                'written twice ("" and not \\"); add --no-quotes if quotes enclose nothing in this file.'
            )
        if follows:
            return (
                f"{where}: a quote opens here that closes only on line {start + closes}, with text after it: "
                f"close it where its field ends, {twice}, or add --no-quotes if quotes enclose nothing in "
                "this file."
            )
        if follows is None and "field limit" in str(error):
            return f"{where}: a field has more than {LONGEST_FIELD} characters."
        if follows == "":
            return (
                f"{where}: a quote opens here that is never closed: close it, {twice}, or add --no-quotes if "
                "quotes enclose nothing in this file."
            )
        return f"{where}: it cannot be read as csv ({one_line(error)})."


def _shape(cell: str) -> str:
    """What times written alike have in common: digits are 0, letters are a, one or two of them are one."""
    cell = re.sub(r"(?<=[^\W\d_])[^\W\d_]+", "", _MONTH.sub("~", cell.strip('" \t\r\n')))
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "0", re.sub(r"(?<!\d)\d{1,2}(?!\d)", "0", cell)))


def _style(shape: str) -> str:
    """Whether a time of this shape is a number or a date, however written; nothing if it is no time."""
    return next((style for style, pattern in _STYLES.items() if pattern.match(shape)), "")
