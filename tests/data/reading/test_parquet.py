"""Parquet logs: every type is the text that a person sees, and a folder of parts is one log."""

import datetime as dt
import decimal
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

T = 1705000000
UUIDS = [uuid.uuid5(uuid.NAMESPACE_DNS, name) for name in "abc"]


def table(rows: int = 1, **columns: Any) -> pa.Table:
    base = {
        "user": ["ann"] * rows,
        "time": [T + i for i in range(rows)],
        "query": [f"q{i}" for i in range(rows)],
    }
    return pa.table(base | columns)


TYPES: dict[str, tuple[pa.Array, list[str]]] = {
    "bytes": (pa.array([b"git status", "café".encode()]), ["git status", "café"]),
    "large bytes": (pa.array([b"git status"], pa.large_binary()), ["git status"]),
    "byte views": (pa.array([b"git status"], pa.binary_view()), ["git status"]),
    "bytes of one length": (pa.array([b"abc"], pa.binary(3)), ["abc"]),
    "large text": (pa.array(["ls"], pa.large_string()), ["ls"]),
    "text views": (pa.array(["ls", "cd"], pa.string_view()), ["ls", "cd"]),
    "categories": (pa.array(["ls", "cd", "ls"]).dictionary_encode(), ["ls", "cd", "ls"]),
    "categories of bytes": (pa.array([b"ls", b"cd"]).dictionary_encode(), ["ls", "cd"]),
    "categories of numbers": (pa.array([7.0, 8.5]).dictionary_encode(), ["7", "8.5"]),
    "integers": (pa.array([7, -8, 2**63 - 1]), ["7", "-8", "9223372036854775807"]),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "neighbours over 2^53": (pa.array([2**53, 2**53 + 1]), ["9007199254740992", "9007199254740993"]),
    "floats": (pa.array([101.0, 0.1, -2.5]), ["101", "0.1", "-2.5"]),
    "large whole floats": (pa.array([1e15, 123456789012.0]), ["1000000000000000", "123456789012"]),
    "single floats": (pa.array([0.1, 7.0], pa.float32()), ["0.1", "7"]),
    "truth": (pa.array([True, False]), ["true", "false"]),
    "decimals": (
        pa.array([decimal.Decimal("1.50"), decimal.Decimal("12345678901234567890.25")]),
        ["1.50", "12345678901234567890.25"],
    ),
    "dates": (pa.array([dt.date(2024, 1, 2)]), ["2024-01-02"]),
    "timestamps": (pa.array([dt.datetime(2024, 1, 2, 3, 4, 5)], pa.timestamp("ns")), ["2024-01-02 03:04:05"]),
    "fractions": (pa.array([dt.datetime(2024, 1, 2, 3, 4, 5, 120000)]), ["2024-01-02 03:04:05.12"]),
    "UUIDs of fixed size": (pa.array([u.bytes for u in UUIDS], pa.binary(16)), [u.hex for u in UUIDS]),
    "UUIDs": (pa.array([u.bytes for u in UUIDS], pa.uuid()), [u.hex for u in UUIDS]),
    "UUIDs of fixed size that are text too": (
        pa.array([b"systemctl status", UUIDS[0].bytes], pa.binary(16)),
        [b"systemctl status".hex(), UUIDS[0].hex],
    ),
    "16 bytes that are text": (
        pa.array([b"systemctl status", b"kubectl get pods"]),
        ["systemctl status", "kubectl get pods"],
    ),
    "decimal zeros": (
        pa.array([decimal.Decimal("0"), decimal.Decimal("1.5")], pa.decimal128(20, 10)),
        ["0.0000000000", "1.5000000000"],
    ),
    "the largest exact floats": (
        pa.array([2.0**53 - 1, -(2.0**53) + 1]),
        ["9007199254740991", "-9007199254740991"],
    ),
    "the largest exact half floats": (pa.array([2047.0, 0.5], pa.float16()), ["2047", "0.5"]),
}


@pytest.mark.parametrize(("array", "texts"), TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("column", ["user", "query"])
def test_types_as_text(logs: Any, array: pa.Array, texts: list[str], column: str) -> None:
    read = logs.read("log.parquet", table(len(array), **{column: array}))
    assert sorted(getattr(read, f"{'users' if column == 'user' else 'queries'}")) == sorted(texts)


@pytest.mark.parametrize(("array", "texts"), TYPES.values(), ids=TYPES)
def test_a_null_changes_no_other_value(logs: Any, array: pa.Array, texts: list[str]) -> None:
    """Not 7.0 for 7, and no digits lost, where a value is missing."""
    with_null = pa.concat_arrays([array, pa.nulls(1, array.type)])
    read = logs.read("log.parquet", table(len(with_null), query=with_null))
    assert read.queries == texts
    assert read.log.left_out["rows without a query"] == 1


REFUSED: dict[str, tuple[pa.Array, str]] = {
    "bytes that are no text": (
        pa.array([b"ls", b"\xff\xfe"]),
        "row 2, column 'query': its bytes are not UTF-8",
    ),
    "lists": (pa.array([None, ["a"]]), "row 2, column 'query': one value is needed, not several"),
    "structs": (pa.array([{"a": 1}]), "row 1, column 'query': one value is needed, not several"),
    "floats that lost digits": (
        pa.array([1.0, 2.0**53 + 2]),
        "row 2, column 'query': 9007199254740994 is too",
    ),
    "single floats that lost digits": (
        pa.array([2.0**24 + 2], pa.float32()),
        "row 1, column 'query': 16777218",
    ),
    "a float that may have lost a digit": (
        pa.array([1.0, 2.0**53]),
        "row 2, column 'query': 9007199254740992 is too",
    ),
    "a single float that may have": (
        pa.array([-(2.0**24)], pa.float32()),
        "row 1, column 'query': -16777216",
    ),
    "a half float that may have": (pa.array([2048.0], pa.float16()), "row 1, column 'query': 2048"),
    "UUIDs as bytes": (
        pa.array([b"systemctl status", UUIDS[1].bytes]),
        "row 2, column 'query': its bytes are not UTF-8 text: write the column as text, or as UUIDs",
    ),
    "only UUIDs as bytes": (
        pa.array([u.bytes for u in UUIDS], pa.large_binary()),
        "row 1, column 'query': its bytes are not UTF-8 text",
    ),
    "nothing": (pa.nulls(2), "column 'query' holds no query at all"),
}


@pytest.mark.parametrize(("array", "part"), REFUSED.values(), ids=REFUSED)
def test_types_that_are_refused(logs: Any, array: pa.Array, part: str) -> None:
    assert part in logs.refusal("log.parquet", table(len(array), query=array))


def test_missing_numbers_are_missing(logs: Any) -> None:
    read = logs.read("log.parquet", table(3, user=pa.array([7.0, float("nan"), None])))
    assert read.rows == [("7", "2024-01-11T19:06:40", "q0")]
    assert read.log.left_out["rows without a user"] == 2


def test_rows_of_later_chunks_are_counted_from_the_first(logs: Any) -> None:
    times = ["2024-01-02"] * 70_000 + ["soon"]
    assert "log.parquet, row 70001, column 'time': 'soon'" in logs.refusal(
        "log.parquet", table(70_001, time=times)
    )


def test_an_index_is_a_column(logs: Any) -> None:
    frame = pd.DataFrame({"user": ["ann"], "time": [T], "query": ["ls"]})
    for index in ("user", "time", ["user", "query"]):
        frame.set_index(index).to_parquet(logs.place / "log.parquet")
        assert logs.read("log.parquet").rows == [("ann", "2024-01-11T19:06:40", "ls")]


def test_an_index_that_is_no_column(logs: Any) -> None:
    frame = pd.DataFrame({"time": [T], "query": ["ls"]})
    frame.index.name = "user"
    frame.to_parquet(logs.place / "log.parquet")
    assert logs.refusal("log.parquet") == (
        "log.parquet: the column 'user' is an index of pandas that is not written as a column: call "
        "reset_index() before to_parquet()."
    )


def test_names(logs: Any) -> None:
    odd = pa.table({"user.id": ["ann"], "time": [T], "query": ["ls"], "s": [{"id": "x"}]})
    assert logs.read("log.parquet", odd, ("user.id", "time", "query")).users == ["ann"]
    assert "no column 's.id'" in logs.refusal("log.parquet", odd, ("s.id", "time", "query"))
    twice = pa.table([["a"], ["b"], [T], ["ls"]], names=["user", "user", "time", "query"])
    assert "has the column 'user' twice" in logs.refusal("log.parquet", twice)
    assert "is empty: it has no rows" in logs.refusal("log.parquet", table(1).slice(0, 0))


def test_damaged_files(logs: Any) -> None:
    good = logs.write("log.parquet", table(50)).read_bytes()
    for content in (b"", b"PAR1", good[:-20], good[:4] + b"\0" * 40 + good[44:], b"user,time,query\n"):
        assert "log.parquet" in logs.refusal("log.parquet", content)
    assert "decompress the file first" in logs.refusal("log.parquet.gz", b"")


# Folders


def parts(logs: Any, **files: pa.Table) -> Path:
    for name, content in files.items():
        logs.write(f"parts/{name}.parquet", content)
    return Path(logs.place / "parts")


def test_a_folder_of_parts(logs: Any) -> None:
    """The parts have columns of different types; each value is what its own part shows."""
    folder = parts(
        logs,
        a=table(1, user=[7], query=["one"]),
        b=table(1, user=[7.0], query=[b"two"], time=[T + 1.5]),
        c=table(1, user=["7"], query=pa.array(["three"]).dictionary_encode(), time=[str(T + 2)]),
        _temporary=pa.table({"x": [1]}),
    )
    (folder / "_SUCCESS").touch()
    (folder / ".a.parquet.crc").write_bytes(b"crc")
    assert logs.read("parts").rows == [
        ("7", "2024-01-11T19:06:40", "one"),
        ("7", "2024-01-11T19:06:41.500", "two"),
        ("7", "2024-01-11T19:06:42", "three"),
    ]


def test_partitions_are_columns(logs: Any) -> None:
    for user, day in [
        ("ann%20b", "2024-01-02"),
        ("bob", "2024-01-03"),
        ("__HIVE_DEFAULT_PARTITION__", "2024-01-04"),
    ]:
        path = logs.place / f"log/user={user}/day={day}/part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"query": ["ls"]}), path)
    read = logs.read("log", None, ("user", "day", "query"))
    assert read.rows == [("ann b", "2024-01-02", "ls"), ("bob", "2024-01-03", "ls")]
    assert read.log.left_out["rows without a user"] == 1


def test_trouble_in_a_part_names_it(logs: Any) -> None:
    parts(logs, a=table(1, time=["2024-01-02"]), b=table(2, time=["2024-01-02", "soon"]))
    assert logs.refusal("parts").startswith("parts/b.parquet, row 2, column 'time': 'soon' is not a time")
    parts(logs, b=table(1))
    assert "parts/b.parquet, row 1, column 'time': '1705000000': it is a number" in logs.refusal("parts")
    parts(logs, b=pa.table({"user": [1], "tme": [2], "query": [3]}))
    assert "parts/b.parquet has no column 'time' (did you mean 'tme'?)" in logs.refusal("parts")
    logs.write("parts/b.parquet", b"PAR1 nothing PAR1")
    assert "parts/b.parquet cannot be read as parquet" in logs.refusal("parts")


@pytest.mark.parametrize(
    "name", ["000001_0", "b.pq", "b.PARQ", "part-0.snappy", "b.parquet.bak", "b", "_k=v/b"]
)
def test_parts_are_known_by_how_they_begin(logs: Any, name: str) -> None:
    """Whatever other programs call them: none is passed over."""
    parts(logs, a=table(1, query=["one"]))
    logs.write(f"parts/{name}", table(1, query=["two"]))
    assert sorted(logs.read("parts").queries) == ["one", "two"]
    assert logs.read(f"parts/{name}").queries == ["two"]


@pytest.mark.parametrize(
    "name", ["b.orc", "b.xlsx", "b.log", "b.csv", "readme", "deep/b.avro", "b.parquet.gz", "000000_0"]
)
def test_a_part_that_is_none_is_refused(logs: Any, name: str) -> None:
    parts(logs, a=table(1))
    logs.write(f"parts/{name}", b"ORC and more")
    assert logs.refusal("parts").startswith(
        f"parts holds {name}: of folders only those of .parquet files are"
    )


def test_what_stands_beside_parts_is_passed_over(logs: Any) -> None:
    parts(logs, a=table(1, query=["one"]))
    for name in ("a.parquet.crc", ".hidden.csv", "_SUCCESS", "_metadata", ".git/b.csv", "_tmp/b.csv"):
        logs.write(f"parts/{name}", b"no data")
    assert logs.read("parts").queries == ["one"]


@pytest.mark.parametrize("name", ["log.pq", "log.parq", "log", "log.gz", "log.dat"])
def test_a_file_of_another_name(logs: Any, name: str) -> None:
    assert logs.read(name, table(1, query=["one"])).queries == ["one"]
    assert "the name must end in" in logs.refusal("log.bin", b"no such thing")
    assert "log.pq cannot be read as parquet" in logs.refusal("log.pq", b"no such thing")


def test_text_is_text_in_every_chunk(logs: Any) -> None:
    """16 bytes are judged by the type of the column and not by their neighbours."""
    many = [b"systemctl status"] * 65_536 + [UUIDS[0].bytes] * 10
    assert "row 65537, column 'query': its bytes are not UTF-8" in logs.refusal(
        "log.parquet", table(len(many), query=many)
    )
    fixed = logs.read("log.parquet", table(len(many), query=pa.array(many, pa.binary(16))))
    assert fixed.queries[0] == b"systemctl status".hex()
    assert fixed.queries[-1] == UUIDS[0].hex


def test_another_row_of_another_part_is_named_with_its_part(logs: Any) -> None:
    """Text in one part, another way to write it in the next: both places say which file they are of."""
    rows = {"user": ["u"] * 3, "query": ["a", "b", "c"]}
    logs.write("parts/0.parquet", pa.table(rows | {"time": ["2024-03-10", "2024-03-11", "2024-03-12"]}))
    logs.write("parts/1.parquet", pa.table(rows | {"time": ["10.03.2024", "11.03.2024", "22.03.2024"]}))
    told = logs.refusal("parts")
    assert "parts/1.parquet, row 1" in told
    assert "(parts/0.parquet, row 1)" in told
