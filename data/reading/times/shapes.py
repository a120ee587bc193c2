"""Which conventions of writing a time fit a text, and where its numbers stand in it.

The shape of a text is the text in small letters with 0 for every digit: texts of one shape are parsed
together, column by column of a matrix of characters, and only shapes are matched with expressions.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]

CONVENTIONS = {
    "number": "a number",
    "iso": "year first",
    "dmy": "day first",
    "mdy": "month first",
    "ymd": "year first, in two digits",
    "named": "with the month's name",
    "named_ymd": "year first, in two digits, with the month's name",
}
"""Ways to write a time, and their names in messages."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? *)?"
_OFFSET = r"(?P<offset>[+-]00(?::?00)?)(?: [a-z]{2,5})?"
_UTC = rf" ?(?:(?:utc|gmt)?{_OFFSET}|z|utc|gmt)(?:\[[a-z/_]+\]| ?\([a-z ]+\))?"
_ZONE = rf"(?:{_UTC})?"
_CLOCK = (
    r"(?P<hour>00?)(?:(?P<colon>[:.])(?P<minute>00?)(?:(?P=colon)(?P<second>00?)(?:[.,](?P<fraction>0+))?)?)?"
    r"(?: ?(?P<half>am|pm|a\.m\.|p\.m\.))?"
)
_COMPACT_CLOCK = r"(?P<hour>00)(?P<minute>00)(?:(?P<second>00)(?:[.,](?P<fraction>0+))?)?"
_YEAR4, _YEAR2 = r"(?P<year>0000)", r"(?P<year>00)"
_DAY, _MON = r"(?P<day>00?)", r"(?P<month>00?)"
_SEP, _LOOSE = r"(?P<sep>[./-])", r"[ ./,-]*"
_REST = rf"(?:(?:t|_|,? +(?:at +)?|,){_CLOCK}{_ZONE})?"
_NAMED_REST = rf"(?:(?:t|_|:|,? +(?:at +|@ +)?|,){_CLOCK}{_ZONE})?"
_NTH = _DAY + r"(?:st|nd|rd|th)?"
_JOINED = r"(?P<year>0000)(?P<month>00)(?P<day>00)"

_NUMBERS = [
    r"(?P<sign>-?)(?P<whole>0{1,19})(?:\.(?P<part>0*))?",
    r"(?P<sign>-?)(?P<whole>0{9,19}),(?P<part>0+)",
    r"(?P<whole>0)(?:\.(?P<part>0{1,17}))?e(?P<exponent>00?)",
    r"(?P<whole>0)(?:\.(?P<part>0{7,17}))e\+(?P<exponent>00)",
]
"""Fewer digits before e+09 are those of a number that a spreadsheet has rounded."""

_ISO = [
    rf"{_WEEKDAY}{_YEAR4}{_SEP}{_MON}(?P=sep){_DAY}{_REST}",
    rf"{_YEAR4}-(?P<month>00)-(?P<day>00)-{_CLOCK}",
    rf"{_JOINED}[t ]{_COMPACT_CLOCK}{_ZONE}",
    rf"{_JOINED}[t ]{_CLOCK}{_ZONE}",
    rf"{_JOINED}{_COMPACT_CLOCK}{_UTC}",
    rf"{_JOINED}(?P<hour>00)(?P<minute>00)(?P<second>00)(?P<fraction>000000)",
]
_NAMED = [
    rf"{_WEEKDAY}\[?{_NTH}{_LOOSE}{_MONTH}{_LOOSE}{_YEAR4}{_NAMED_REST}\]?",
    rf"{_WEEKDAY}{_MONTH}{_LOOSE}{_NTH}[ ./,-]+{_YEAR4}{_NAMED_REST}",
    rf"{_WEEKDAY}{_MONTH} +{_NTH},? +{_CLOCK}{_ZONE},? +{_YEAR4}",
    rf"{_WEEKDAY}{_MONTH} +{_NTH},? +{_CLOCK},? +{_YEAR4} +{_OFFSET}",
    rf"{_YEAR4}{_LOOSE}{_MONTH}{_LOOSE}{_DAY}{_NAMED_REST}",
]
_PATTERNS: dict[str, list[re.Pattern[str]]] = {
    name: [re.compile(p) for p in patterns]
    for name, patterns in {
        "number": _NUMBERS,
        "iso": _ISO,
        "dmy": [rf"{_DAY}{_SEP}{_MON}(?P=sep){year}{_REST}" for year in (_YEAR4, _YEAR2)],
        "mdy": [rf"{_MON}{_SEP}{_DAY}(?P=sep){year}{_REST}" for year in (_YEAR4, _YEAR2)],
        "ymd": [rf"{_YEAR2}{_SEP}{_MON}(?P=sep){_DAY}{_REST}"],
        "named": [*_NAMED, rf"{_WEEKDAY}{_NTH}{_LOOSE}{_MONTH}{_LOOSE}{_YEAR2}{_REST}"],
        "named_ymd": [*_NAMED, rf"{_WEEKDAY}{_YEAR2}{_LOOSE}{_MONTH}{_LOOSE}{_DAY}{_REST}"],
    }.items()
}


NUMBER_PARTS = ("sign", "whole", "part", "exponent")


@dataclass(frozen=True)
class Layout:
    """Where the parts of a time stand in texts of one shape.

    Attributes:
        spans: of every part that is written in digits, of the offset with its sign, and of am or pm.
        month: the number of a month that is written as a name.
        half: "a" or "p" of a twelve-hour clock, or nothing.
    """

    spans: dict[str, Span]
    month: int | None
    half: str


@lru_cache(maxsize=4096)
def layouts(shape: str) -> dict[str, Layout]:
    """Every convention that fits a shape, with the places of its parts."""
    found = {}
    for name, patterns in _PATTERNS.items():
        match = next((m for p in patterns if (m := p.fullmatch(shape))), None)
        if match and _whole(match):
            found[name] = _layout(match)
    return found


def _whole(match: "re.Match[str]") -> bool:
    """An hour alone is a time of day after the T of ISO 8601, or before am and pm, only.

    Minutes and seconds of one digit are such in 1:2:3 only.
    """
    if any(len(_text(match, part)) == 1 for part in ("minute", "second")):
        return _text(match, "second") != "" and _text(match, "colon") == ":"
    if not _text(match, "hour") or _text(match, "minute") or _text(match, "half"):
        return True
    return match.string[match.start("hour") - 1] == "t"


def _text(match: "re.Match[str]", group: str) -> str:
    return match.groupdict().get(group) or ""


def _layout(match: "re.Match[str]") -> Layout:
    parts = ("year", "month", "day", "hour", "minute", "second", "fraction", "offset", "half", *NUMBER_PARTS)
    spans = {name: match.span(name) for name in parts if _text(match, name)}
    month = MONTHS.index(_text(match, "name")[:3]) + 1 if _text(match, "name") else None
    return Layout(spans, month, _text(match, "half")[:1])


def number(text: NDArray[np.uint8], span: Span) -> NDArray[np.int64]:
    """(n,) the digits of some columns of an (n, length) matrix of characters, as numbers."""
    value = np.zeros(len(text), np.int64)
    for at in range(*span):
        value = value * 10 + (text[:, at].astype(np.int64) - 48)
    return value


def instants(text: NDArray[np.uint8], layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since 1970 in UTC of texts of one shape, and which of them are on the calendar.

    Args:
        text: (n, length) characters.
    """
    at = layout.spans
    year, day = number(text, at["year"]), number(text, at["day"])
    if at["year"][1] - at["year"][0] == 2:
        year += np.where(year < 69, 2000, 1900)  # as POSIX has it
    month = number(text, at["month"]) if layout.month is None else np.full(len(text), layout.month)
    days, good = _days(year, month, day)
    hour, minute, second = (
        number(text, at[part]) if part in at else np.zeros(len(text), np.int64)
        for part in ("hour", "minute", "second")
    )
    if layout.half:
        good &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if layout.half == "p" else 0)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    shift = np.zeros(len(text), np.int64)
    if "offset" in at:
        start, end = at["offset"]
        hours = number(text, (start + 1, start + 3))
        minutes = number(text, (end - 2, end)) if end - start > 3 else 0 * hours
        good &= (hours <= 15) & (minutes < 60)
        shift = np.where(text[:, start] == ord("-"), -1, 1) * (hours * 60 + minutes)
    fraction = micros(text, at["fraction"]) if "fraction" in at else 0
    seconds = ((days * 24 + hour) * 60 + minute - shift) * 60 + second
    return seconds * 1_000_000 + fraction, good


def micros(text: NDArray[np.uint8], span: Span) -> NDArray[np.int64]:
    """Digits after a decimal point as millionths; further digits are dropped."""
    start, end = span[0], min(span[1], span[0] + 6)
    return number(text, (start, end)) * np.int64(10 ** (6 - (end - start)))


def _days(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970, and whether there is such a day."""
    good = (month >= 1) & (month <= 12) & (year >= 1) & (day >= 1)
    months = ((year - 1970) * 12 + np.where(good, month, 1) - 1).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[D]").astype(np.int64)
    return first + day - 1, good & (day <= after - first)


def calendar(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64], rest: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds since 1970 of dates and of times of day written HHMMSS, and which are on the calendar."""
    days, good = _days(year, month, day)
    hour, minute, second = rest // 10_000, rest // 100 % 100, rest % 100
    good &= (hour < 24) & (minute < 60) & (second < 60)
    return ((days * 24 + hour) * 60 + minute) * 60 + second, good
