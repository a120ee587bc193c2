"""What the server adds up, by hand; and which replies of nodes it refuses."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data.public_counts import Bounds
from ranking.events import COUNTED, GROUP, QUERY
from ranking.public_tables import MOST_TELLERS, MOST_TIMES, Marks, Named, PublicTables
from ranking.summing import passing, together
from tests.ranking.nodes import dealt, imported, log_of, replies

BOUNDS = Bounds(2, 10, 3)
ASKED = np.array([3, 7], np.uint64)


def marks(*told: tuple[int, int]) -> Marks:
    hashes, tellers = zip(*told, strict=True) if told else ((), ())
    return Marks(np.array(hashes, np.uint64), np.array(tellers, np.int64))


def named(**other: Any) -> Named:
    """What a node may say of 3, told of by two, and 7, by one; or something else."""
    columns = {
        "kind": [COUNTED.index(QUERY), COUNTED.index(GROUP)],
        "first": ["git log", "red"],
        "second": ["", "git"],
        "count": [5, 3],
        "tellers": [2, 1],
        "mark": [3, 7],
    }
    return Named.of(**columns | other)


ONE, TWO = marks((3, 2), (5, 1), (7, 1)), marks((4, 1), (7, 2), (2**64 - 1, 1))
OTHER = {"kind": [1], "first": ["red"], "second": ["git"], "count": [6], "tellers": [2], "mark": [7]}


def test_by_hand() -> None:
    assert passing([ONE, TWO], 2).tolist() == [3, 7]
    assert passing([ONE, TWO], 3).tolist() == [7]
    assert passing([ONE, TWO], 1).tolist() == [3, 4, 5, 7, 2**64 - 1]
    assert passing([ONE, TWO], 4).tolist() == passing([], 1).tolist() == passing([marks()], 1).tolist() == []
    tables = together([(ONE, named()), (TWO, Named.of(**OTHER))], ASKED, BOUNDS)
    assert tables.table.to_pylist() == [
        {"kind": 0, "first": "git log", "second": "", "count": 5, "tellers": 2},
        {"kind": 1, "first": "red", "second": "git", "count": 9, "tellers": 3},
    ]
    assert tables.texts(QUERY) == {"git log", "git"}
    assert tables.texts(GROUP) == {"red"}
    alone = together([(ONE, named())], ASKED, BOUNDS)
    assert alone.part(QUERY).first == ["git log"]
    assert alone.part(GROUP).first == [], "the other node has not answered, and one user is too few"


def test_in_any_order_of_nodes_the_bytes_are_equal(tmp_path: Path) -> None:
    central = imported(log_of(3, tmp_path / "log.csv"), tmp_path / "central", BOUNDS)
    told, passed = replies(dealt(central, 3, tmp_path / "nodes"), BOUNDS)
    sent = {together(some, passed, BOUNDS).to_bytes() for some in permutations(told)}
    assert len(sent) == 1
    tables = PublicTables.from_bytes(sent.pop(), BOUNDS)
    assert tables.table.num_rows == len(passed)
    assert {passing([m for m, _ in some], 2).tobytes() for some in permutations(told)} == {passed.tobytes()}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Marks(np.array([1, 2]), np.array([1, 1])), "hashes must be one row of unsigned numbers"),
        (Marks(np.array([[1]], np.uint64), np.array([[1]])), "hashes must be one row"),
        (Marks(np.array([2, 1], np.uint64), np.array([1, 1])), "must ascend"),
        (Marks(np.array([2, 2], np.uint64), np.array([1, 1])), "none may come twice"),
        (Marks(np.array([1, 2], np.uint64), np.array([1])), "one number of tellers"),
        (Marks(np.array([1, 2], np.uint64), np.array([1.0, 1.0])), "one number of tellers"),
        (Marks(np.array([1, 2], np.uint64), np.array([1, 0])), "tellers must be from 1"),
        (Marks(np.array([1, 2], np.uint64), np.array([1, -1])), "tellers must be from 1"),
        (Marks(np.array([1, 2], np.uint64), np.array([1, MOST_TELLERS])), "tellers must be from 1"),
    ],
)
def test_marks_that_are_none(wrong: Marks, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        passing([ONE, wrong], 2)


def test_more_marks_than_there_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranking.public_tables.MOST_THINGS", 2)
    with pytest.raises(ValueError, match="3 hashes are more than 2"):
        passing([ONE], 2)
    monkeypatch.setattr("ranking.public_tables.MOST_THINGS", 1)
    sent = named().to_bytes()
    with pytest.raises(ValueError, match="2 rows are more than 1"):
        Named.from_bytes(sent)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a kind that is none": ({"kind": [0, len(COUNTED)]}, "of a kind that nobody counts"),
    "a negative kind": ({"kind": [-1, 1]}, "of a kind that nobody counts"),
    "less than every teller once": ({"count": [1, 3]}, "everybody who does at least once"),
    "nobody": ({"tellers": [0, 1]}, "somebody must tell of each"),
    "fewer than nobody": ({"tellers": [-3, 1], "count": [-1, 1]}, "somebody must tell of each"),
    "more than all may": ({"count": [7, 3]}, "more is told than each user may tell"),
    "far more": ({"count": [MOST_TIMES, 3], "tellers": [2, 1]}, "more is told than each user may tell"),
    "too many": ({"tellers": [MOST_TELLERS, 1], "count": [MOST_TELLERS, 1]}, "somebody must tell"),
    "other tellers": ({"tellers": [1, 1], "count": [3, 3]}, "other numbers of tellers than it had marked"),
    "other things": ({"mark": [3, 5]}, "names other things than it was asked for"),
    "the same mark": ({"mark": [3, 3]}, "names other things than it was asked for"),
    "the same name": (
        {"kind": [0, 0], "first": ["git", "git"], "second": ["", ""]},
        "something is told twice",
    ),
    "a long text": ({"first": ["x" * 1001, "red"]}, "empty, out of place or longer than 1000"),
    "no text": ({"first": ["git log", ""]}, "empty, out of place or longer"),
    "no second text": ({"second": ["", ""]}, "empty, out of place or longer"),
    "a second text of a query": ({"second": ["git", "git"]}, "empty, out of place or longer"),
    "NUL": ({"first": ["git\0log", "red"]}, "holds NUL"),
    "a missing value": ({"first": [None, "red"]}, "a value is missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_names_that_are_refused(case: str) -> None:
    columns, said = WRONG[case]
    with pytest.raises(ValueError, match=said):
        together([(TWO, Named.of(**OTHER)), (ONE, named(**columns))], ASKED, BOUNDS)


@pytest.mark.parametrize(
    "case", [c for c in WRONG if c not in ("other tellers", "other things", "the same mark")]
)
def test_bytes_are_refused_for_the_same(case: str) -> None:
    columns, said = WRONG[case]
    if case == "a missing value":
        return
    with pytest.raises(ValueError, match=said):
        Named.from_bytes(named(**columns).to_bytes(), BOUNDS)


def test_fewer_or_more_names_than_asked_for() -> None:
    half = Named(named().table.slice(0, 1))
    more = Named(
        pa.concat_tables([named().table, Named.of(**OTHER | {"mark": [5], "first": ["blue"]}).table])
    )
    for wrong in (half, more):
        with pytest.raises(ValueError, match="names other things than it was asked for"):
            together([(ONE, wrong)], ASKED, BOUNDS)


def other_name(columns: dict[str, Any]) -> dict[str, Any]:
    return columns | {"first": ["blue"]}


def other_mark(columns: dict[str, Any]) -> dict[str, Any]:
    return columns | {"mark": [4]}


@pytest.mark.parametrize("change", [other_name, other_mark])
def test_nodes_that_do_not_share_a_key(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Or one of which lies about what its hash is of."""
    other = change(OTHER)
    theirs = marks((other["mark"][0], 2))
    with pytest.raises(ValueError, match="do they share one key"):
        together([(ONE, named()), (theirs, Named.of(**other))], np.array([3, 4, 7], np.uint64), BOUNDS)


def test_what_is_asked_for_is_checked() -> None:
    with pytest.raises(ValueError, match="must ascend"):
        together([(ONE, named())], ASKED[::-1], BOUNDS)
