"""The times of a log: one convention for the whole column, found from all of it, or a refusal."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.reading.columns import as_text, exact_floats
from data.reading.rows import Places, Reading, quoted
from data.reading.times import time_numbers
from data.reading.times.advice import ambiguous, strange
from data.reading.times.cells import LIMITS, Read, fitting, formatted, parse, typed
from data.reading.times.shapes import CONVENTIONS
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
    implausible: Cell | None = None


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
            read = {"typed": typed(cells)}
        elif pa.types.is_floating(kind) and self.reading.time_format is None:
            read = {"number": time_numbers.from_floats(exact_floats(cells, self.column, places))}
        elif pa.types.is_integer(kind) and self.reading.time_format is None:
            read = {"number": time_numbers.from_integers(cells.to_numpy(zero_copy_only=False))}
        elif pa.types.is_time(kind) or pa.types.is_duration(kind):
            what = "times of day without a date" if pa.types.is_time(kind) else "durations"
            raise DataError(f"{places.of(0)}, column {self.column!r}: it holds {what}, not times.")
        else:
            cells = pc.utf8_trim_whitespace(as_text(cells, self.column, places))
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

    def _texts(self, cells: pa.Array) -> dict[str, Read]:
        if self.reading.time_format:
            return {"format": formatted(cells, self.reading.time_format)}
        return parse(cells, {n for n, c in self.candidates.items() if c.failed is None})

    def _check_empty(self, empty: pa.Array, places: Places) -> None:
        row = pc.index(empty, True).as_py()
        if row >= 0:
            raise DataError(f"{places.of(row)}, column {self.column!r}: there is no time.")

    def _judge(self, read: dict[str, Read], cells: pa.Array, places: Places) -> None:
        """Keep the candidates that fit all of the next rows."""

        def cell(row: int) -> Cell:
            return Cell(self.rows + row, str(cells[row].as_py()), places.of(row))

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
                if fraction is None and candidate.implausible is None and far.any():
                    candidate.implausible = cell(int(far.argmax()))
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
                there = before.place.rsplit(", ", 1)[1]
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
        plausible = {n: c for n, c in alive.items() if c.implausible is None or self.reading.any_time}
        if not plausible:
            cell = next(iter(alive.values())).implausible
            assert cell is not None
            raise DataError(self._sentence(cell, self._too_far(next(iter(alive)), cell)))
        first = next(iter(plausible))
        for other in plausible:
            if (first, other) in self.different:
                cell = self.different[first, other]
                raise DataError(self._sentence(cell, ambiguous(cell.text, first, other)))
        instants = np.concatenate(plausible[first].parts)
        self.candidates = {}
        return instants, self._words(first)

    def _too_far(self, convention: str, cell: Cell) -> str:
        read = {"dmy": " with the day first", "mdy": " with the month first"}.get(convention, "")
        return f"it is before 1990 or after tomorrow{read}; --any-time accepts it."

    def _words(self, convention: str) -> str:
        if convention == "typed":
            return "the file's own dates and times"
        if convention == "format":
            return f"in the format {self.reading.time_format}, e.g. {self.example}"
        return f"{CONVENTIONS[convention]}, e.g. {self.example}"

    def _finish_numbers(self, candidate: Candidate) -> tuple[NDArray[np.int64], str]:
        numbers = np.concatenate(candidate.parts), np.concatenate(candidate.fractions)
        self.candidates = {}
        known = time_numbers.units(*self.bounds)
        ticks = ((numbers[0] >= time_numbers.TICKS[0]) & (numbers[0] <= time_numbers.TICKS[1])).all()
        unit = next((u for u in known if u.fits(numbers).all()), None)
        if unit is not None and ticks and not self.reading.any_time:
            raise DataError(self._number(numbers, 0, "it looks like .NET ticks: export times as text."))
        if unit is None and self.reading.any_time:
            unit = time_numbers.by_size(numbers, known)
            bad = ~unit.read(numbers)[1]
            if bad.any():
                raise DataError(
                    self._number(numbers, int(bad.argmax()), f"it cannot be read as {unit.name}.")
                )
        if unit is None:
            raise DataError(self._units_differ(numbers, known))
        read = unit.read(numbers)[0]
        far = (read < LIMITS[0]) | (read > LIMITS[1])
        if far.any():
            row = int(far.argmax())
            raise DataError(self._number(numbers, row, f"as {unit.name} it is beyond the years 1 to 9999."))
        return read, f"{unit.name}, e.g. {time_numbers.shown(int(numbers[0][0]), int(numbers[1][0]))}"

    def _units_differ(self, numbers: time_numbers.Numbers, known: list[time_numbers.Unit]) -> str:
        """Two rows of different units, or one of none."""
        fits = {u.name: u.fits(numbers) for u in known}
        most = max(fits, key=lambda name: (int(fits[name].sum()), -int(fits[name].argmax())))
        none = ~np.logical_or.reduce(list(fits.values()))
        if none.any():
            row = int(none.argmax())
            return self._number(numbers, row, f"{time_numbers.likely(int(numbers[0][row]))}.")
        other = int((~fits[most]).argmax())
        others = next(name for name in fits if fits[name][other])
        one = int(fits[most].argmax())
        first, second = sorted(((one, most), (other, others)))
        show = time_numbers.shown(int(numbers[0][first[0]]), int(numbers[1][first[0]]))
        beside = f"it looks like {second[1]}, but {show} ({self._place(first[0]).rsplit(', ', 1)[1]}) like "
        return self._number(numbers, second[0], f"{beside}{first[1]}: one column needs one unit.")

    def _number(self, numbers: time_numbers.Numbers, row: int, what: str) -> str:
        text = time_numbers.shown(int(numbers[0][row]), int(numbers[1][row]))
        return f"{self._place(row)}, column {self.column!r}: {text} is not a plausible time: {what}"

    def _place(self, row: int) -> str:
        for places in self.places:
            if row < len(places.numbers):
                return places.of(row)
            row -= len(places.numbers)
        raise IndexError(row)
