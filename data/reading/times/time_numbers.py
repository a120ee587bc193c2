"""Times as numbers: Unix time in one of four units, or dates written without their punctuation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.reading.times.shapes import Layout, calendar, number

SECOND = 1_000_000
"""Microseconds."""

LIMITS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""The years 1 to 9999, in microseconds since 1970."""

BILLION = 1_000_000_000
TICKS = (627_667_000 * BILLION, 650_000_000 * BILLION)
"""Tenths of microseconds since the year 1, as .NET counts them, from 1990 to 2060."""

Numbers = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(n,) whole parts, and (n,) billionths to add; of a negative number both are what floor division gives."""


@dataclass(frozen=True)
class Unit:
    """One way to read a number: its name, and the function to microseconds and to what can be read so."""

    name: str
    low: int
    high: int
    read: Callable[[Numbers], tuple[NDArray[np.int64], NDArray[np.bool_]]]
    digits: int = 0  # of written dates

    def fits(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Which numbers are plausible in this unit."""
        near = (numbers[0] >= self.low) & (numbers[0] <= self.high)
        return near & self.read(numbers)[1] if near.any() else near


def _unix(scale: int) -> Callable[[Numbers], tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """``scale``: microseconds of one; 0 for nanoseconds."""

    def read(numbers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        whole, part = numbers
        if not scale:
            return whole // 1000, np.ones(len(whole), bool)
        good = np.abs(whole) < 2**62 // scale
        return np.where(good, whole, 0) * scale + (part * scale + BILLION // 2) // BILLION, good

    return read


def _written(digits: int) -> Callable[[Numbers], tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Dates of this many digits: YYYYMMDD, with HH, HHMM, HHMMSS or HHMMSSmmm behind."""

    def read(numbers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        whole, part = numbers
        thousandths = whole % 1000 if digits == 17 else np.zeros_like(whole)
        longest = whole // 1000 if digits == 17 else whole * 10 ** (14 - digits)
        date, clock = longest // 10**6, longest % 10**6
        seconds, good = calendar(date // 10_000, date // 100 % 100, date % 100, clock)
        good &= (part == 0) | (digits == 14)
        return seconds * SECOND + thousandths * 1000 + part // 1000, good & (whole >= 0)

    def bounded(numbers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        inside = (numbers[0] >= 10 ** (digits - 1)) & (numbers[0] < 10**digits)
        instants, good = read((np.where(inside, numbers[0], 0), numbers[1]))
        return instants, good & inside

    return bounded


UNIX = {"seconds": SECOND, "milliseconds": 1000, "microseconds": 1, "nanoseconds": 0}
WRITTEN = {8: "YYYYMMDD", 10: "YYYYMMDDHH", 12: "YYYYMMDDHHMM", 14: "YYYYMMDDHHMMSS", 17: "YYYYMMDDHHMMSSmmm"}


def units(earliest: int, latest: int) -> list[Unit]:
    """All units, with the numbers that mean times between two instants (in microseconds)."""
    found = []
    for name, scale in UNIX.items():
        low, high = (t // scale if scale else t * 1000 for t in (earliest, latest))
        found.append(Unit(f"Unix {name}", low, high, _unix(scale)))
    for digits, name in WRITTEN.items():
        low, high = (int(_moment(t).strftime("%Y%m%d%H%M%S%f")[:digits]) for t in (earliest, latest))
        found.append(Unit(name, low, high, _written(digits), digits))
    return found


def of_most(numbers: Numbers, known: list[Unit]) -> Unit | None:
    """The unit in which at least half of the numbers are plausible, or that they are written in."""
    half = len(numbers[0]) / 2
    unit = max(known, key=lambda unit: int(unit.fits(numbers).sum()))
    if unit.fits(numbers).sum() >= half:
        return unit
    return next((u for u in known if u.digits and looks_written(numbers[0], u.digits).sum() >= half), None)


def looks_written(whole: NDArray[np.int64], digits: int) -> NDArray[np.bool_]:
    """Which numbers have the digits of a date from 1900 to 2100, be it on the calendar or not."""
    date = whole // 10 ** (digits - 8)
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    inside = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return np.asarray(inside)


def by_size(numbers: Numbers, known: list[Unit]) -> Unit:
    """The unit of numbers that may mean any time: that of most if there is one, or else by the median."""
    unit = of_most(numbers, known)
    if unit is not None:
        return unit
    size = float(np.median(np.abs(numbers[0].astype(np.float64))))
    return known[3 if size >= 1e17 else 2 if size >= 1e14 else 1 if size >= 1e11 else 0]


def parse(text: NDArray[np.uint8], layout: Layout) -> tuple[Numbers, NDArray[np.bool_]]:
    """Numbers of (n, length) characters, and which of them can be held."""
    at = layout.spans
    start, end = at["whole"]
    good = np.ones(len(text), bool)
    if end - start == 19:
        good = number(text, (start, start + 10)) < 9_223_372_036
    whole = number(text, (start, end))
    part = np.zeros_like(whole)
    if "exponent" in at:
        return _scaled(text, layout, whole)
    if "part" in at:
        first, last = at["part"][0], min(at["part"][1], at["part"][0] + 9)
        part = number(text, (first, last)) * 10 ** (9 - (last - first))
    if "sign" in at:
        whole, part = -whole - (part > 0), np.where(part > 0, BILLION - part, 0)
    return (whole, part), good


def _scaled(
    text: NDArray[np.uint8], layout: Layout, whole: NDArray[np.int64]
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Numbers with an exponent, like 1.705000000123E9."""
    at = layout.spans
    places = at["part"][1] - at["part"][0] if "part" in at else 0
    digits = whole * 10**places + (number(text, at["part"]) if places else 0)
    shift = number(text, at["exponent"]) - places
    good = (shift <= 17 - places) & (shift >= -17)
    up, down = np.clip(shift, 0, 17), np.clip(-shift, 0, 17)
    power = np.power(np.int64(10), down)
    rest = (digits % power).astype(np.float64) / power
    return (digits // power * np.power(np.int64(10), up), np.round(rest * BILLION).astype(np.int64)), good


def from_floats(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Whole parts of floats, whether they can be held, and billionths."""
    good = np.isfinite(values) & (np.abs(values) < 2**63)
    values = np.where(good, values, 0)
    whole = np.floor(values)
    return whole.astype(np.int64), good, np.round((values - whole) * BILLION).astype(np.int64)


def from_integers(
    values: "NDArray[np.integer[Any]]",
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """The same of integers."""
    good = values <= np.uint64(2**63 - 1) if values.dtype == np.uint64 else np.ones(len(values), bool)
    return np.where(good, values, 0).astype(np.int64), good, np.zeros(len(values), np.int64)


def shown(whole: int, part: int) -> str:
    """A number as text."""
    if not part:
        return str(whole)
    value = whole + part / BILLION if whole < 0 else 0.0
    return f"{value:.9f}".rstrip("0") if whole < 0 else f"{whole}.{part:09d}".rstrip("0")


def likely(whole: int) -> str:
    """What a number may be that is no plausible time."""
    if 20_000 <= whole <= 60_000:
        return (
            "it looks like a spreadsheet's count of days: format the column as date and time and export again"
        )
    written = next((name for d, name in WRITTEN.items() if looks_written(np.array([whole]), d)[0]), None)
    if written and not _written(len(str(whole)))((np.array([whole]), np.zeros(1, np.int64)))[1][0]:
        return f"as {written} there is no such date or time of day"
    orders = [name for name, fits in _orders(np.array([whole])).items() if fits[0]]
    if orders:
        return f"its digits may be a day, a month and a year: --time-format {' or '.join(orders)} reads them"
    if 1900 <= whole <= 2100:
        return "a year alone is no time"
    if 190_001 <= whole <= 210_012 and 1 <= whole % 100 <= 12:
        return "a year and a month alone are no time"
    return (
        "as Unix time in seconds, milliseconds, microseconds or nanoseconds, or as a date like 20240131, "
        "it is before 1990 or after tomorrow; --any-time accepts it"
    )


def turned(whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which numbers have the eight digits of a date that ends in its year."""
    by_day, by_month = _orders(whole).values()
    return by_day | by_month


def _orders(whole: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """The formats by which numbers are dates that end in their year."""
    one, two, year = whole // 10**6, whole // 10**4 % 100, whole % 10**4
    inside = (year >= 1990) & (year <= 2100)
    orders = {"'%d%m%Y'": (one, two), "'%m%d%Y'": (two, one)}
    return {
        name: inside & (day >= 1) & (day <= 31) & (month >= 1) & (month <= 12)
        for name, (day, month) in orders.items()
    }


def _moment(instant: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
