"""Whatever is written as a log, in any form that is supported, is read back exactly."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.reading.columns import LONGEST_QUERY, clean, tidy, tidy_name
from data.schema import DataError

SHORT = settings(derandomize=True, deadline=None, max_examples=300)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SECOND, MILLI, MICRO = 1_000_000, 1000, 1

NEWFOUNDLAND = timezone(timedelta(hours=-3, minutes=-30))
Style = tuple[int, Callable[[datetime, int], Any], dict[str, Any]]
STYLES: dict[str, Style] = {
    "seconds": (SECOND, lambda m, t: t // SECOND, {}),
    "milliseconds": (MILLI, lambda m, t: t // MILLI, {}),
    "microseconds": (MICRO, lambda m, t: t, {}),
    "nanoseconds": (MICRO, lambda m, t: t * 1000 + 999, {}),
    "fractions of seconds": (MILLI, lambda m, t: f"{t // SECOND}.{t // MILLI % 1000:03d}", {}),
    "YYYYMMDDHHMMSS": (SECOND, lambda m, t: int(f"{m:%Y%m%d%H%M%S}"), {}),
    "YYYYMMDDHHMMSSmmm": (MILLI, lambda m, t: int(f"{m:%Y%m%d%H%M%S}{t // MILLI % 1000:03d}"), {}),
    "YYYYMMDDHHMMSSffffff": (MICRO, lambda m, t: f"{m:%Y%m%d%H%M%S%f}", {}),
    "ISO": (MICRO, lambda m, t: m.isoformat(), {}),
    "ISO without zone": (MICRO, lambda m, t: m.replace(tzinfo=None).isoformat(sep=" "), {}),
    "ISO elsewhere": (MICRO, lambda m, t: m.astimezone(NEWFOUNDLAND).isoformat(), {}),
    "day first": (SECOND, lambda m, t: f"{m:%d.%m.%Y %H:%M:%S}", {"day_first": True}),
    "month first": (SECOND, lambda m, t: f"{m:%m/%d/%Y %I:%M:%S %p}", {"month_first": True}),
    "a format": (SECOND, lambda m, t: f"{m:%S:%M:%H %Y, %d of %B}", {"time_format": "%S:%M:%H %Y, %d of %B"}),
    "ctime": (SECOND, lambda m, t: m.ctime(), {}),
    "mail": (SECOND, lambda m, t: f"{m:%a, %d %b %Y %H:%M:%S} GMT", {}),
    "web server": (SECOND, lambda m, t: f"{m:%d/%b/%Y:%H:%M:%S +0000}", {}),
}  # fmt: skip

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}
ENCODINGS = {"utf-8": None, "utf-8-sig": None, "utf-16": None, "utf-16-be": "utf-16-be"}

names = st.one_of(st.sampled_from(["ann", "bob", " ann", "b\u00f6b", "bo\u0308b"]), st.text(max_size=12))
texts = st.one_of(st.sampled_from(["ls", "git status", "a,b;c", '"', 'say "hi"', ""]), st.text(max_size=210))
instants = st.integers(662_688_000 * SECOND, 1_717_000_000 * SECOND)
"""From 1991 on: nanoseconds of 1990 look like .NET ticks of today, and are refused."""
tables = st.lists(st.tuples(names, instants, texts), min_size=1, max_size=12)
Rows = list[tuple[str, int, str]]


def expected(rows: Rows, step: int) -> tuple[Rows, dict[str, int]]:
    """The rows as they are stored, and what is counted."""
    stored = [(tidy_name(u), t // step * step, clean(q)) for u, t, q in rows]
    usable = [row for row in stored if row[0] and row[2]]
    counts = {
        "rows without a query": sum(not q for _, _, q in stored),
        "rows without a user": sum(not u and bool(q) for u, _, q in stored),
        "exact copies": len(usable) - len(set(usable)),
        "queries cut at 200 characters": sum(
            len(tidy(q)) > LONGEST_QUERY and bool(tidy_name(u)) for u, _, q in rows
        ),
    }
    ordered = sorted(dict.fromkeys(usable), key=lambda row: row[:2])
    return ordered, {k: v for k, v in counts.items() if v or k == "rows without a query"}


def assert_read(logs: Any, name: str, content: Any, rows: Rows, step: int, **reading: Any) -> None:
    wanted, counts = expected(rows, step)
    if not wanted:
        with pytest.raises(DataError, match=r"no query|no user|no row has both"):
            logs.read(name, content, **reading)
        return
    log = logs.read(name, content, **reading).log
    read = [
        (log.users[u], t, log.queries[q])
        for u, t, q in zip(log.user.tolist(), log.time.tolist(), log.query.tolist(), strict=True)
    ]
    assert read == wanted
    assert log.left_out == counts


def written(rows: Rows, style: str) -> list[tuple[str, Any, str]]:
    how = STYLES[style][1]
    return [(u, how(EPOCH + timedelta(microseconds=t), t), q) for u, t, q in rows]


@SHORT
@given(
    rows=tables,
    style=st.sampled_from(list(STYLES)),
    file=st.sampled_from([(".csv", ","), (".csv", ";"), (".csv", "\t"), (".tsv", "\t"), (".txt", "|")]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(list(ENCODINGS)),
    packed=st.sampled_from(list(PACK)),
    order=st.permutations(range(4)),
)
def test_delimited(
    make_logs: Any, rows: Rows, style: str, file: tuple[str, str], quoting: Any, encoding: str, packed: str,
    order: list[int],
) -> None:  # fmt: skip
    suffix, delimiter = file
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting)
    header = ["user", "time", "query", "more"]
    for row in [header, *([*row, "x"] for row in written(rows, style))]:
        writer.writerow([row[i] for i in order])
    content = PACK[packed](out.getvalue().encode(encoding))
    step, _, reading = STYLES[style]
    reading = reading | {"encoding": ENCODINGS[encoding]}
    assert_read(make_logs(), f"log{suffix}{packed}", content, rows, step, **reading)


@SHORT
@given(
    rows=tables,
    style=st.sampled_from(list(STYLES)),
    array=st.booleans(),
    ascii_only=st.booleans(),
    encoding=st.sampled_from(list(ENCODINGS)),
    packed=st.sampled_from(list(PACK)),
    text_times=st.booleans(),
)
def test_json(
    make_logs: Any, rows: Rows, style: str, array: bool, ascii_only: bool, encoding: str, packed: str,
    text_times: bool,
) -> None:  # fmt: skip
    objects = [
        {"query": q, "time": str(t) if text_times else t, "user": u} for u, t, q in written(rows, style)
    ]
    lines = [json.dumps(o, ensure_ascii=ascii_only) for o in objects]
    content = f"[{', '.join(lines)}]" if array else "\n".join(lines) + "\n"
    step, _, reading = STYLES[style]
    reading = reading | {"encoding": ENCODINGS[encoding]}
    name = ("log.json" if array else "log.jsonl") + packed
    assert_read(make_logs(), name, PACK[packed](content.encode(encoding)), rows, step, **reading)


TEXT_TYPES = {
    "string": lambda a: a,
    "large": lambda a: a.cast(pa.large_string()),
    "view": lambda a: a.cast(pa.string_view()),
    "bytes": lambda a: a.cast(pa.binary()),
    "dictionary": lambda a: a.dictionary_encode(),
}
TIME_TYPES: dict[str, tuple[int, pa.DataType]] = {
    "s": (SECOND, pa.timestamp("s")),
    "ms": (MILLI, pa.timestamp("ms", "Europe/Berlin")),
    "us": (MICRO, pa.timestamp("us", "UTC")),
    "ns": (MICRO, pa.timestamp("ns")),
    "date": (86_400 * SECOND, pa.date32()),
}


@SHORT
@given(
    rows=tables,
    kinds=st.tuples(st.sampled_from(list(TEXT_TYPES)), st.sampled_from(list(TEXT_TYPES))),
    style=st.sampled_from([*STYLES, *TIME_TYPES]),
    null=st.booleans(),
)
def test_parquet(make_logs: Any, rows: Rows, kinds: tuple[str, str], style: str, null: bool) -> None:
    reading: dict[str, Any] = {}
    if style in TIME_TYPES:
        step, kind = TIME_TYPES[style]
        unit = {"ns": 1000, "date": None}.get(style, 0)
        values = [t * unit if unit else t // step for _, t, _ in rows]
        whole = pa.array(values, pa.int32() if style == "date" else pa.int64())
        times = whole.cast(kind)
    else:
        step, _, reading = STYLES[style]
        times = pa.array([t for _, t, _ in written(rows, style)])
    users, queries = (
        TEXT_TYPES[kind](pa.array([None if null and not row[i] else row[i] for row in rows], pa.string()))
        for i, kind in zip((0, 2), kinds, strict=True)
    )
    table = pa.table({"query": queries, "time": times, "user": users})
    assert_read(make_logs(), "log.parquet", table, rows, step, **reading)


@SHORT
@given(
    numbers=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30)), min_size=1, max_size=8),
    integral=st.lists(st.integers(1 - 2**53, 2**53 - 1), min_size=1, max_size=8),
)
def test_numbers_as_users_and_queries(
    make_logs: Any, numbers: list[tuple[int, int]], integral: list[int]
) -> None:
    logs = make_logs()
    rows = [(str(n), 1_700_000_000 * SECOND, str(q)) for n, q in numbers]
    columns = {"user": [n for n, _ in numbers], "query": [q for _, q in numbers]}
    table = pa.table({**columns, "time": [1_700_000_000] * len(rows)})
    assert_read(logs, "log.parquet", table, rows, SECOND)
    lines = [{"user": n, "query": q, "time": 1_700_000_000} for n, q in numbers]
    assert_read(logs, "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines), rows, SECOND)
    rows = [(str(n), 1_700_000_000 * SECOND, "q") for n in integral]
    floats = pa.array([float(n) for n in integral])
    table = pa.table({"user": floats, "time": [1_700_000_000] * len(rows), "query": ["q"] * len(rows)})
    assert_read(logs, "floats.parquet", table, rows, SECOND)
