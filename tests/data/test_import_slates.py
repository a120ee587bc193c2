"""Slates built from a log: prefixes, pools that never look ahead, and misses that are declared."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.card import card
from data.completions import POOL_SIZE
from data.log_import import ImportOptions, Reading, import_log
from data.schema import DataError, Dataset
from data.storage import write

START = 1_600_000_000
Row = dict[str, Any]


def log(seed: int, users: int = 4, events: int = 25) -> list[Row]:
    """Searches among 12 queries with one first letter; several of a user's have the same time."""
    draw = np.random.default_rng(seed)
    return [
        {"user": f"u{u}", "time": START + e // 2, "query": "ab"[draw.integers(2)] * draw.integers(1, 7)}
        for u in range(users)
        for e in range(events)
    ]


def imported(rows: list[Row], tmp_path: Path, **options: Any) -> Dataset:
    path = tmp_path / "log.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    reading = Reading(keep_copies=True)  # rows are compared one by one with those of the file
    return import_log(path, "user", "time", "query", options=ImportOptions(reading=reading, **options))


def slates(dataset: Dataset) -> list[tuple[str, list[str], list[str]]]:
    """Prefix, pool and reference of every slate, as texts."""
    text = dataset.queries.column("text").to_pylist()
    return [
        (row["prefix"], [text[q] for q in row["pool"]], [text[q] for q in row["reference"]])
        for row in dataset.slates.to_pylist()
    ]


def naive_pool(rows: list[Row], split: list[str], at: int, prefix: str) -> list[str]:
    """The pool of event ``at`` by its definition: count what others train on and what has happened."""
    now = rows[at]
    own = [r for r in rows if r["user"] == now["user"] and r["time"] < now["time"]]
    seen: dict[str, int] = {}
    for row, part in zip(rows, split, strict=True):
        future = row["user"] == now["user"] and row["time"] >= now["time"]
        if part == "train" and not future and row["query"].startswith(prefix):
            seen[row["query"]] = seen.get(row["query"], 0) + 1
    popular = sorted(seen, key=lambda text: (-seen[text], text))[:POOL_SIZE]
    latest_first = [r["query"] for r in reversed(own) if r["query"].startswith(prefix)]
    return popular + [text for text in dict.fromkeys(latest_first) if text not in popular]


@pytest.mark.parametrize("seed", range(3))
def test_pools_equal_a_naive_twin(tmp_path: Path, seed: int) -> None:
    rows = log(seed)
    dataset = imported(rows, tmp_path, typed=1)
    split = dataset.events.column("split").to_pylist()
    assert [r["query"] for r in rows] == [reference[0] for _, _, reference in slates(dataset)]
    for at, (prefix, pool, _) in enumerate(slates(dataset)):
        assert pool == naive_pool(rows, split, at, prefix)


@pytest.mark.parametrize("cut", [3, 10, 18])
def test_changing_the_future_changes_no_earlier_pool(tmp_path: Path, cut: int) -> None:
    """User u1's events from number ``cut`` on become other queries at other times."""
    rows = log(seed=0)
    changed = [dict(row) for row in rows]
    for number, row in enumerate(r for r in changed if r["user"] == "u1"):
        if number >= cut:
            row |= {"query": f"a new one {number}", "time": row["time"] + 1000 * number}
    before, after = (slates(imported(r, tmp_path, typed=1)) for r in (rows, changed))
    mine = slice(25, 25 + cut)
    assert rows[25 + cut - 1]["time"] <= rows[25 + cut]["time"]
    assert before[mine] == after[mine]
    assert before[25 + cut :] != after[25 + cut :]


@pytest.mark.parametrize("cut", [6, 15])
def test_deleting_the_future_changes_no_earlier_candidates(tmp_path: Path, cut: int) -> None:
    """A shorter log has a shorter training period, so an own past query may lose its count, not its place."""
    rows = log(seed=0)
    fewer = rows[: 25 + cut] + rows[50:]
    before, after = (slates(imported(r, tmp_path, typed=1)) for r in (rows, fewer))
    for at in range(25, 25 + cut):
        assert set(before[at][1]) == set(after[at][1])


def test_a_first_own_query_is_not_in_its_own_pool(tmp_path: Path) -> None:
    """Nobody else knows u0's query; it is a candidate from its second time on only."""
    rows = [{"user": "u0", "time": START + i, "query": "xylophone"} for i in range(10)] + log(seed=0, users=2)
    rows = [{**row, "user": f"v{row['user']}"} if "x" not in row["query"] else row for row in rows]
    found = [("xylophone" in pool) for _, pool, _ in slates(imported(rows, tmp_path, typed=1))[:10]]
    assert found == [False] + [True] * 9


def test_misses_are_declared_and_counted(tmp_path: Path) -> None:
    rows = log(seed=0)
    for number in (3, 30, 80):
        rows[number]["query"] = f"never again {number}"
    dataset = imported(rows, tmp_path, typed=1)
    missed = [reference[0] for _, pool, reference in slates(dataset) if reference[0] not in pool]
    assert {f"never again {n}" for n in (3, 30, 80)} <= set(missed)
    assert dataset.slates.num_rows == len(rows)
    assert dataset.manifest["missed"] == len(missed)
    assert card(dataset)["pool_recall"] == pytest.approx(1 - len(missed) / len(rows))

    dropped = imported(rows, tmp_path, typed=1, drop_missed=True)
    assert slates(dropped) == [s for s in slates(dataset) if s[2][0] in s[1]]
    assert dropped.events.equals(dataset.events), "what was missed still happened"
    assert dropped.manifest["missed"] == 0
    assert dropped.manifest["left_out"]["events whose query is not in its pool"] == len(missed)
    assert write(dropped, tmp_path / "out").slates.num_rows == len(rows) - len(missed)


def test_dropping_everything_is_an_error(tmp_path: Path) -> None:
    rows = [{"user": "u", "time": START + i, "query": f"{c}{c}"} for i, c in enumerate("abcdef")]
    assert imported(rows, tmp_path).manifest["missed"] == 6
    with pytest.raises(DataError, match="no repeats to learn from"):
        imported(rows, tmp_path, drop_missed=True)


def test_prefixes(tmp_path: Path) -> None:
    rows = log(seed=0)
    for prefix, _, (chosen,) in slates(imported(rows, tmp_path, typed=3)):
        assert prefix == chosen[:3]
    drawn = [(prefix, chosen) for prefix, _, (chosen,) in slates(imported(rows, tmp_path))]
    assert all(chosen.startswith(prefix) for prefix, chosen in drawn)
    assert all(1 <= len(prefix) <= max(1, len(chosen) - 1) for prefix, chosen in drawn)
    assert {len(prefix) for prefix, _ in drawn} == {1, 2, 3, 4, 5}
    again = [prefix for prefix, _, _ in slates(imported(rows, tmp_path))]
    other = [prefix for prefix, _, _ in slates(imported(rows, tmp_path, seed=1))]
    assert [prefix for prefix, _ in drawn] == again != other


def test_history_is_bounded(tmp_path: Path) -> None:
    """With a history of 2, own candidates that nobody trains on are the two latest ones."""
    rows = log(seed=0, users=1, events=10)
    rows += [{"user": "late", "time": START + i, "query": f"b{i}"} for i in range(20)]
    _, pool, (last,) = slates(imported(rows, tmp_path, typed=1, history=2))[19]
    assert last == "b19"
    assert [text for text in pool if text in ("b18", "b17", "b16")] == ["b18", "b17"]
