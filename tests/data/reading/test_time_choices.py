"""Times: how a convention or a unit is chosen, that advice can be followed, and what formats are taken."""

import re
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from data.reading.rows import Places, Reading
from data.reading.times.column import Times
from data.schema import DataError

# No single row chooses the convention (the clock of these tests stands at noon of 1 June 2024)


@pytest.mark.parametrize(
    ("texts", "ways"),
    [
        (["03.04.2024", "05.06.2023", "03.12.2024"], ["--day-first", "--month-first"]),
        (["03/04/2024", "04/05/2024", "08/04/2024"], ["--day-first", "--month-first"]),
        (["03/04/05", "05/06/07", "07/08/28"], ["--day-first", "--month-first", "'%y/%m/%d'"]),
        (["28/03/24", "03/04/23", "05/04/23"], ["--day-first", "'%y/%m/%d'"]),
        (["24-03-10", "24-03-11", "24-03-30"], ["--day-first", "'%y-%m-%d'"]),
    ],
)
def test_an_implausible_row_does_not_choose(logs: Any, texts: list[str], ways: list[str]) -> None:
    message = logs.refused_times(*texts)
    assert "no other row decides" in message
    assert all(way in message for way in ways), message


def test_the_convention_that_is_asked_for_is_judged(logs: Any) -> None:
    texts = ("03.04.2024", "05.06.2023", "03.12.2024")
    message = logs.refused_times(*texts, day_first=True)
    assert "line 4, column 'time': '03.12.2024': it is before 1990 or after tomorrow with the day" in message
    assert logs.times(*texts, month_first=True) == ["2024-03-04", "2023-05-06", "2024-03-12"]


def test_two_digits_are_not_the_year_first_if_most_rows_would_be_implausible(logs: Any) -> None:
    assert logs.times("28/03/24", "29/03/24", "03/04/24") == ["2024-03-28", "2024-03-29", "2024-04-03"]
    assert "no other row decides" in logs.refused_times("28/03/24", "03/04/24", any_time=True)
    message = logs.refused_times("28/03/24", "29/03/24", "03/04/25")
    assert "line 4, column 'time': '03/04/25': it is before 1990 or after tomorrow with the day" in message


def test_beside_a_name_two_digits_are_the_year_at_the_end(logs: Any) -> None:
    assert logs.times("10-Mar-24", "11-MAR-23") == ["2024-03-10", "2023-03-11"]
    assert logs.times("Sun 10 March 24 10:00") == ["2024-03-10T10:00:00"]
    assert logs.times("99-Mar-10", "24-Mar-11") == ["1999-03-10", "2024-03-11"]
    message = logs.refused_times("10-MAR-24", "11-MAR-24", "12-MAR-27")
    assert "line 4, column 'time': '12-MAR-27': it is before 1990 or after tomorrow" in message


def test_no_such_date_with_the_year_first(logs: Any) -> None:
    for texts in (["24/04/31"], ["24/04/30", "24/04/31"]):
        message = logs.refused_times(*texts)
        assert f"line {1 + len(texts)}, column 'time': '24/04/31': with the year first there is no" in message


# Advice that can be followed

AMBIGUOUS = {
    "a blank, pm": (["03/04/2024 1:05 pm", "05/06/2023 12:00 am"], "2024-04-03T13:05:00"),
    "pm": (["03/04/2024 1:05pm", "05/06/2023 11:05AM"], "2024-04-03T13:05:00"),
    "PM": (["3/4/2024, 3:05 PM", "3/5/2024, 3:05 PM"], "2024-04-03T15:05:00"),
    "p.m.": (["03.04.2024 1:05 p.m.", "05.06.2023 1:05 a.m."], "2024-04-03T13:05:00"),
    "a browser's blank": (["3/4/2024, 3:05\u202fPM", "3/5/2024, 3:05\u202fPM"], "2024-04-03T15:05:00"),
    "a T, a fraction, Z": (["03/04/2024T10:00:00.5Z", "03/05/2024T10:00:00.25Z"], "2024-04-03T10:00:00.500"),
    "an offset": (["03-04-2024 10:00 +0100"], "2024-04-03T09:00:00"),
    "an offset with a colon": (["03-04-2024 10:00:07+01:00"], "2024-04-03T09:00:07"),
    "no leading zeros": (["3/4/2024 1:2:3", "3/5/2024 10:20:30"], "2024-04-03T01:02:03"),
    "at": (["3/4/2024 at 3pm"], "2024-04-03T15:00:00"),
    "three ways": (["03-04-05", "04-05-06"], "2005-04-03"),
    "several precisions": (["03/04/2024", "03/05/2024 10:00"], "2024-04-03"),
    "an offset of hours": (["03/04/2024 10:00+01"], "2024-04-03T09:00:00"),
}


@pytest.mark.parametrize(("texts", "moment"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_every_advice_reads_the_column(logs: Any, texts: list[str], moment: str) -> None:
    message = logs.refused_times(*texts)
    assert "no other row decides" in message
    day_first = logs.times(*texts, day_first=True)
    month_first = logs.times(*texts, month_first=True)
    assert day_first[0] == moment
    assert "--day-first or --month-first" in message
    formats = re.findall(r"'(%[^']+)'", message)
    read = [logs.times(*texts, time_format=f) for f in formats]
    assert read[:2] in ([day_first, month_first], [])
    assert len({tuple(r) for r in read}) == len(formats)
    if "%y" in message:
        assert read[2] == ["2003-04-05", "2004-05-06"]


DATES = (["03/04/2024", "05/06/2023"], ["3.4.2024", "11.12.2023"], ["03-04-05", "06-07-08"])
JOINTS = (" ", ", ", "T", " at ")
CLOCKS = ("10:05", "1:2:3", "10.05", "10:05:07,123456789", "1:05pm", "01:05 PM", "1:05:07.25 a.m.", "12 am")
ZONES = ("", "Z", " utc", "+01:00", " GMT-0530 (Standard Time)", "+0100 CET", "+01:00[Europe/Berlin]")


def test_every_advice_reads_times_as_its_option_does() -> None:
    def read(**reading: Any) -> list[int]:
        times = Times("time", Reading(**reading), datetime(2024, 6, 1, tzinfo=UTC))
        times.add(pa.array(texts), Places("log.csv", "line", range(2, 4)))
        instants: list[int] = times.finish()[0].tolist()
        return instants

    for places in product(*(range(len(part)) for part in (DATES, JOINTS, CLOCKS, ZONES))):
        if sum(places) % len(JOINTS):
            continue  # every pair of parts still meets
        dates, joint, clock, zone = (
            part[place] for part, place in zip((DATES, JOINTS, CLOCKS, ZONES), places, strict=True)
        )
        texts = [f"{date}{joint}{clock}{zone}" for date in dates]
        with pytest.raises(DataError, match="no other row decides") as error:
            read()
        formats = re.findall(r"'(%[^']+)'", str(error.value))
        assert len(formats) == (3 if "-" in dates[0] else 2), error.value
        found = [read(time_format=time_format) for time_format in formats]
        assert found[:2] == [read(day_first=True), read(month_first=True)], texts


# Formats


@pytest.mark.parametrize(
    ("time_format", "text", "moment"),
    [
        ("%F %T", "2024-03-10 10:30:07", "2024-03-10T10:30:07"),
        ("%D %R", "03/10/24 10:30", "2024-03-10T10:30:00"),
        ("%D %r", "03/10/24 01:30:07 PM", "2024-03-10T13:30:07"),
        ("%-d.%-m.%Y", "1.3.2024", "2024-03-01"),
        ("%h %e %Y %l:%M %P", "Mar  3 2024 1:30 pm", "2024-03-03T13:30:00"),
        ("%c", "Sun Mar 10 10:30:00 2024", "2024-03-10T10:30:00"),
        ("%d.%m.%Y %I.%M %p", "10.03.2024 1.30 P.M.", "2024-03-10T13:30:00"),
        ("%d%m%Y", "10032024", "2024-03-10"),
        ("100%% %Y-%m-%d", "100% 2024-03-10", "2024-03-10"),
    ],
)
def test_formats_of_the_c_library(logs: Any, time_format: str, text: str, moment: str) -> None:
    read = logs.times(text, time_format=time_format)[0]
    assert datetime.fromisoformat(read) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("time_format", "part"),
    [
        ("%d/%m/%Y %I:%Mpm", "has %I, an hour of AM or PM, but no %p"),
        ("%d/%m/%Y %H:%M %p", "has %p for AM and PM, but no %I"),
        ("%s", "Unix times are numbers"),
        ("%Y-%m-%d %Q", "has %Q, which is not known"),
        ("%Y-%m-%d %", "ends with a %"),
        ("%Y %Y-%m-%d", "has %Y more than once"),
        ("%F %d", "has %d more than once"),
        ("%G-%m-%d", "cannot be used: ISO year directive"),
        ("%T", "has no year and no month and no day"),
    ],
)
def test_formats_are_refused_before_the_log_is_read(time_format: str, part: str) -> None:
    with pytest.raises(DataError, match=re.escape(part)) as error:
        Reading(time_format=time_format)
    assert str(error.value).startswith(f"the time format {time_format!r}")
    assert "\n" not in str(error.value)


# Written dates stay written dates


@pytest.mark.parametrize("any_time", [False, True])
@pytest.mark.parametrize(
    ("texts", "row", "part"),
    [
        (["20240228", "20240230"], 1, "as YYYYMMDD"),
        (["20240230"], 0, "as YYYYMMDD"),
        (["20240310", "20240311", "20241399"], 2, "as YYYYMMDD"),
        (["202402281030", "202402281060"], 1, "as YYYYMMDDHHMM"),
        (["20240228103000", "20240230103000"], 1, "as YYYYMMDDHHMMSS"),
    ],
)
def test_no_such_written_date(logs: Any, texts: list[str], row: int, part: str, any_time: bool) -> None:
    message = logs.refused_times(*texts, any_time=any_time)
    assert f"line {2 + row}, column 'time': {texts[row]} is not a plausible time: " in message
    assert part in message
    assert "there is no such date" in message
    assert "--any-time" not in message


def test_any_time_takes_the_unit_that_most_rows_fit(logs: Any) -> None:
    assert logs.times("2024031010", "1985031011", any_time=True) == [
        "2024-03-10T10:00:00",
        "1985-03-10T11:00:00",
    ]
    assert logs.times("1985031011", any_time=True) == ["1985-03-10T11:00:00"]
    assert logs.times("20240310", "19700102", any_time=True) == ["2024-03-10", "1970-01-02"]
    assert logs.times("1705000000", "0", any_time=True)[1] == "1970-01-01"
    for texts in (["1705000000", "1705000000000"], ["20240310", "1705000000"]):
        assert "one column needs one unit" in logs.refused_times(*texts, any_time=True)


@pytest.mark.parametrize("any_time", [False, True])
def test_digits_that_end_in_their_year(logs: Any, any_time: bool) -> None:
    message = logs.refused_times("10032024", any_time=any_time)
    assert "--time-format '%d%m%Y' or '%m%d%Y' reads them" in message
    assert "--time-format '%d%m%Y' reads them" in logs.refused_times("20032024", any_time=any_time)
    assert "--time-format '%m%d%Y' reads them" in logs.refused_times("03282024", any_time=any_time)
    assert logs.times("20032024", time_format="%d%m%Y") == ["2024-03-20"]


# Beyond the years 1 to 9999

NS = 1705000000123456789


@pytest.mark.parametrize("any_time", [False, True])
@pytest.mark.parametrize(
    ("array", "row"),
    [
        (pa.array([NS]).cast(pa.timestamp("us")), 1),
        (pa.array([NS]).cast(pa.timestamp("ms")), 1),
        (pa.array([NS // 1000, NS]).cast(pa.timestamp("us", "UTC")), 2),
        (pa.array([NS // 1000, -NS]).cast(pa.timestamp("us", "Asia/Tokyo")), 2),
        (pa.array([19_000, 2**31 - 1], pa.int32()).cast(pa.date32()), 2),
    ],
)
def test_timestamps_beyond_the_calendar(logs: Any, array: pa.Array, row: int, any_time: bool) -> None:
    table = pa.table({"user": ["a"] * len(array), "time": array, "query": ["p", "q"][: len(array)]})
    message = logs.refusal("log.parquet", table, any_time=any_time)
    assert f"row {row}, column 'time': the time is beyond the years 1 to 9999: its unit" in message
    assert ("nanoseconds stored as timestamp" in message) == pa.types.is_timestamp(array.type)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_offsets_beyond_the_calendar(logs: Any, text: str) -> None:
    for reading in ({}, {"any_time": True}, {"any_time": True, "time_format": "%Y-%m-%dT%H:%M:%S%z"}):
        message = logs.refused_times("2024-01-01T00:00:00+00:00", text, **reading)
        assert "line 3, column 'time': " in message
        assert "in UTC" in message or "format" in message


# More ways to write a time, and words behind one


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun Mar 10 10:30:00 2024 +0100", "2024-03-10T09:30:00"),
        ("3/13/2024, 3:05\u202fPM", "2024-03-13T15:05:00"),
        ("2024-03-10\u00a010:00:00", "2024-03-10T10:00:00"),
        ("2024-3-1 1:2:3", "2024-03-01T01:02:03"),
        ("Mar 10, 2024 @ 10:30:00.000", "2024-03-10T10:30:00"),
        ("Tue 2024-03-12 10:00:00 UTC", "2024-03-12T10:00:00"),
    ],
)
def test_more_ways_to_write_a_time(logs: Any, text: str, moment: str) -> None:
    assert datetime.fromisoformat(logs.times(text)[0]) == datetime.fromisoformat(moment)


def test_a_word_is_no_time_zone(logs: Any) -> None:
    assert "it is a time of day without a date" in logs.refused_times("10:00 Uhr")
    message = logs.refused_times("10.03.2024 10:00 Uhr")
    assert message.endswith("is not a time: leave out what follows the time of day.")
    assert "the time zone CEST is ambiguous" in logs.refused_times("10.03.2024 10:00 CEST")
    assert "is not a time" in logs.refused_times("2024-03-10 1:2")
