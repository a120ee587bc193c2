"""Nodes get all that is their users', and nothing of anybody else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.dealing import deal
from data.public_counts import TIMELESS, Bounds
from data.schema import DataError, Dataset
from data.simulator import simulate
from data.storage import read, write
from tests.ranking.nodes import imported, log_of


@pytest.fixture
def log(tmp_path: Path) -> Dataset:
    return imported(log_of(3, tmp_path / "log.csv", users=7), tmp_path / "central", Bounds(2, 20, 5))


def searches(dataset: Dataset) -> dict[str, list[tuple[object, ...]]]:
    """Of each user, by name, the events, and what was typed and wanted at each slate."""
    names = dataset.users.column("name").to_pylist()
    texts = dataset.queries.column("text").to_pylist()
    found: dict[str, list[tuple[object, ...]]] = {name: [] for name in names}
    events = dataset.events.to_pylist()
    for e in events:
        found[names[e["user_id"]]].append((e["timestamp"], texts[e["query_id"]], e["group"], e["split"]))
    for s in dataset.slates.to_pylist():
        event = events[s["event_id"]]
        wanted = tuple(texts[query] for query in s["reference"])
        found[names[event["user_id"]]].append((event["timestamp"], s["prefix"], *wanted))
    return found


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
def test_everybody_is_at_one_node(nodes: int, log: Dataset, tmp_path: Path) -> None:
    places = deal(log, nodes, tmp_path / "out")
    assert places == [tmp_path / "out" / f"node-{number}" for number in range(nodes)]
    names = log.users.column("name").to_pylist()
    expected = searches(log)
    for number, place in enumerate(places):
        dataset = read(place)
        mine = names[number::nodes]
        assert dataset.users.column("name").to_pylist() == mine
        assert searches(dataset) == {name: expected[name] for name in mine}
        assert dataset.manifest["dealt"] == {"node": number, "nodes": nodes, "of": log.fingerprint}
        assert dataset.manifest["options"] == log.manifest["options"]


def test_nobody_gets_what_others_have_searched(log: Dataset, tmp_path: Path) -> None:
    """Not in their queries, and so in no pool."""
    texts = [set[str]() for _ in range(log.users.num_rows)]
    queries = log.queries.column("text").to_pylist()
    for event in log.events.to_pylist():
        texts[event["user_id"]].add(queries[event["query_id"]])
    for number, place in enumerate(deal(log, 3, tmp_path / "out")):
        own = read(place).queries.column("text").to_pylist()
        assert own == sorted(set().union(*texts[number::3]))
        assert len(own) < len(queries)


def test_sessions_stay(log: Dataset, tmp_path: Path) -> None:
    sessions = np.asarray(log.events.column("session_id"))
    user = np.asarray(log.events.column("user_id"))
    for number, place in enumerate(deal(log, 2, tmp_path / "out")):
        mine = sessions[user % 2 == number]
        dealt = np.asarray(read(place).events.column("session_id"))
        assert np.array_equal(np.diff(mine) != 0, np.diff(dealt) != 0)


def test_of_a_log_pools_hold_what_the_node_knows(log: Dataset, tmp_path: Path) -> None:
    """With one node that is everything; where each user is alone, their own past."""
    (whole,) = (read(place) for place in deal(log, 1, tmp_path / "one"))
    assert whole.slates.equals(log.slates)
    assert whole.manifest["missed"] == log.manifest["missed"] > 0
    for place in deal(log, 7, tmp_path / "seven"):
        alone = read(place)
        events, past = alone.events.to_pylist(), set[int]()
        for slate in alone.slates.to_pylist():
            now = events[slate["event_id"]]
            past = {e["query_id"] for e in events if e["timestamp"] < now["timestamp"]}
            assert set(slate["pool"]) <= past
        pools = zip(*(alone.slates.column(name).to_pylist() for name in ("pool", "reference")), strict=True)
        assert alone.manifest["missed"] == sum(wanted[0] not in pool for pool, wanted in pools)


def test_other_peoples_searches_are_no_secret(log: Dataset, tmp_path: Path) -> None:
    """What people outside have searched is public in every dataset."""
    column = log.queries.schema.get_field_index("public_count")
    size = log.queries.num_rows
    queries = log.queries.set_column(column, log.queries.schema.field(column), [np.ones(size, int)])
    for place in deal(replace(log, queries=queries), 7, tmp_path / "out"):
        assert read(place).queries.num_rows == size


def test_the_catalogue_of_simulated_users_is_everybodys(tmp_path: Path) -> None:
    """And so are their pools."""
    dataset = write(simulate(5, 2, bounds=Bounds()), tmp_path / "central")
    user = np.asarray(dataset.events.column("user_id"))[np.asarray(dataset.slates.column("event_id"))]
    for number, place in enumerate(deal(tmp_path / "central", 2, tmp_path / "out")):
        dealt = read(place, truth=True)
        assert dealt.queries.equals(dataset.queries)
        mine = np.flatnonzero(user % 2 == number)
        for name in ("prefix", "pool", "reference"):
            assert dealt.slates.column(name).to_pylist() == dataset.slates.column(name).take(mine).to_pylist()
        assert not dealt.truth


@pytest.mark.parametrize("nodes", [0, -1, 8])
def test_a_node_has_a_user(nodes: int, log: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"7 users cannot be dealt out to {nodes} nodes"):
        deal(log, nodes, tmp_path / "out")


def test_what_cannot_be_dealt(tmp_path: Path) -> None:
    path = log_of(3, tmp_path / "log.csv")
    central = imported(path, tmp_path / "central", None)
    with pytest.raises(DataError, match="make it with --public-counts federated"):
        deal(central, 2, tmp_path / "out")
    strict = imported(path, tmp_path / "strict", None, strict_time=True)
    with pytest.raises(DataError, match=TIMELESS):
        deal(strict, 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_in_the_way(log: Dataset, tmp_path: Path) -> None:
    """Then no node gets anything."""
    (tmp_path / "out" / "node-1").mkdir(parents=True)
    (tmp_path / "out" / "node-1" / "mine").write_text("")
    with pytest.raises(DataError, match=r"node-1.*choose another --out"):
        deal(log, 2, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["node-1", "mine"]
