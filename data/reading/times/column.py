"""The times of a log: one convention for the whole column, found from all of it, or a refusal."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.reading.columns import as_text, exact_floats
from data.reading.rows import Places, Reading, quoted, seen_from
from data.reading.times import time_numbers
from data.reading.times.advice import ambiguous, strange, time_format
from data.reading.times.cells import (
    Read,
    fitting,
    formatted,
    parse,
    plain_blanks,
    shape_of,
    typed,
    written,
)
from data.reading.times.number_column import Column
from data.reading.times.shapes import CONVENTIONS, layouts
from data.schema import DataError

EARLIEST = 631_152_000_000_000
"""The start of 1990: searches were not logged before."""


@dataclass(frozen=True)
class Cell:
    """One time as it is written, and where."""

    row: int
    text: str
    place: str


@dataclass
class Candidate:
    """A convention that has fitted every row so far, and the instants that it reads."""

    parts: list[NDArray[np.int64]] = field(default_factory=list)
    fractions: list[NDArray[np.int64]] = field(default_factory=list)  # of numbers, in billionths
    failed: Cell | None = None
    implausible: Cell | None = None  # the first such row
    far: int = 0  # rows that are implausible


class Times:
    """Takes the column of times chunk by chunk; `finish` gives the instants."""

    def __init__(self, column: str, reading: Reading, now: datetime | None = None) -> None:
        """``now`` is the clock of the import: times may be up to a day later."""
        self.column, self.reading = column, reading
        later = (now or datetime.now(UTC)).astimezone(UTC) + timedelta(days=1)
        self.bounds = (EARLIEST, (later - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
        out = {"mdy", "ymd", "named_ymd"} if reading.day_first else set()
        out |= {"dmy", "ymd", "named_ymd"} if reading.month_first else set()
        names = ["format"] if reading.time_format else [*CONVENTIONS, "typed"]
        self.candidates = {name: Candidate() for name in names if name not in out}
        self.rows = 0
        self.example = ""
        self.places: list[Places] = []
        self.different: dict[tuple[str, str], Cell] = {}
        self.formats: set[str] = set()  # of times whose order of day and month is open

    def add(self, cells: pa.Array, places: Places) -> None:
        """Read the next rows.

        Raises:
            DataError: no convention is left that fits all rows so far.
        """
        if not len(cells):
            return
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        self._check_empty(cells.is_null(nan_is_null=True), places)
        kind = cells.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            read = {"typed": self._typed(cells, places)}
        elif pa.types.is_floating(kind) and self.reading.time_format is None:
            read = {"number": time_numbers.from_floats(exact_floats(cells, self.column, places))}
        elif pa.types.is_integer(kind) and self.reading.time_format is None:
            read = {"number": time_numbers.from_integers(cells.to_numpy(zero_copy_only=False))}
        elif pa.types.is_time(kind) or pa.types.is_duration(kind):
            what = "times of day without a date" if pa.types.is_time(kind) else "durations"
            raise DataError(f"{places.of(0)}, column {self.column!r}: it holds {what}, not times.")
        else:
            cells = plain_blanks(as_text(cells, self.column, places))
            self._check_empty(pc.equal(cells, ""), places)
            read = self._texts(cells)
        if self.reading.time_format and "typed" in read:
            raise DataError(
                f"{places.of(0)}, column {self.column!r}: it holds dates and times already: leave out "
                "--time-format, which is for text."
            )
        self._judge(read, cells, places)
        self.places.append(places)
        self.rows += len(cells)

    def _typed(self, cells: pa.Array, places: Places) -> Read:
        values, good, fraction = typed(cells)
        if not good.all():
            row = int(good.argmin())
            unit = f", as of nanoseconds stored as {cells.type}" if pa.types.is_timestamp(cells.type) else ""
            raise DataError(
                f"{places.of(row)}, column {self.column!r}: the time is beyond the years 1 to 9999: "
                f"its unit is probably wrong{unit}."
            )
        return values, good, fraction

    def _texts(self, cells: pa.Array) -> dict[str, Read]:
        if self.reading.time_format:
            return {"format": formatted(cells, self.reading.time_format)}
        read, shapes = parse(cells, {n for n, c in self.candidates.items() if c.failed is None})
        self.formats |= {time_format(s, "dmy") for s in shapes if "dmy" in layouts(s)}
        return read

    def _check_empty(self, empty: pa.Array, places: Places) -> None:
        row = pc.index(empty, True).as_py()
        if row >= 0:
            raise DataError(f"{places.of(row)}, column {self.column!r}: there is no time.")

    def _judge(self, read: dict[str, Read], cells: pa.Array, places: Places) -> None:
        """Keep the candidates that fit all of the next rows."""

        def cell(row: int) -> Cell:
            return Cell(self.rows + row, written(cells[row]), places.of(row))

        if not self.rows:
            self.example = cell(0).text
        alive = {}
        for name, candidate in self.candidates.items():
            if candidate.failed is not None:
                continue
            values, good, fraction = read.get(name, (None, None, None))
            if values is None or good is None:
                candidate.failed = cell(0)
            elif not good.all():
                candidate.failed = cell(int(good.argmin()))
            else:
                alive[name] = candidate
                candidate.parts.append(values)
                candidate.fractions += [fraction] if fraction is not None else []
                far = (values < self.bounds[0]) | (values > self.bounds[1])
                if fraction is None and far.any():
                    candidate.far += int(far.sum())
                    candidate.implausible = candidate.implausible or cell(int(far.argmax()))
        if not alive:
            raise DataError(self._no_convention())
        for one, other in combinations(alive, 2):
            apart = read[one][0] != read[other][0]
            if (one, other) not in self.different and apart.any():
                self.different[one, other] = cell(int(apart.argmax()))

    def _no_convention(self) -> str:
        """The sentence about the row at which the last candidate failed."""
        failed = {n: c.failed for n, c in self.candidates.items() if c.failed is not None}
        last = max(failed.values(), key=lambda cell: cell.row)
        if self.reading.time_format:
            return self._sentence(last, f"it does not have the format {self.reading.time_format!r}.")
        fits = fitting(last.text)
        for name in fits:
            if name in failed and failed[name].row < last.row:
                before = failed[name]
                there = seen_from(last.place, before.place)
                return self._sentence(
                    last,
                    f"it is {CONVENTIONS[name]}, which {quoted(before.text)!r} ({there}) is not: all "
                    "times of a log must be written in one way.",
                )
        if fits and (self.reading.day_first or self.reading.month_first):
            option = "--day-first" if self.reading.day_first else "--month-first"
            return self._sentence(last, f"it is {CONVENTIONS[min(fits)]}, against {option}.")
        others = f"; the first time is {quoted(self.example)!r}" if last.row else ""
        return self._sentence(last, f"is not a time{strange(last.text)}{others}.")

    def _sentence(self, cell: Cell, what: str) -> str:
        text = f"{cell.place}, column {self.column!r}: {quoted(cell.text)!r}"
        return f"{text} {what}" if what.startswith("is not") else f"{text}: {what}"

    def finish(self) -> tuple[NDArray[np.int64], str]:
        """Microseconds since 1970 (UTC) of every row, and the convention in words.

        Raises:
            DataError: times that are not plausible, numbers of several units, or several conventions
                that fit and disagree.
        """
        alive = {n: c for n, c in self.candidates.items() if c.failed is None and c.parts}
        if "number" in alive:
            return self._finish_numbers(alive["number"])
        self._prefer(alive)
        first = next(iter(alive))
        apart = [other for other in alive if (first, other) in self.different]
        if apart:
            cell = self.different[first, apart[0]]
            raise DataError(
                self._sentence(cell, ambiguous(cell.text, [first, *apart], len(self.formats) == 1))
            )
        instants = np.concatenate(alive[first].parts)
        beyond = (instants < time_numbers.LIMITS[0]) | (instants > time_numbers.LIMITS[1])
        if beyond.any():
            place = self._place(int(beyond.argmax()))
            raise DataError(
                f"{place}, column {self.column!r}: the time is beyond the years 1 to 9999 in UTC: correct it."
            )
        if alive[first].implausible is not None and not self.reading.any_time:
            raise DataError(self._too_far(first, alive[first]))
        self.candidates = {}
        return instants, self._words(first)

    def _prefer(self, alive: dict[str, Candidate]) -> None:
        """Leave out conventions that nobody means; never for what a single row of many says.

        Two-digit years stand last beside a month's name. Beside numbers they stand first only if that
        makes less than half of the rows implausible.
        """
        if "named" in alive:
            alive.pop("named_ymd", None)
        numbers = ("dmy" in alive or "mdy" in alive) and "ymd" in alive
        if numbers and not self.reading.any_time and 2 * alive["ymd"].far >= self.rows:
            del alive["ymd"]

    def _too_far(self, convention: str, candidate: Candidate) -> str:
        cell, year_first = candidate.implausible, self.candidates.get("ymd", Candidate()).failed
        assert cell is not None
        read = {"dmy": " with the day first", "mdy": " with the month first"}.get(convention, "")
        far = f"it is before 1990 or after tomorrow{read}"
        if year_first and 2 * candidate.far >= self.rows and "ymd" in layouts(shape_of(year_first.text)):
            why = f"with the year first there is no such date, and {far}: correct it."
            return self._sentence(year_first, why)
        return self._sentence(cell, f"{far}; --any-time accepts it.")

    def _words(self, convention: str) -> str:
        if convention == "typed":
            return "the file's own dates and times"
        if convention == "format":
            return f"in the format {self.reading.time_format}, e.g. {self.example}"
        return f"{CONVENTIONS[convention]}, e.g. {self.example}"

    def _finish_numbers(self, candidate: Candidate) -> tuple[NDArray[np.int64], str]:
        numbers = np.concatenate(candidate.parts), np.concatenate(candidate.fractions)
        self.candidates = {}
        return Column(numbers, self.column, self._place).read(self.bounds, self.reading.any_time)

    def _place(self, row: int) -> str:
        for places in self.places:
            if row < len(places.numbers):
                return places.of(row)
            row -= len(places.numbers)
        raise IndexError(row)
