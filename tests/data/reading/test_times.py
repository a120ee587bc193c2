"""Times: one convention for the whole column, and every unit of numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from data.schema import DataError

JAN_11 = "2024-01-11T19:06:40"  # 1705000000


# One convention for the whole column

COLUMNS: dict[str, tuple[list[str], list[str]]] = {
    "day first, dots": (["28.03.2024", "03.04.2024"], ["2024-03-28", "2024-04-03"]),
    "day first, found late": (["03/04/2024", "31/03/2024"], ["2024-04-03", "2024-03-31"]),
    "month first": (["03/04/2024", "03/31/2024"], ["2024-03-04", "2024-03-31"]),
    "month first, dashes": (["12-05-2023", "11-23-2023"], ["2023-12-05", "2023-11-23"]),
    "two digits, day first": (["28/03/24", "03/04/24"], ["2024-03-28", "2024-04-03"]),
    "two digits, month first": (["03/28/24", "03/04/24"], ["2024-03-28", "2024-03-04"]),
    "two digits, year first": (["99-12-31", "24-01-02"], ["1999-12-31", "2024-01-02"]),
    "short numbers": (["3/4/2024 9:05", "31/3/2024 10:00"], ["2024-04-03T09:05", "2024-03-31T10:00"]),
    "both read alike": (["03/03/2024", "05/05/2024"], ["2024-03-03", "2024-05-05"]),
    "ISO of several precisions": (
        ["2024-01-02", "2024-01-02T03:04:05.5", "2024-01-02 03:04:05Z"],
        ["2024-01-02T00:00:00.000", "2024-01-02T03:04:05.500", "2024-01-02T03:04:05.000"],
    ),
}


@pytest.mark.parametrize(("texts", "moments"), COLUMNS.values(), ids=COLUMNS)
def test_one_convention(logs: Any, texts: list[str], moments: list[str]) -> None:
    def full(times: list[str]) -> list[datetime]:
        return [datetime.fromisoformat(time) for time in times]

    assert full(logs.times(*texts)) == full(moments)
    assert full(logs.times(*texts[::-1])) == full(moments[::-1])


def test_a_convention_is_found_in_a_later_chunk(logs: Any) -> None:
    texts = ["03/04/2024"] * 70_000
    assert set(logs.times(*texts, "13/04/2024")[:-1]) == {"2024-04-03"}
    message = logs.refused_times(*texts, "13/04/2024", "04/13/2024")
    assert message.startswith("times.csv, line 70003, column 'time': '04/13/2024': it is month first, which")
    assert "'13/04/2024' (line 70002) is not" in message


def test_what_fits_two_conventions_is_refused_with_the_way_out(logs: Any) -> None:
    texts = ("03/03/2024 10:00", "03/04/2024 10:00", "05/06/2023 11:00")
    message = logs.refused_times(*texts)
    assert message.startswith(
        "times.csv, line 3, column 'time': '03/04/2024 10:00': it can be read with the day"
    )
    assert "--day-first or --month-first or --time-format '%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'" in message
    assert logs.times(*texts, day_first=True)[1] == "2024-04-03T10:00:00"
    assert logs.times(*texts, month_first=True)[1] == "2024-03-04T10:00:00"
    assert logs.times(*texts, time_format="%m/%d/%Y %H:%M")[2] == "2023-05-06T11:00:00"
    assert "--time-format '%d.%m.%y' or '%y.%m.%d'" in logs.refused_times("24.03.05", "23.03.05")
    assert logs.times("24.03.05", "23.03.05", time_format="%y.%m.%d") == ["2024-03-05", "2023-03-05"]


def test_options_against_the_column(logs: Any) -> None:
    assert (
        "line 3, column 'time': '03/28/2024': it is month first, against --day-first"
        in logs.refused_times("03/04/2024", "03/28/2024", day_first=True)
    )
    assert "against --month-first" in logs.refused_times("28.03.2024", month_first=True)
    assert (
        "line 3, column 'time': '2024-01-02': it does not have the format '%d.%m.%Y'"
        in logs.refused_times("01.02.2024", "2024-01-02", time_format="%d.%m.%Y")
    )
    assert logs.times("2024-01-02", day_first=True) == ["2024-01-02"]


WRITTEN = {
    "2024-03-10T10:30:00Z": "2024-03-10T10:30:00",
    "2024-03-10 10:30:00,250": "2024-03-10T10:30:00.250",
    "2024-03-10T10:30:00.123456789+01:00": "2024-03-10T09:30:00.123456",
    "2024-03-10 10:30:00 +0530": "2024-03-10T05:00:00",
    "2024-03-10T10:30-08": "2024-03-10T18:30:00",
    "2024-03-10 10:30:00 UTC": "2024-03-10T10:30:00",
    "2024-03-10T10:30:00+01:00[Europe/Berlin]": "2024-03-10T09:30:00",
    "2024/3/10 10:30": "2024-03-10T10:30:00",
    "2024.03.10": "2024-03-10T00:00:00",
    "20240310T103000Z": "2024-03-10T10:30:00",
    "20240310 103000": "2024-03-10T10:30:00",
    "20240310103000Z": "2024-03-10T10:30:00",
    "03/28/2024 01:05:06 PM": "2024-03-28T13:05:06",
    "03/28/2024 12:05 am": "2024-03-28T00:05:00",
    "10 Mar 2024 10:30": "2024-03-10T10:30:00",
    "Mar 10, 2024 10:30 PM": "2024-03-10T22:30:00",
    "March 10th, 2024 at 3pm": "2024-03-10T15:00:00",
    "Sun, 10 Mar 2024 10:30:00 +0200": "2024-03-10T08:30:00",
    "Sun Mar 10 10:30:00 2024": "2024-03-10T10:30:00",
    "Sun Mar  3 10:30:00 +0000 2024": "2024-03-03T10:30:00",
    "Sun Mar 10 2024 10:30:00 GMT+0100 (Central European Standard Time)": "2024-03-10T09:30:00",
    "10/Mar/2024:13:55:36 -0700": "2024-03-10T20:55:36",
    "[10/Mar/2024:13:55:36 +0000]": "2024-03-10T13:55:36",
    "31-Dec-23": "2023-12-31T00:00:00",
    " 2024-02-29T23:59:59 ": "2024-02-29T23:59:59",
}


@pytest.mark.parametrize(("text", "moment"), WRITTEN.items(), ids=WRITTEN)
def test_ways_to_write_a_time(logs: Any, text: str, moment: str) -> None:
    assert datetime.fromisoformat(logs.times(text)[0]) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("time_format", ["%d|%m|%Y %H.%M", "%H.%M %d %b %Y", "%Y%j", "%a %d %B %y"])
def test_a_time_format_is_obeyed(logs: Any, time_format: str) -> None:
    moments = [datetime(2024, 1, 2, 3, 4) + timedelta(days=17 * i, minutes=i) for i in range(8)]
    read = logs.times(*(m.strftime(time_format) for m in moments), time_format=time_format)
    expected = [datetime.strptime(m.strftime(time_format), time_format) for m in moments]
    assert [datetime.fromisoformat(time) for time in read] == expected


# Units of numbers

NUMBERS = {
    "1705000000": JAN_11,
    "1705000000.25": f"{JAN_11}.250",
    "1705000000,5": f"{JAN_11}.500",
    "1705000000.1234567": f"{JAN_11}.123457",
    "1705000000123.4567": f"{JAN_11}.123457",
    "1.705000000123E9": f"{JAN_11}.123",
    "1705000000123": f"{JAN_11}.123",
    "1705000000123.5": f"{JAN_11}.123500",
    "1705000000123456": f"{JAN_11}.123456",
    "1705000000123456789": f"{JAN_11}.123456",
    "631152000": "1990-01-01T00:00:00",
    "20240310": "2024-03-10T00:00:00",
    "2024031010": "2024-03-10T10:00:00",
    "202403101030": "2024-03-10T10:30:00",
    "20240310103059": "2024-03-10T10:30:59",
    "20240310103059.25": "2024-03-10T10:30:59.250",
    "20240310103000123": "2024-03-10T10:30:00.123",
    "20240310103000123456": "2024-03-10T10:30:00.123456",
}


@pytest.mark.parametrize(("text", "moment"), NUMBERS.items(), ids=NUMBERS)
def test_units_of_numbers(logs: Any, text: str, moment: str) -> None:
    assert datetime.fromisoformat(logs.times(text)[0]) == datetime.fromisoformat(moment)
    if len(text) < 19:  # a 20-digit integer fits no Parquet type, and a float would round
        table = pa.table({"user": ["a"], "time": pa.array([text.replace(",", ".")]), "query": ["q"]})
        assert logs.read("log.parquet", table).moments == logs.times(text)


def test_integers_and_floats_of_parquet(logs: Any) -> None:
    def read(array: pa.Array) -> list[str]:
        table = pa.table({"user": ["a"] * len(array), "time": array, "query": list("pqr"[: len(array)])})
        return logs.read("log.parquet", table).moments

    assert read(pa.array([1705000000123456789])) == [f"{JAN_11}.123456"]
    assert read(pa.array([1705000000.25, 1705000001.0])) == [f"{JAN_11}.250", "2024-01-11T19:06:41"]
    assert read(pa.array([1705000000], pa.uint32())) == [JAN_11]
    assert read(pa.array([20240310103000123])) == ["2024-03-10T10:30:00.123"]
    for lossy in (pa.array([20240310103000123.0]), pa.array([1705000000.0], pa.float32())):
        with pytest.raises(
            DataError, match="too large for a floating-point number to keep all of its digits"
        ):
            read(lossy)


@pytest.mark.parametrize(
    ("texts", "place", "parts"),
    [
        (["1705000000", "1705000000000"], 3, ["1705000000000", "milliseconds, but 1705000000 (line 2)"]),
        (["1705000000123456", "1705000000", "1705000001"], 3, ["(line 2) like Unix microseconds"]),
        (["20240310", "1705000000"], 3, ["Unix seconds, but 20240310 (line 2) like YYYYMMDD"]),
        (["20240310", "2024031010"], 3, ["like YYYYMMDDHH, but 20240310 (line 2)"]),
    ],
)
def test_units_do_not_mix(logs: Any, texts: list[str], place: int, parts: list[str]) -> None:
    message = logs.refused_times(*texts)
    assert message.startswith(f"times.csv, line {place}, column 'time': ")
    assert all(part in message for part in parts), message


# A column that mixes


def test_numbers_beside_text_are_refused_with_both_rows(logs: Any) -> None:
    message = logs.refused_times("1705000000", "1705000001", "2024-01-11T19:06:42")
    assert message.startswith("times.csv, line 4, column 'time': '2024-01-11T19:06:42'")
    assert "'1705000000' (line 2)" in message
    message = logs.refused_times("2024-01-11", "1705000001")
    assert (
        "line 3, column 'time': '1705000001': it is a number, which '2024-01-11' (line 2) is not" in message
    )
    rows = '{"user":"a","time":1705000000,"query":"x"}\n{"user":"a","time":"2024-01-11","query":"y"}\n'
    message = logs.refusal("log.jsonl", rows)
    assert "log.jsonl, line 2" in message
    assert "'1705000000' (line 1)" in message


def test_text_and_numbers_that_agree(logs: Any) -> None:
    rows = '{"user":"a","time":1705000000,"query":"x"}\n{"user":"a","time":"1705000001","query":"y"}\n'
    assert logs.read("log.jsonl", rows).moments == [JAN_11, "2024-01-11T19:06:41"]


def test_other_mixtures(logs: Any) -> None:
    assert "(line 2)" in logs.refused_times("2024-01-11", "11.01.2024")
    assert "(line 2)" in logs.refused_times("11 Jan 2024", "2024-01-11")


def test_typed_times(logs: Any) -> None:
    def table(array: pa.Array) -> pa.Table:
        return pa.table({"user": ["a"], "time": array, "query": ["q"]})

    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    for kind in (
        pa.timestamp("s"),
        pa.timestamp("ms", "Asia/Tokyo"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns"),
    ):
        array = pa.array([moment], pa.timestamp("us", "UTC")).cast(kind)
        if kind.tz is None:
            array = pa.array([moment.replace(tzinfo=None)], kind)
        assert logs.read("log.parquet", table(array)).moments == ["2024-01-02T03:04:05"]
    for kind in (pa.date32(), pa.date64()):
        assert logs.read("log.parquet", table(pa.array([moment.date()], kind))).moments == ["2024-01-02"]
    assert "row 1, column 'time': it holds times of day" in logs.refusal(
        "log.parquet", table(pa.array([moment.time()]))
    )
    assert "it holds durations" in logs.refusal("log.parquet", table(pa.array([timedelta(1)])))
    assert "before 1990" in logs.refusal("log.parquet", table(pa.array([datetime(1960, 1, 1)])))
    assert "leave out --time-format" in logs.refusal(
        "log.parquet", table(pa.array([moment])), time_format="%Y-%m-%d"
    )


def test_the_convention_is_told(logs: Any) -> None:
    def told(*texts: str, **reading: Any) -> str:
        return logs.read("a.csv", "user,time,query\n" + "".join(f"u,{t},q\n" for t in texts), **reading).times

    assert told("28.03.2024", "03.04.2024") == "day first, e.g. 28.03.2024"
    assert told("1705000000123") == "Unix milliseconds, e.g. 1705000000123"
    assert told("20240310") == "YYYYMMDD, e.g. 20240310"
    assert told("3.4.2024", time_format="%d.%m.%Y") == "in the format %d.%m.%Y, e.g. 3.4.2024"
