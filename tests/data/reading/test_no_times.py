"""What is refused as a time: half a one, none at all, and moments at which nobody can have searched."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

JAN_11 = "2024-01-11T19:06:40"  # 1705000000


# Half a time, and what is none

HALVES = {
    "10:05:00": "a time of day without a date",
    "10:05": "a time of day without a date",
    "10am": "a time of day without a date",
    "10:05 PM": "a time of day without a date",
    "T10:05:00Z": "a time of day without a date",
    "Mar 10 10:00:00": "it has no year",
    "10 Mar 10:00": "it has no year",
    "03/10 10:00": "it has no year",
    "10.03.": "it has no year",
    "today": "another moment every day",
    "Yesterday": "another moment every day",
    "now": "another moment every day",
    "3 days ago": "another moment every day",
    "2024": "a year alone is no time",
    "2024-03": "a month without a day",
    "03/2024": "a month without a day",
    "March 2024": "a month without a day",
    "202403": "a year and a month alone",
    "2024-03-10 10": "is not a time",
    "2024-02-30": "there is no such date",
    "2024-03-10 25:00": "there is no such date or time of day",
    "13:00 PM": "time of day",
    "2024-03-10 10:00 EST": "the time zone EST is ambiguous",
    "Sun Mar 10 10:00:00 CET 2024": "the time zone CET is ambiguous",
    "2024-03-10T10:00[Europe/Berlin]": "is not a time",
    "": "there is no time",
    "  ": "there is no time",
    "NULL": "remove the row",
    "Sunday": "is not a time",
    "2024-W10-7": "is not a time",
    "1.705E+09": "rounded the number",
    "٢٠٢٤-٠٣-١٠": "is not a time",
    "x" * 5000: "is not a time",
}


@pytest.mark.parametrize(("text", "part"), HALVES.items(), ids=[t[:20] for t in HALVES])
@pytest.mark.parametrize("others", [[], ["2024-03-09"], ["1705000000"]], ids=["alone", "ISO", "seconds"])
def test_no_time(logs: Any, text: str, part: str, others: list[str]) -> None:
    if others == ["2024-03-09"] and text.isdecimal():
        part = "it is a number, which '2024-03-09' (line 2) is not"
    message = logs.refused_times(*others, text, *others)
    assert message.startswith(f"times.csv, line {2 + len(others)}, column 'time': ")
    assert part in message
    assert len(message) < 400


def test_times_of_rows_that_are_dropped_do_not_matter(logs: Any) -> None:
    read = logs.read("log.csv", "user,time,query\na,,\n,soon,x\na,2024-01-02,y\n")
    assert read.rows == [("a", "2024-01-02", "y")]


# Implausible times

FAR = ["0001-01-01", "1970-01-01T00:00:00Z", "1989-12-31T23:59:59", "2393-05-06", "01.13.2567", "2024-06-03"]


@pytest.mark.parametrize("text", FAR)
def test_implausible_times(logs: Any, text: str) -> None:
    message = logs.refused_times(text)
    assert message.startswith(
        f"times.csv, line 2, column 'time': {text!r}: it is before 1990 or after tomorrow"
    )
    assert "--any-time" in message
    iso = "2567-01-13" if "." in text else text.removesuffix("Z")
    assert datetime.fromisoformat(logs.times(text, any_time=True)[0]) == datetime.fromisoformat(iso)


def test_tomorrow_is_plausible(logs: Any) -> None:
    """The clock of these tests stands at noon of 1 June 2024."""
    assert logs.times("2024-06-02T12:00:00") == ["2024-06-02T12:00:00"]
    assert "tomorrow" in logs.refused_times("2024-06-02T12:00:01")
    assert logs.times("1990-01-01") == ["1990-01-01"]


@pytest.mark.parametrize("text", ["0", "27", "-5", "45302.41", "99999999", "13349491200000000", "1e3"])
def test_implausible_numbers(logs: Any, text: str) -> None:
    message = logs.refused_times("1705000000", text)
    assert message.startswith(
        f"times.csv, line 3, column 'time': {text.replace('1e3', '1000')} is not a plausible"
    )
    assert ("spreadsheet" in message) == (text == "45302.41")


def test_numbers_beyond_64_bits(logs: Any) -> None:
    for text in (
        "9223372036854775808",
        "9999999999999999999",
        "10000000000000000000",
        "-9999999999999999999",
    ):
        assert f"column 'time': '{text}' is not a time" in logs.refused_times(text, any_time=True)
    table = pa.table({"user": ["a"], "time": pa.array([1705000000.123]), "query": ["q"]})
    assert logs.read("log.parquet", table).moments == [f"{JAN_11}.123"]


def test_net_ticks_are_no_nanoseconds(logs: Any) -> None:
    assert ".NET ticks" in logs.refused_times("638457408000000000")


def test_any_time_takes_the_unit_of_the_median(logs: Any) -> None:
    assert logs.times("5", "7", any_time=True) == ["1970-01-01T00:00:05", "1970-01-01T00:00:07"]
    assert logs.times("-1.5", any_time=True) == ["1969-12-31T23:59:58.500"]
    assert logs.times("100000000000", any_time=True) == ["1973-03-03T09:46:40"]
    assert logs.times("19700102", any_time=True) == ["1970-01-02"]
    assert "beyond the years 1 to 9999" in logs.refused_times(
        "99999999999", "5", "300000000000", any_time=True
    )
