"""The log that is read: one person is one user, nothing is dropped or changed without being counted."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.card import card
from data.log_import import ImportOptions, Reading, import_log
from data.reading.columns import LONGEST_QUERY, clean
from data.schema import DataError

HEAD = "user,time,query,team\n"


def day(number: int) -> str:
    return f"2024-01-{number:02d}"


SAME = [
    ("ann", "ann "),
    ("ann", "\tann"),
    ("Jos\u00e9", "Jose\u0301"),
    ("ann lee", "ann  lee"),
    ("ann lee", "ann\u00a0lee"),
    ("ann", "ann\u200b"),
    ("ann", "\ufeffann"),
    ("ann", "ann\u2028"),
    ("\ud55c", "\u1112\u1161\u11ab"),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=[ascii(other) for _, other in SAME])
def test_one_person_is_one_user(logs: Any, one: str, other: str) -> None:
    rows = f'{one},{day(1)},ls\n"{other}",{day(2)},cd\n'
    assert logs.read("log.csv", "user,time,query\n" + rows).rows == [(one, day(1), "ls"), (one, day(2), "cd")]


def test_different_people_stay_different(logs: Any) -> None:
    names = ["Ann", "ann", "anne", "x" * 300, "x" * 301, "0", "00", "NA", "null"]
    rows = "".join(f"{name},{day(1)},ls\n" for name in names)
    assert logs.read("log.csv", "user,time,query\n" + rows).log.users == sorted(names)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0", "\u200b"], ids=ascii)
def test_a_blank_user_is_nobody(logs: Any, blank: str) -> None:
    read = logs.read(
        "log.csv", f'user,time,query\nann,{day(1)},ls\n"{blank}",{day(2)},cd\n{blank},{day(2)},\n'
    )
    assert read.rows == [("ann", day(1), "ls")]
    assert read.log.left_out == {"rows without a query": 1, "rows without a user": 1}


@pytest.mark.parametrize(
    "unseen",
    ["\u200b", "\ufeff", "\u2060", "\u3164", "\u2800", "\u115f", "\u200d", "\u200b \u3164"],
    ids=ascii,
)
def test_a_query_that_nobody_sees_is_none(logs: Any, unseen: str) -> None:
    rows = f"ann,{day(1)},ls\nann,{day(2)},{unseen}\n{unseen},{day(3)},ls\n"
    read = logs.read("log.csv", "user,time,query\n" + rows)
    assert read.rows == [("ann", day(1), "ls")]
    assert read.log.left_out == {"rows without a query": 1, "rows without a user": 1}


KEPT = {
    "gi\u200bt st\ufeffatus\u2060": "git status",
    "\u200b ls": "ls",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f468\u200d\U0001f469": "\U0001f468\u200d\U0001f469",
}


@pytest.mark.parametrize(("written", "query"), KEPT.items(), ids=map(ascii, KEPT))
def test_invisible_characters_inside_queries(logs: Any, written: str, query: str) -> None:
    """What changes how a text looks stays; what only makes two queries of one goes."""
    assert clean(written) == query == clean(query)
    assert logs.read("log.csv", f"user,time,query\nann,{day(1)},{written}\n").queries == [query]


def test_nothing_to_read(logs: Any) -> None:
    assert "column 'user' holds no user at all" in logs.refusal(
        "log.csv", f"user,time,query\n ,{day(1)},ls\n"
    )
    assert "column 'query' holds no query at all" in logs.refusal(
        "log.csv", f"user,time,query\na,{day(1)}, \n"
    )
    neither = f"user,time,query\na,{day(1)},\n,{day(1)},ls\n"
    assert "no row has both a user and a query" in logs.refusal("log.csv", neither)


def test_copies(logs: Any) -> None:
    rows = f"ann,{day(1)},ls\nann,{day(1)},cd\nann,{day(1)}, ls \nann,{day(1)},ls\n"
    rows += f"bob,{day(1)},ls\nann,{day(2)},ls\n"
    read = logs.read("log.csv", "user,time,query\n" + rows)
    assert read.rows == [
        ("ann", day(1), "ls"), ("ann", day(1), "cd"), ("ann", day(2), "ls"), ("bob", day(1), "ls"),
    ]  # fmt: skip
    assert read.log.left_out == {"rows without a query": 0, "exact copies": 2}
    kept = logs.read("log.csv", keep_copies=True)
    assert len(kept.rows) == 6
    assert kept.log.left_out == {"rows without a query": 0, "exact copies (kept)": 2}


def test_copies_among_many_ties(logs: Any) -> None:
    draw = np.random.default_rng(0)
    rows = [
        (f"u{draw.integers(4)}", day(int(draw.integers(1, 4))), f"q{draw.integers(6)}") for _ in range(500)
    ]
    read = logs.read("log.csv", "user,time,query\n" + "".join(",".join(row) + "\n" for row in rows))
    assert read.rows == sorted(dict.fromkeys(rows), key=lambda row: row[:2])
    assert read.log.left_out["exact copies"] == 500 - len(set(rows))


def test_cut_queries_are_counted(logs: Any) -> None:
    texts = ["x" * 200, "y" * 201, "y" * 202, "é" * 200, "é" * 201, "z" * 199 + " z", "e\u0301" * 200]
    rows = "".join(f"ann,{day(i)},{text}\n" for i, text in enumerate(texts, 1))
    read = logs.read("log.csv", "user,time,query\n" + rows + f",{day(1)},{'w' * 900}\n")
    assert read.queries == [clean(text) for text in texts]
    assert max(map(len, read.queries)) == LONGEST_QUERY
    assert read.log.left_out["queries cut at 200 characters"] == 4


def test_order_and_groups(logs: Any) -> None:
    rows = f"bob,{day(3)},z,red\nann,{day(2)},b,\nann,{day(2)},a,blue \n"
    rows += f"bob,{day(1)},y,red\nann,{day(1)},c,blue\n"
    log = logs.read("log.csv", HEAD + rows, ("user", "time", "query", "team")).log
    assert [log.users[u] for u in log.user] == ["ann", "ann", "ann", "bob", "bob"]
    assert [log.queries[q] for q in log.query] == ["c", "b", "a", "y", "z"], "ties keep the file's order"
    assert [log.groups[g] if g >= 0 else None for g in log.group] == ["blue", None, "blue", "red", "red"]
    assert (log.users, log.queries, log.groups) == (["ann", "bob"], list("abcyz"), ["blue", "red"])
    assert (log.user.dtype, log.time.dtype, log.query.dtype, log.group.dtype) == tuple(
        map(np.dtype, ["i4", "i8", "i4", "i4"])
    )
    only = log.of_users(np.array([False, True]))
    assert (only.users, only.queries, only.groups) == (["bob"], ["y", "z"], ["red"])
    assert only.user.tolist() == only.group.tolist() == [0, 0]
    assert log.of_users(np.array([True, False])).group.tolist() == [0, -1, 0]


def imported(path: Path, **options: Any) -> Any:
    now = datetime(2024, 6, 1, tzinfo=UTC)
    return import_log(path, "user", "time", "query", options=ImportOptions(**options), now=now)


def test_the_manifest_and_the_card_tell(logs: Any) -> None:
    rows = "".join(f"u{u},{d:02d}.03.2024,q{d % 3}\n" for u in range(3) for d in range(3, 29))
    path = logs.write(
        "log.csv", "user,time,query\n" + rows + "u0,03.03.2024,q0\n,03.03.2024,q0\nv,04.03.2024,q\n"
    )
    dataset = imported(path, reading=Reading(day_first=True))
    told = dataset.manifest["reading"]
    assert (told["times"], told["day_first"], told["time_format"]) == (
        "day first, e.g. 03.03.2024",
        True,
        None,
    )
    assert "reading" not in dataset.manifest["options"]
    figures = card(dataset)
    assert (figures["first_event"], figures["last_event"]) == ("2024-03-03T00:00:00Z", "2024-03-28T00:00:00Z")
    assert figures["left_out"] == {
        "rows without a query": 0,
        "rows without a user": 1,
        "exact copies": 1,
        "users with too few events": 1,
    }


def test_users_for_whom_nothing_can_be_judged_are_counted(logs: Any) -> None:
    rows = "".join(f"u{u},{day(d)},q{d % 3}\n" for u in range(4) for d in range(1, 28))
    rows += "".join(f"odd,{day(d)},{'q0' if d < 20 else f'never again {d}'}\n" for d in range(1, 28))
    path = logs.write("log.csv", "user,time,query\n" + rows)
    left_out = imported(path, drop_missed=True).manifest["left_out"]
    assert left_out["users without a test slate"] == 1
    assert "users without a test slate" not in imported(path).manifest["left_out"]


def test_the_clock_is_the_machines_unless_given(logs: Any) -> None:
    path = logs.write("log.csv", "user,time,query\n" + "".join(f"a,2099-01-0{d},q\n" for d in range(1, 8)))
    with pytest.raises(DataError, match="after tomorrow"):
        import_log(path, "user", "time", "query")
    late = import_log(path, "user", "time", "query", now=datetime(2100, 1, 1, tzinfo=UTC))
    assert late.events.num_rows == 7


def test_one_column_cannot_be_two_things(logs: Any) -> None:
    content = f"user,time,query\nann,{day(1)},ls\n"
    for columns, names in [
        (("user", "time", "user"), "user and query are both"),
        (("time", "time", "query"), "user and time are both"),
        (("user", "query", "query"), "time and query are both"),
    ]:
        assert names in logs.refusal("log.csv", content, columns)


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("log.parquet", {"encoding": "latin-1"}, "--encoding is of text files, and log.parquet is Parquet"),
        ("folder", {"encoding": "latin-1"}, "--encoding is of text files, and folder is Parquet"),
        ("log.parquet", {"quotes": False}, "--no-quotes is of delimited files, and log.parquet is Parquet"),
        ("log.jsonl", {"quotes": False}, "--no-quotes is of delimited files, and log.jsonl is JSON"),
    ],
)
def test_options_that_a_file_cannot_obey(logs: Any, name: str, options: dict[str, Any], part: str) -> None:
    logs.write("folder/x.parquet" if name == "folder" else name, b"PAR1")
    assert part in logs.refusal(name, **options)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (
            {"time_format": "%d.%m.%Y", "day_first": True},
            "--time-format and --day-first contradict each other",
        ),
        ({"day_first": True, "month_first": True}, "--day-first and --month-first contradict each other"),
        ({"time_format": "%d.%m."}, "has no year"),
        ({"time_format": "%H:%M"}, "has no year and no month and no day"),
        ({"time_format": "%Y-%m-%d %Z"}, "has %Z, but names of time zones are ambiguous"),
        ({"encoding": "klingon"}, "'klingon' is not known"),
        ({"encoding": "rot13"}, "'rot13' is not known"),
        ({"encoding": "idna"}, "'idna' is not known"),
        ({"encoding": "punycode"}, "'punycode' is not known"),
        ({"encoding": "unicode_escape"}, "'unicode_escape' is not known"),
        ({"encoding": "Raw-Unicode-Escape"}, "'Raw-Unicode-Escape' is not known"),
        ({"encoding": "hex"}, "'hex' is not known"),
        ({"encoding": "base64"}, "'base64' is not known"),
        ({"encoding": "undefined"}, "'undefined' is not known"),
        ({"encoding": ""}, "'' is not known"),
        ({"encoding": "a\0b"}, "is not known"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], part: str) -> None:
    with pytest.raises(DataError, match=part):
        Reading(**options)
