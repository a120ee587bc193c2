"""Nodes give their users what one place that sees everything would; and no secret leaves them."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.suggestions.candidates import Candidates
from app.suggestions.visit import Visit
from data.public_counts import Bounds
from data.schema import DataError, Dataset, column
from data.simulator import simulate
from data.storage import write
from ranking.events import COUNTED, GROUP, QUERY, STEPS, WORD, Step
from ranking.public_tables import PublicTables
from ranking.sources import Log
from ranking.summing import passing, together
from ranking.telling import Node, source
from tests.ranking.nodes import (
    KEY,
    assert_same,
    dealt,
    imported,
    log_of,
    replies,
    slates_by_user,
    summed,
)

BOUNDS = (
    Bounds(1, 100, 100),
    Bounds(2, 100, 100),
    Bounds(2, 3, 2),
    Bounds(3, 4, 1),
    Bounds(1, 2, 3),
    Bounds(3, 8, 4),
)


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_log_on_nodes_is_the_log_in_one_place(seed: int, bounds: Bounds, tmp_path: Path) -> None:
    """Of one to as many nodes as there are users: then each has one."""
    options = {"typed": [None, 1, 2][seed % 3], "history": [3, 100][seed % 2], "seed": seed}
    path = log_of(seed, tmp_path / "log.csv", users=5, groups=seed != 1)
    central = imported(path, tmp_path / "central", bounds, **options)
    for nodes in (1, 2, 4, 5):
        datasets = dealt(central, nodes, tmp_path / f"of {nodes}")
        tables = summed(datasets, bounds)
        assert_same(Log(central), [source(dataset, tables) for dataset in datasets])


def test_a_log_without_its_misses(tmp_path: Path) -> None:
    bounds = Bounds(2, 20, 5)
    path = log_of(6, tmp_path / "log.csv", users=6)
    central = imported(path, tmp_path / "central", bounds, drop_missed=True, typed=1)
    assert central.slates.num_rows < central.events.num_rows
    datasets = dealt(central, 3, tmp_path / "nodes")
    tables = summed(datasets, bounds)
    assert_same(Log(central), [source(dataset, tables) for dataset in datasets])


def test_simulated_users(tmp_path: Path) -> None:
    """Whose pools stay, and whose counts have an outside."""
    bounds = Bounds(2, 15, 2)
    central = write(simulate(7, 3, bounds=bounds), tmp_path / "central")
    datasets = dealt(central, 3, tmp_path / "nodes")
    tables = summed(datasets, bounds)
    assert_same(Log(central), [source(dataset, tables) for dataset in datasets])
    alone = [Log(dataset) for dataset in datasets]
    assert not all(
        np.array_equal(a.slates("test").features, b.slates("test").features)
        for a, b in zip(alone, (source(dataset, tables) for dataset in datasets), strict=True)
    ), "what the others tell should matter"


def test_nodes_that_have_imported_their_own_logs(tmp_path: Path) -> None:
    """As on real machines: nobody ever holds the whole log."""
    bounds = Bounds(2, 10, 3)
    path = log_of(8, tmp_path / "log.csv", users=6)
    central = imported(path, tmp_path / "central", bounds, typed=2)
    rows = pd.read_csv(path)
    datasets = []
    for node, users in enumerate((("user-0", "user-3"), ("user-1", "user-2", "user-4", "user-5"))):
        part = tmp_path / f"{node}.csv"
        rows[rows["user"].isin(users)].to_csv(part, index=False)
        datasets.append(imported(part, tmp_path / f"node {node}", bounds, typed=2))
    tables = summed(datasets, bounds)
    assert_same(Log(central), [source(dataset, tables) for dataset in datasets])


def told_of(dataset: Dataset, bounds: Bounds) -> dict[tuple[Any, ...], Counter[str]]:
    """By kind and texts: how often each user, by name, tells of it. One event after the other."""
    texts = dataset.queries.column("text").to_pylist()
    names = dataset.users.column("name").to_pylist()
    events = [e | {"text": texts[e["query_id"]]} for e in dataset.events.to_pylist()]
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for user, name in enumerate(names):
        mine = [e for e in events if e["user_id"] == user and e["split"] == "train"]
        for what in COUNTED:
            often = Counter(thing for at in range(len(mine)) if (thing := _thing(what, mine, at)))
            for thing in sorted(often, key=lambda t: (-often[t], t))[: bounds.things]:
                found[what, *thing][name] = min(often[thing], bounds.times)
    return found


def _thing(what: Any, mine: list[dict[str, Any]], at: int) -> tuple[str, ...] | None:
    if isinstance(what, Step):
        if at < what.back:
            return None
        given, then = mine[at - what.back]["text"], mine[at]["text"]
        return (
            given.split(" ")[0] if what.given == WORD else given,
            then.split(" ")[0] if what.then == WORD else then,
        )
    if what == QUERY:
        return (mine[at]["text"], "")
    return (mine[at]["group"], mine[at]["text"]) if mine[at]["group"] else None


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_the_tables_are_sums_of_what_each_user_tells(bounds: Bounds, tmp_path: Path) -> None:
    central = imported(log_of(3, tmp_path / "log.csv", users=6), tmp_path / "central", bounds)
    tables = summed(dealt(central, 4, tmp_path / "nodes"), bounds)
    expected = {
        thing: (sum(by.values()), len(by))
        for thing, by in told_of(central, bounds).items()
        if len(by) >= bounds.users
    }
    found = {}
    for what in COUNTED:
        part = tables.part(what)
        for one, two, *numbers in zip(part.first, part.second, part.count, part.tellers, strict=True):
            found[what, one, two] = tuple(map(int, numbers))
    assert found == expected
    if bounds.things > 8:
        assert {what for what, *_ in expected} == {QUERY, GROUP, *STEPS}, "all kinds should be there"


def unusual(path: Path, users: int = 6) -> Path:
    """A log of words that are parts of nothing else; each query is that of a few users."""
    draw = np.random.default_rng(5)
    letters = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(120)]
    rows = []
    for user in range(users):
        known = [n for n in range(60) if n % users == user or (n % 7 == 0 and user < 2 + n // 7 % 4)]
        for event in range(40):
            n = int(draw.choice(known))
            text = f"Q{letters[n]}QQ Z{letters[n]}ZZ"
            rows.append((f"person {user}", 1_600_000_000 + 60 * event, text, f"team {user % 4}"))
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("users", [2, 3])
def test_nothing_that_too_few_tell_leaves_a_node_by_name(users: int, tmp_path: Path) -> None:
    """Neither text nor first word nor what was typed, nor who searched; to the server nor to other nodes."""
    bounds = Bounds(users, 50, 5)
    central = imported(unusual(tmp_path / "log.csv"), tmp_path / "central", bounds, typed=4)
    enough = [thing for thing, by in told_of(central, bounds).items() if len(by) >= users]
    public = {text for _, *texts in enough for text in texts if text}
    datasets = dealt(central, 3, tmp_path / "nodes")
    told, passed = replies(datasets, bounds)
    sent = [together(told, passed, bounds).to_bytes(), passed.tobytes()]
    for marks, named in told:
        sent += [marks.hashes.tobytes(), marks.tellers.tobytes(), named.to_bytes()]
    texts = central.queries.column("text").to_pylist()
    secret = {part for text in texts for part in (text, text.split(" ")[0], text.split(" ")[1], text[:4])}
    secret -= {part for text in public for part in (text, *text.split(" "), text[:4])}
    secret |= set(central.users.column("name").to_pylist())
    secret |= {g for g in central.events.column("group").to_pylist() if g not in public}
    assert len(secret) > 50
    assert len(public) > 6
    for part in secret:
        assert not any(part.encode() in one for one in sent), part
    assert all(any(text.encode() in one for one in sent) for text in public)
    for dataset in datasets:
        own = set(dataset.queries.column("text").to_pylist())
        log = source(dataset, PublicTables.from_bytes(sent[0]))
        assert set(log.texts or []) <= own | public


def test_hashes_are_worth_nothing_without_the_key(tmp_path: Path) -> None:
    central = imported(log_of(2, tmp_path / "log.csv"), tmp_path / "central", Bounds())
    one, again, other = (Node(central, key).marks().hashes for key in (KEY, KEY, KEY + b"!"))
    assert np.array_equal(one, again)
    assert not set(one.tolist()) & set(other.tolist())
    for key in (b"", b"fifteen bytes..", b"x" * 65):
        with pytest.raises(ValueError, match="a key has 16 to 64 bytes, not"):
            Node(central, key)


def test_the_same_text_of_another_kind_has_another_hash(tmp_path: Path) -> None:
    """And so have texts that are the same only when put together."""
    texts = ["a", "a b", "a", "a b", "ab", "c", "a", "bc"] * 3
    rows = [("u", 1_600_000_000 + 60 * n, text, "a") for n, text in enumerate(texts)]
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(tmp_path / "log.csv", index=False)
    central = imported(tmp_path / "log.csv", tmp_path / "central", Bounds(1, 50, 5))
    node = Node(central, KEY)
    hashes = node.marks().hashes
    assert len(hashes) == len(told_of(central, Bounds(1, 50, 5)))
    assert node.named(hashes).table.num_rows == len(hashes)


def test_a_node_names_only_what_was_asked_for_and_its_own(tmp_path: Path) -> None:
    bounds = Bounds(1, 50, 5)
    central = imported(log_of(4, tmp_path / "log.csv"), tmp_path / "central", bounds)
    nodes = [Node(dataset, KEY) for dataset in dealt(central, 2, tmp_path / "nodes")]
    passed = passing([node.marks() for node in nodes], 1)
    some = passed[::3]
    for node in nodes:
        mine = node.marks().hashes
        assert node.named(some).values("mark").tolist() == [
            h for h in mine.tolist() if h in set(some.tolist())
        ]
        assert node.named(some[:0]).table.num_rows == 0
    for wrong in (passed[::-1], passed.astype(np.int64), passed[None], np.repeat(passed[:1], 2)):
        with pytest.raises(ValueError, match="hashes must"):
            nodes[0].named(wrong)


def test_a_node_that_does_not_answer_a_second_time(tmp_path: Path) -> None:
    """What it would have made public with the others is left out; and it can still be told of the rest."""
    bounds = Bounds(2, 50, 5)
    central = imported(log_of(7, tmp_path / "log.csv", users=6), tmp_path / "central", bounds)
    datasets = dealt(central, 3, tmp_path / "nodes")
    told, passed = replies(datasets, bounds)
    tables = together(told[:2], passed, bounds)
    assert 0 < tables.table.num_rows < together(told, passed, bounds).table.num_rows
    assert tables.values("tellers").min() >= 2
    assert tables.to_bytes() == summed(datasets[:2], bounds).to_bytes()
    with pytest.raises(DataError, match="the public counts lack what this dataset's users have told"):
        source(datasets[2], tables)
    log = source(datasets[2], tables, told=False)
    count = dict(zip(tables.part(QUERY).first, tables.part(QUERY).count.tolist(), strict=True))
    at = log.feature_names.index("popularity")
    slates, texts = log.slates("test"), log.texts or []
    counts = [count.get(texts[query], 0) for query in slates.candidates.tolist()]
    np.testing.assert_array_equal(
        slates.features[:, at].numpy(), ((np.log1p(counts) - 2) / 1.5).astype(np.float32)
    )
    everybody = source(datasets[0], tables)
    assert slates_by_user(everybody, "test") != slates_by_user(source(datasets[0], tables, False), "test")


def test_a_node_may_have_users_who_share_nothing(tmp_path: Path) -> None:
    bounds = Bounds(4, 50, 5)
    central = imported(unusual(tmp_path / "log.csv"), tmp_path / "central", bounds, typed=1)
    datasets = dealt(central, 6, tmp_path / "nodes")
    nobody = together([], np.zeros(0, np.uint64), bounds)
    assert nobody.table.num_rows == 0
    for dataset in datasets:
        log = source(dataset, PublicTables.from_bytes(nobody.to_bytes(), bounds))
        own = set(dataset.queries.column("text").to_pylist())
        assert set(log.texts or []) == own
        assert not log.public.count.any()


def test_who_types_now_is_offered_the_same(tmp_path: Path) -> None:
    """The suggestion service looks into a node's log as into any other."""
    bounds = Bounds(2, 20, 3)
    central = imported(log_of(9, tmp_path / "log.csv", users=6), tmp_path / "central", bounds)
    datasets = dealt(central, 2, tmp_path / "nodes")
    tables = summed(datasets, bounds)
    logs = [Log(central), *(source(dataset, tables) for dataset in datasets)]
    offered = [Candidates(log) for log in logs]
    for user in range(6):
        found = []
        for which, who in ((0, user), (1 + user % 2, user // 2)):
            standing = offered[which].standing(Visit(who))
            pool = offered[which].pool(standing, "g")
            slate = offered[which].slate(who, standing, "g", pool)
            texts = logs[which].texts or []
            found.append(([texts[query] for query in pool], slate.features.numpy().tobytes()))
        assert found[0] == found[1]
        assert found[0][0]


def test_the_data_is_that_of_the_node_and_the_tables(tmp_path: Path) -> None:
    """A model must not go on with other counts than it has learned from."""
    bounds = Bounds(1, 50, 5)
    central = imported(log_of(4, tmp_path / "log.csv"), tmp_path / "central", bounds)
    datasets = dealt(central, 2, tmp_path / "nodes")
    both, one = summed(datasets, bounds), summed(datasets[:1], bounds)
    logs = [source(datasets[0], both), source(datasets[0], both), source(datasets[0], one)]
    logs.append(source(datasets[1], both))
    assert logs[0].fingerprint == logs[1].fingerprint
    assert len({log.fingerprint for log in logs}) == 3
    assert column(logs[0].dataset.slates, "slate_id").tolist() == list(range(datasets[0].slates.num_rows))


def test_data_without_bounds_is_no_nodes(tmp_path: Path) -> None:
    central = imported(log_of(4, tmp_path / "log.csv"), tmp_path / "central", None)
    with pytest.raises(DataError, match="make it with --public-counts federated"):
        Node(central, KEY)
    with pytest.raises(DataError, match="make it with --public-counts federated"):
        source(central, together([], np.zeros(0, np.uint64), Bounds()))


def test_a_text_that_is_too_long_to_be_told(tmp_path: Path) -> None:
    central = imported(log_of(4, tmp_path / "log.csv"), tmp_path / "central", Bounds())
    groups = central.events.column("group").to_pylist()
    long = ["x" * 1001 if group else None for group in groups]
    events = central.events.set_column(5, central.events.schema.field(5), [long])
    with pytest.raises(DataError, match="longer than 1000 characters, too long to be told"):
        Node(replace(central, events=events), KEY)
