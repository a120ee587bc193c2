"""A column of times that are numbers: the one unit of all, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.reading.rows import seen_from
from data.reading.times import time_numbers
from data.reading.times.time_numbers import Numbers, Unit
from data.schema import DataError

NO_DATE = "there is no such date or time of day"


@dataclass(frozen=True)
class Column:
    """Numbers of a column, its name, and where a row stands in the log."""

    numbers: Numbers
    name: str
    place: Callable[[int], str]

    def read(self, bounds: tuple[int, int], any_time: bool) -> tuple[NDArray[np.int64], str]:
        """Microseconds since 1970, and the unit in words.

        Args:
            bounds: the earliest and the latest plausible instant.
            any_time: numbers may mean other times as well.

        Raises:
            DataError: numbers of several units, or of none.
        """
        known = time_numbers.units(*bounds)
        unit = next((u for u in known if u.fits(self.numbers).all()), None)
        if unit is not None and not any_time and self._ticks():
            raise self._error(0, "it looks like .NET ticks: export times as text.")
        if unit is None:
            unit = self._any_unit(known) if any_time else None
        if unit is None:
            raise self._units_differ(known)
        read, good = unit.read(self.numbers)
        good &= (read >= time_numbers.LIMITS[0]) & (read <= time_numbers.LIMITS[1])
        if not good.all():
            raise self._error(int(good.argmin()), f"as {unit.name} it is beyond the years 1 to 9999.")
        return read, f"{unit.name}, e.g. {self._shown(0)}"

    def _ticks(self) -> bool:
        whole = self.numbers[0]
        return bool(((whole >= time_numbers.TICKS[0]) & (whole <= time_numbers.TICKS[1])).all())

    def _any_unit(self, known: list[Unit]) -> Unit:
        """The unit of numbers that need not be plausible: what most fit, or else what their size says."""
        unit = time_numbers.by_size(self.numbers, known)
        near = unit.fits(self.numbers)
        other = np.logical_or.reduce([u.fits(self.numbers) for u in known]) & ~near
        if 2 * near.sum() >= len(near) and other.any():
            raise self._units_differ(known)
        bad = ~unit.read(self.numbers)[1]
        if bad.any():
            row = int(bad.argmax())
            why = f": {NO_DATE}" if self._digits(row) == unit.digits else ""
            raise self._error(row, f"it cannot be read as {unit.name}{why}.")
        turned = time_numbers.turned(self.numbers[0])
        if not unit.digits and 2 * turned.sum() > len(turned):
            row = int(turned.argmax())
            raise self._error(row, f"{time_numbers.likely(int(self.numbers[0][row]))}.")
        return unit

    def _units_differ(self, known: list[Unit]) -> DataError:
        """Two rows of different units, or one of none."""
        fits = {u.name: u.fits(self.numbers) for u in known}
        most = max(fits, key=lambda name: (int(fits[name].sum()), -int(fits[name].argmax())))
        none = ~np.logical_or.reduce(list(fits.values()))
        if none.any():
            row = int(none.argmax())
            unit = next(unit for unit in known if unit.name == most)
            usual = 2 * fits[most].sum() >= len(none) and unit.digits == self._digits(row)
            if usual and not unit.read((self.numbers[0][[row]], self.numbers[1][[row]]))[1][0]:
                return self._error(row, f"as {most} {NO_DATE}.")
            return self._error(row, f"{time_numbers.likely(int(self.numbers[0][row]))}.")
        other = int((~fits[most]).argmax())
        others = next(name for name in fits if fits[name][other])
        one = int(fits[most].argmax())
        first, second = sorted(((one, most), (other, others)))
        there = seen_from(self.place(second[0]), self.place(first[0]))
        beside = f"it looks like {second[1]}, but {self._shown(first[0])} ({there}) like {first[1]}"
        return self._error(second[0], f"{beside}: one column needs one unit.")

    def _digits(self, row: int) -> int:
        return len(str(int(self.numbers[0][row])))

    def _shown(self, row: int) -> str:
        return time_numbers.shown(int(self.numbers[0][row]), int(self.numbers[1][row]))

    def _error(self, row: int, what: str) -> DataError:
        column = f"{self.place(row)}, column {self.name!r}"
        return DataError(f"{column}: {self._shown(row)} is not a plausible time: {what}")
