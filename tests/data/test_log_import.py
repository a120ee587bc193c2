"""The log import: three formats, one dataset; every trouble named; nothing odd lost; no look ahead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.card import card
from data.log_import import LONGEST_QUERY, ImportOptions, clean, import_log
from data.schema import DataError, Dataset, column
from data.storage import read, write

START = 1_600_000_000
Row = dict[str, Any]


def log(users: int = 3, events: int = 12, seed: int = 0) -> list[Row]:
    """Searches of a few users among a few queries, so that there are repeats, ties and shared ones."""
    draw = np.random.default_rng(seed)
    words = ["git status", "git push", "git pull", "grep", "go build", "ls -la", "less", "gcc"]
    return [
        {"who": f"u{u}", "when": START + 600 * e + u, "what": words[draw.integers(len(words))], "team": "red"}
        for e in range(events)
        for u in range(users)
    ]


def save(rows: list[Row], path: Path) -> Path:
    frame = pd.DataFrame(rows)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        frame.to_parquet(path)
    return path


def imported(path: Path, group: str | None = None, **options: Any) -> Dataset:
    return import_log(path, "who", "when", "what", group, ImportOptions(**options))


def texts(dataset: Dataset, of: str = "pool") -> list[list[str]]:
    """Pools (or references) as texts."""
    names = dataset.queries.column("text").to_pylist()
    return [[names[q] for q in row] for row in dataset.slates.column(of).to_pylist()]


def assert_same(a: Dataset, b: Dataset) -> None:
    for name in ("users", "queries", "events", "slates"):
        assert getattr(a, name).equals(getattr(b, name)), name


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".CSV"])
def test_formats_agree(tmp_path: Path, suffix: str) -> None:
    rows = log()
    rows[4]["what"] = None
    expected = imported(save(rows, tmp_path / "log.csv"), group="team")
    path = save(rows, tmp_path / f"other{suffix.lower()}").rename(tmp_path / f"upper{suffix}")
    assert_same(imported(path, group="team"), expected)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "how",
    [
        lambda s: 1_000 * s,
        lambda s: 1_000_000 * s,
        lambda s: s + 0.0,
        lambda s: pd.Timestamp(s, unit="s").isoformat() + "Z",
        lambda s: pd.Timestamp(s, unit="s", tz="UTC").tz_convert("Asia/Tokyo").isoformat(),
        lambda s: pd.Timestamp(s, unit="s").strftime("%Y-%m-%d %H:%M:%S"),
    ],
    ids=["milliseconds", "microseconds", "float", "ISO", "ISO with offset", "without zone"],
)
def test_times(tmp_path: Path, suffix: str, how: Any) -> None:
    seconds = imported(save(log(), tmp_path / "seconds.csv"))
    assert column(seconds.events, "timestamp")[0] == START * 1_000_000
    rows = [{**row, "when": how(row["when"])} for row in log()]
    assert_same(imported(save(rows, tmp_path / f"other{suffix}")), seconds)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_timestamps(tmp_path: Path, unit: str) -> None:
    frame = pd.DataFrame(log())
    frame["when"] = pd.to_datetime(frame["when"], unit="s").dt.as_unit(unit)
    frame.to_parquet(tmp_path / "log.parquet")
    assert_same(imported(tmp_path / "log.parquet"), imported(save(log(), tmp_path / "log.csv")))


def test_rows_may_come_in_any_order(tmp_path: Path) -> None:
    rows = log()
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    assert_same(imported(save(shuffled, tmp_path / "b.csv")), imported(save(rows, tmp_path / "a.csv")))


def test_sessions_end_after_half_an_hour(tmp_path: Path) -> None:
    minutes = [0, 29, 59, 90, 120]
    rows = [{"who": u, "when": START + 60 * m, "what": "ls"} for u in "ab" for m in minutes]
    sessions = column(imported(save(rows, tmp_path / "log.csv")).events, "session_id").tolist()
    assert sessions == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]


CHANGES: list[tuple[int, Row, str]] = [
    (5, {"when": "yesterday noon"}, "line 7, column 'when': 'yesterday noon' is not a time"),
    (5, {"when": None}, "line 7, column 'when': there is no time"),
]


@pytest.mark.parametrize(("row", "change", "message"), CHANGES, ids=["words", "nothing"])
def test_a_bad_cell_is_named(tmp_path: Path, row: int, change: Row, message: str) -> None:
    rows = [{**r, "when": f"2024-05-{i % 28 + 1:02d}T10:00:00"} for i, r in enumerate(log())]
    rows[row] |= change
    with pytest.raises(DataError, match=rf"log\.csv, {message}"):
        imported(save(rows, tmp_path / "log.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", None, "does not exist or is not a file"),
        ("log.xlsx", b"x", r"must end in \.csv, \.jsonl, \.parquet"),
        ("log.csv", b"", "is empty"),
        ("log.csv", b"who,when,what\n", "is empty: it has a header but no rows"),
        ("log.csv", b"who,when\na,1\n", "has no column 'what'; its columns are: who, when"),
        ("log.csv", b"who,when,what\na,1,b,c\n\n\na,1,b,c,d\n", "line 2: it has 4 fields, the header has 3"),
        ("log.csv", b"who,when,what\n\xff,1,\xfe\n", "line 2, character 1: the byte 0xFF is not UTF-8"),
        ("log.csv", b"who,when,what\na,1,\na,2,\n", "column 'what' holds no query at all"),
        (
            "log.csv",
            b"who,when,what\na,1600000001,x\na,1600000002,x\n",
            r"no user has 5 or more events \(the most is 2\)",
        ),
        ("log.jsonl", b'{"who": 1', "cannot be read as jsonl"),
        ("log.parquet", b"PAR1 nothing PAR1", "cannot be read as parquet"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        imported(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"typed": 0}, {"min_events": 2}, {"seed": -1}, {"seed": 2**32}])
def test_bad_options(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        ImportOptions(**wrong)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = log() + [{"who": "rare", "when": START + i, "what": "ls"} for i in range(4)]
    rows += [{"who": "once", "when": START, "what": "x"}]
    rows += [{"who": "u0", "when": START, "what": blank} for blank in (None, " ", "\x00\t")]
    dataset = imported(save(rows, tmp_path / "log.csv"))
    assert dataset.manifest["left_out"] == {"rows without a query": 3, "users with too few events": 2}
    assert dataset.users.column("name").to_pylist() == ["u0", "u1", "u2"]
    assert dataset.events.num_rows == len(log())
    assert "x" not in dataset.queries.column("text").to_pylist(), "nothing of those left out stays"


HOSTILE = {
    "NUL and escape": ("a\x00b\x1b[31m", "a b [31m"),
    "line breaks": ("two\r\nlines\u2028three", "two lines three"),
    "emoji": ("😀👨‍👩‍👧 party", "😀👨‍👩‍👧 party"),
    "right to left": ("שלום \u202eעולם", "שלום \u202eעולם"),
    "markup": ('<script>alert("x")</script>, "q"', '<script>alert("x")</script>, "q"'),
    "composed": ("cafe\u0301", "café"),
    "missing value words": ("NA", "NA"),
    "formula": ("=1+1", "=1+1"),
    "long": ("x" * 10_000, "x" * LONGEST_QUERY),
}


@pytest.mark.parametrize(("raw", "stored"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_queries_survive(tmp_path: Path, raw: str, stored: str) -> None:
    rows = [*log(), *({"who": "odd", "when": START + i, "what": raw} for i in range(6))]
    dataset = write(imported(save(rows, tmp_path / "log.parquet")), tmp_path / "out")
    assert clean(raw) == clean(stored) == stored
    assert stored in dataset.queries.column("text").to_pylist()
    assert texts(read(tmp_path / "out"), "reference")[0] == [stored]
    assert_same(imported(save(rows, tmp_path / "log.csv")), dataset)


def test_lone_surrogates_are_spaces() -> None:
    assert clean("a\ud800b") == "a b"


def test_groups(tmp_path: Path) -> None:
    rows = log(users=1)
    rows[3]["team"] = None
    path = save(rows, tmp_path / "log.csv")
    assert imported(path).events.column("group").null_count == len(rows)
    groups = imported(path, group="team").events.column("group").to_pylist()
    assert groups == [*["red"] * 3, None, *["red"] * 8]
    with pytest.raises(DataError, match="no column 'squad'"):
        imported(path, group="squad")


def test_real_log(shell_csv: Path) -> None:
    dataset = import_log(shell_csv, "user", "timestamp", "query", "training", ImportOptions(typed=1))
    figures = card(dataset)
    assert figures["repeat_rate"] == pytest.approx(0.419, abs=0.01)
    assert figures["pool_recall"] == pytest.approx(0.65, abs=0.1)
    assert figures["zipf_slope_top_200"] == pytest.approx(-0.93, abs=0.02)
    assert dataset.manifest["missed"] == round((1 - figures["pool_recall"]) * figures["slates"])


def test_dates_without_dashes_are_dates_and_not_seconds(tmp_path: Path) -> None:
    plain = pd.DataFrame(
        {"who": ["a"] * 6, "when": [f"2024-01-{d:02d}" for d in range(1, 7)], "what": ["ls"] * 6}
    )
    joined = plain.assign(when=plain["when"].str.replace("-", ""))
    precise = plain.assign(when=joined["when"] + "000000")
    times = []
    for place, rows in enumerate((plain, joined, precise)):
        rows.to_csv(tmp_path / f"{place}.csv", index=False)
        dataset = import_log(tmp_path / f"{place}.csv", "who", "when", "what")
        times.append(dataset.events.column("timestamp").to_pylist())
    assert times[0] == times[1] == times[2]
    assert times[0][0].year == 2024


def test_nested_values_and_twice_named_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"who": "a", "when": "2024-01-01", "what": ["ls", "cd"]}\n')
    with pytest.raises(DataError, match="line 1, column 'what': one value is needed"):
        import_log(tmp_path / "log.jsonl", "who", "when", "what")
    (tmp_path / "log.csv").write_text("who,when,what,what\na,2024-01-01,ls,cd\n")
    with pytest.raises(DataError, match="the column 'what' twice"):
        import_log(tmp_path / "log.csv", "who", "when", "what")
