"""Formats that are given for times: checked before the log is read, and spelled out."""

import re

from data.schema import DataError

_SHORT = {
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "c": "%a %b %d %H:%M:%S %Y",
    "e": "%d",
    "h": "%b",
    "k": "%H",
    "l": "%I",
    "P": "%p",
    "n": " ",
    "t": " ",
}
"""What the C library and `date` have beyond the directives of Python, and in their plain locale."""

_KNOWN = set("aAbBdfHIjmMpSuUVwWyYGz%")
_WHOLE = {"year": "YyG", "month": "mbBjUWV", "day": "djuwaA"}


def expanded(time_format: str) -> str:
    """A format in the directives of Python: %F is %Y-%m-%d, and %-d is %d; plain blanks for any."""
    time_format = re.sub("[\u00a0\u2007\u2009\u202f]", " ", time_format)
    return re.sub("%[-_0^#]?(.)", lambda match: _SHORT.get(match[1], f"%{match[1]}"), time_format)


def check(time_format: str) -> None:
    """
    Raises:
        DataError: a format that can read no time, or reads some wrongly.
    """
    plain = expanded(time_format)
    listed = re.findall("%(.?)", plain)
    parts = set(listed)
    text = f"the time format {time_format!r}"
    if "" in parts:
        raise DataError(f"{text} ends with a %: write %% for the sign itself.")
    lacking = [what for what, letters in _WHOLE.items() if not parts & set(letters)]
    if "Z" in parts:
        raise DataError(
            f"{text} has %Z, but names of time zones are ambiguous: write UTC itself, or %z for offsets like "
            "+01:00."
        )
    if "s" in parts:
        raise DataError(f"{text} has %s, but Unix times are numbers: leave out --time-format.")
    unknown = sorted(parts - _KNOWN)
    if unknown:
        raise DataError(
            f"{text} has %{unknown[0]}, which is not known: write %Y, %m, %d, %H, %M, %S and the like."
        )
    if lacking:
        raise DataError(
            f"{text} has no {' and no '.join(lacking)}: "
            "write one like '%d.%m.%Y %H:%M:%S', with a year, a month and a day."
        )
    twice = next((part for part in listed if part != "%" and listed.count(part) > 1), None)
    if twice:
        raise DataError(f"{text} has %{twice} more than once.")
    if "I" in parts and "p" not in parts:
        raise DataError(f"{text} has %I, an hour of AM or PM, but no %p: add %p, or write %H for 24 hours.")
    if "p" in parts and "I" not in parts:
        raise DataError(f"{text} has %p for AM and PM, but no %I: write %I for the hour.")
    _try(plain, text)


def _try(plain: str, text: str) -> None:
    import pandas as pd

    try:
        pd.to_datetime(["-"], format=plain, utc=True, errors="coerce")
    except (ValueError, TypeError, re.error) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{text} cannot be used: {why}.") from error
