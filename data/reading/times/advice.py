"""Sentences about times that cannot be read: what they may be, and what to do."""

import re
from collections.abc import Sequence

import pyarrow as pa

from data.reading.times.cells import formatted, parse, shape_of
from data.reading.times.shapes import layouts

_DAY = {
    "dmy": "with the day first",
    "mdy": "with the month first",
    "ymd": "with the year first",
}

_OPTIONS = {"dmy": "--day-first", "mdy": "--month-first"}

_ZONES = r"[a-z]{1,4}t|msk|msd|wib|wita|wit"
"""Abbreviations of time zones, or what looks like one."""


def strange(text: str) -> str:
    """Why a text is not a time, to follow "is not a time"; empty if nothing better can be said."""
    plain = text.strip().lower()
    shape = shape_of(text)
    words = r"now|today|yesterday|tomorrow|noon|midnight|(last|this|next) \w+|\d+ \w+ ago|just now"
    if re.fullmatch(words, plain):
        return ": it means another moment every day"
    if re.fullmatch(r"(null|none|nan|nat|n/?a|nil|undefined|unknown|\\n|[-–—?.]+)", plain):
        return ": remove the row, or fill in its time"
    if layouts(shape):
        return ": there is no such date or time of day"
    if re.fullmatch(r"t?00?:00(:00([.,]0+)?)?( ?[a-z.]{1,5})?|00? ?([ap]m|[ap]\.m\.)", shape):
        return ": it is a time of day without a date"
    zone = re.fullmatch(rf"(.*0(?: ?[ap]m)?) ?\(?({_ZONES})\)?( 0000)?", shape)
    if zone and "0:0" in zone[1] and (layouts(zone[1] + (zone[3] or "")) or zone[3]):
        return (
            f": the time zone {zone[2].upper()} is ambiguous; write it as an offset like +01:00, or use UTC"
        )
    more = re.fullmatch(r"(.*0:00) ?[^0-9]+", shape)
    if more and layouts(more[1]):
        return ": leave out what follows the time of day"
    if re.fullmatch(r"-?0\.0*e\+00", shape):
        return ": a spreadsheet has rounded the number; format the column as a whole number and export again"
    if re.fullmatch(r"0000[./-]00?|00?[./-]0000|[a-z]+\.?,? 0000", shape):
        return ": it is a month without a day"
    if re.search(r"[a-z]{3}", shape) and re.search(r"0:00", shape) and not re.search(r"0000", shape):
        return ": it has no year"
    if re.fullmatch(r"00?[./-]00?\.?( .*)?", shape):
        return ": it has no year"
    return ""


def ambiguous(text: str, conventions: Sequence[str], alike: bool) -> str:
    """What conventions make of a text that fits them all, and how to choose.

    Args:
        text: one of the column.
        conventions: of numbers for day, month and year.
        alike: the times of the column differ in their digits only, so that one format reads them all.
    """
    ways = " and ".join(_DAY[name] for name in conventions)
    options = [option for name, option in _OPTIONS.items() if name in conventions]
    formats = [repr(f) for name in conventions if alike and _works(f := time_format(text, name), text, name)]
    options += [f"--time-format {' or '.join(formats)}"] if formats else []
    return f"it can be read {ways}, and no other row decides: add {' or '.join(options)}."


def time_format(text: str, convention: str) -> str:
    """The strptime format of a text by a convention of numbers for day, month and year."""
    text = text.strip()
    layout = layouts(shape_of(text))[convention]
    directives = {
        "year": "%Y" if layout.spans["year"][1] - layout.spans["year"][0] == 4 else "%y",
        "month": "%m",
        "day": "%d",
        "hour": "%I" if layout.half else "%H",
        "minute": "%M",
        "second": "%S",
        "fraction": "%f",
        "offset": "%z",
        "half": "%p",
    }
    for part, (start, end) in sorted(layout.spans.items(), key=lambda item: -item[1][0]):
        text = text[:start] + directives[part] + text[end:]
    return text


def _works(time_format: str, text: str, convention: str) -> bool:
    """Whether a format reads a text as a convention does."""
    cells = pa.array([text], pa.string())
    instants, good, _ = formatted(cells, time_format)
    return bool(good[0]) and instants[0] == parse(cells, {convention})[0][convention][0][0]
