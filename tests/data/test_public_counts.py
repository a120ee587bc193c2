"""What users make public together, by its definition; and that nobody's own future shows in it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.suggestions.candidates import Candidates
from app.suggestions.visit import Visit
from data.completions import POOL_SIZE
from data.log_import import ImportOptions, Reading, import_log
from data.public_counts import ALONE, COUNTED, UNTOLD, Bounds
from data.schema import DataError, Dataset, column
from data.storage import read, write
from ranking.building import build
from ranking.features import feature_names
from ranking.history import HISTORY
from ranking.public_statistics import PublicStatistics
from ranking.sources import Log
from tests.data.slow_slates import slow_slates

Happening = tuple[int, Any]
"""Who did what."""

BOUNDS = (Bounds(2, 3, 2), Bounds(1, 100, 100), Bounds(3, 2, 1), Bounds(2, 100, 100))


def slow_told(bounds: Bounds, done: Sequence[Happening]) -> list[int]:
    """What becomes of each of some things that users have done one after the other."""
    often = Counter(done)
    tellers: dict[Any, set[int]] = defaultdict(set)
    for user in {user for user, _ in done}:
        mine = sorted((thing for u, thing in often if u == user), key=lambda t: (-often[user, t], t))
        for thing in mine[: bounds.things]:
            tellers[thing].add(user)
    found, seen = [], Counter[Happening]()
    for user, thing in done:
        seen[user, thing] += 1
        others = len(tellers[thing] - {user})
        told = user in tellers[thing] and seen[user, thing] <= bounds.times
        public = len(tellers[thing]) >= bounds.users
        found.append(UNTOLD if not (told and public) else COUNTED if others >= bounds.users else ALONE)
    return found


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=60),
    st.builds(Bounds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)
def test_what_becomes_of_what_users_do(done: list[Happening], bounds: Bounds) -> None:
    user, thing = np.array(done, np.int64).reshape(-1, 2).T
    assert bounds.told(user, thing * 10**12).tolist() == slow_told(bounds, done)


def test_by_hand() -> None:
    """Two users must tell: what one alone does never counts, and of what two do each sees nothing."""
    user = np.array([0, 0, 0, 1, 1, 2])
    thing = np.array([5, 5, 7, 5, 8, 8])
    assert Bounds(2, 10, 10).told(user, thing).tolist() == [ALONE, ALONE, UNTOLD, ALONE, ALONE, ALONE]
    assert Bounds(1, 10, 10).told(user, thing).tolist() == [COUNTED, COUNTED, ALONE, *[COUNTED] * 3]
    assert Bounds(1, 1, 1).told(user, thing).tolist() == [COUNTED, UNTOLD, UNTOLD, COUNTED, UNTOLD, ALONE]


@pytest.mark.parametrize(("name", "value"), [("users", 0), ("things", -1), ("times", 0), ("users", True)])
def test_what_is_no_bound(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"public {name} = {value!r}"):
        Bounds(**{name: value})


def log_of(seed: int, path: Path, queries: int = 14) -> Path:
    """A log with groups, in which each user has favourites."""
    draw = np.random.default_rng(seed)
    texts = [f"{first} {second}" for first in ("git", "go", "gcc", "g") for second in "abcdefgh"][:queries]
    rows = []
    for user, events in enumerate((190, 40, 30, 30, 8, 25)):
        liked = draw.dirichlet(np.full(len(texts), 0.4))
        for e in range(events):
            query = texts[draw.choice(len(texts), p=liked)]
            group = ["red", "blue", None][draw.integers(3)]
            rows.append((f"u{user}", 1_600_000_000 + 900 * (e // 3) + user, query, group))
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(path, index=False)
    return path


def imported(path: Path, bounds: Bounds | None, **options: Any) -> Dataset:
    chosen = ImportOptions(
        typed=1, min_events=3, public_counts=bounds, reading=Reading(keep_copies=True), **options
    )
    return import_log(path, "user", "time", "query", "group", chosen)


def told_by_user(dataset: Dataset, bounds: Bounds) -> dict[int, list[int]]:
    """Of each user's training events, in their order, what becomes of the query."""
    user, query = column(dataset.events, "user_id"), column(dataset.events, "query_id")
    training = column(dataset.events, "split") == "train"
    done = list(zip(user[training].tolist(), query[training].tolist(), strict=True))
    found: dict[int, list[int]] = defaultdict(list)
    for (who, _), becomes in zip(done, slow_told(bounds, done), strict=True):
        found[who].append(becomes)
    return found


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("seed", range(4))
def test_pools_hold_what_others_tell_and_then_the_users_own(
    bounds: Bounds, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 3 if seed % 2 else POOL_SIZE
    monkeypatch.setattr("data.pools.POOL_SIZE", most)
    monkeypatch.setattr("data.pools.MOMENTS", [5, 8192][seed // 2])
    dataset = imported(log_of(seed, tmp_path / "log.csv"), bounds, history=[4, 100][seed % 2])
    texts = dataset.queries.column("text").to_pylist()
    events = dataset.events.to_pylist()
    told = told_by_user(dataset, bounds)
    counts: dict[int, Counter[int]] = defaultdict(Counter)  # what each user has told
    alone: dict[int, set[int]] = defaultdict(set)
    for user, becomes in told.items():
        mine = [e["query_id"] for e in events if e["user_id"] == user]
        for query, one in zip(mine, becomes, strict=False):
            counts[user][query] += one != UNTOLD
            if one == ALONE:
                alone[user].add(query)
    everybody = sum(counts.values(), Counter[int]())
    for slate in dataset.slates.to_pylist():
        now = events[slate["event_id"]]
        user, prefix = now["user_id"], slate["prefix"]
        left = {
            q: n - counts[user][q]
            for q, n in everybody.items()
            if q not in alone[user] and texts[q].startswith(prefix)
        }
        popular = sorted((q for q, n in left.items() if n > 0), key=lambda q: (-left[q], texts[q]))[:most]
        past = [e for e in events if e["user_id"] == user and e["timestamp"] < now["timestamp"]]
        own = [e["query_id"] for e in past[-[4, 100][seed % 2] :]][::-1]
        own = [q for q in dict.fromkeys(own) if texts[q].startswith(prefix) and q not in popular]
        assert slate["pool"] == popular + own


@pytest.mark.parametrize("bounds", BOUNDS)
def test_who_types_now_is_offered_the_same(bounds: Bounds, tmp_path: Path) -> None:
    """The suggestion service asks for one pool at a time, of its own index."""
    dataset = imported(log_of(2, tmp_path / "log.csv"), bounds)
    candidates = Candidates(Log(dataset))
    texts = dataset.queries.column("text").to_pylist()
    events = dataset.events.to_pylist()
    told = told_by_user(dataset, bounds)
    for user in range(dataset.users.num_rows):
        left, own = Counter[str](), [texts[e["query_id"]] for e in events if e["user_id"] == user]
        mine = {t for t, one in zip(own, told[user], strict=False) if one == ALONE}
        for other, becomes in told.items():
            theirs = [texts[e["query_id"]] for e in events if e["user_id"] == other]
            for text, one in zip(theirs, becomes, strict=False):
                left[text] += one != UNTOLD and other != user and text not in mine
        popular = sorted((t for t in left if left[t]), key=lambda t: (-left[t], t))
        recent = [t for t in dict.fromkeys(own[-HISTORY:][::-1]) if t not in popular]
        standing = candidates.standing(Visit(user))
        assert [texts[q] for q in candidates.pool(standing, "g")] == popular + recent


def things(dataset: Dataset) -> dict[str, Callable[[list[dict[str, Any]], int], Any]]:
    """By feature: what is counted at a place of some successive events, None for nothing."""
    texts = dataset.queries.column("text").to_pylist()

    def word(event: dict[str, Any]) -> str:
        return str(texts[event["query_id"]].split(" ")[0])

    def step(given: Callable[..., Any], back: int, then: Callable[..., Any]) -> Callable[..., Any]:
        return lambda mine, at: (given(mine[at - back]), then(mine[at])) if at >= back else None

    query = itemgetter("query_id")
    return {
        "popularity": lambda mine, at: query(mine[at]),
        "group popularity": lambda mine, at: mine[at]["group"] and (mine[at]["group"], query(mine[at])),
        "follows previous": step(query, 1, query),
        "follows the one before": step(query, 2, query),
        "follows first word": step(word, 1, query),
        "first word follows first word": step(word, 1, word),
    }


SCALES = {
    "popularity": lambda n: (np.log1p(n) - 2) / 1.5,
    "group popularity": lambda n: np.log1p(n) / 1.5,
    "follows previous": lambda n: 2 * np.log1p(n),
    "follows the one before": lambda n: 3 * np.log1p(n),
    "follows first word": lambda n: 1.5 * np.log1p(n),
    "first word follows first word": lambda n: 0.5 * np.log1p(n),
}


@pytest.mark.parametrize("bounds", BOUNDS)
def test_features_count_what_others_have_told(bounds: Bounds, tmp_path: Path) -> None:
    dataset = imported(log_of(1, tmp_path / "log.csv"), bounds)
    events = dataset.events.to_pylist()
    by_user = [[e for e in events if e["user_id"] == u] for u in range(dataset.users.num_rows)]
    names = feature_names(PublicStatistics(dataset))
    slates = build(dataset).all()
    rows = dataset.slates.to_pylist()
    word_of = [text.split(" ")[0] for text in dataset.queries.column("text").to_pylist()]
    for feature, thing in things(dataset).items():
        done = [
            (u, what)
            for u, mine in enumerate(by_user)
            for at in range(len(mine))
            if mine[at]["split"] == "train" and (what := thing(mine, at)) is not None
        ]
        numbers = {what: n for n, what in enumerate(sorted({what for _, what in done}, key=order(word_of)))}
        becomes = slow_told(bounds, [(u, numbers[what]) for u, what in done])
        for row in np.random.default_rng(2).choice(len(rows), 25, replace=False).tolist():
            now = events[rows[row]["event_id"]]
            past = [e for e in by_user[now["user_id"]] if e["timestamp"] < now["timestamp"]]
            for place, query in enumerate(rows[row]["pool"]):
                what = thing([*past, {**now, "query_id": query}], len(past))
                of = [(u, one) for (u, other), one in zip(done, becomes, strict=True) if other == what]
                hidden = (now["user_id"], ALONE) in of
                seen = 0 if hidden else sum(one != UNTOLD for u, one in of if u != now["user_id"])
                value = slates.features[row, place, names.index(feature)]
                assert value == pytest.approx(SCALES[feature](seen), abs=1e-5), (feature, row, place)


def order(word_of: list[str]) -> Callable[[Any], Any]:
    """Words are numbered by the first query that has them, and groups by name."""

    def key(what: Any) -> Any:
        parts = what if isinstance(what, tuple) else (what,)
        return [word_of.index(p) if isinstance(p, str) and p in word_of else p for p in parts]

    return key


@pytest.mark.parametrize("bounds", [Bounds(2, 4, 2), Bounds(1, 3, 1), Bounds(3, 50, 50)])
def test_what_a_user_does_later_changes_nothing_before(bounds: Bounds, tmp_path: Path) -> None:
    """Neither pools nor features, although it changes what becomes public."""
    path = log_of(3, tmp_path / "log.csv")
    log = pd.read_csv(path)
    first = imported(path, bounds)
    later = (log["user"] == "u0") & (log["time"] >= 1_600_000_000 + 900 * 20)
    for query in ("git a", "g nobody has searched this"):
        changed = log.copy()
        changed.loc[later, "query"] = query
        changed.to_csv(tmp_path / "other.csv", index=False)
        second = imported(tmp_path / "other.csv", bounds)
        user = column(first.events, "user_id")
        mine = np.flatnonzero(user == 0)[: 20 * 3]
        texts = [d.queries.column("text").to_pylist() for d in (first, second)]
        pools = [
            [[of[q] for q in d.slates.column("pool")[row].as_py()] for row in mine.tolist()]
            for d, of in zip((first, second), texts, strict=True)
        ]
        assert pools[0] == pools[1]
        one, two = (build(d).all().features[mine].numpy() for d in (first, second))
        width = min(one.shape[1], two.shape[1])
        np.testing.assert_array_equal(one[:, :width], two[:, :width])
    public = [PublicStatistics(d).count for d in (first, second)]
    assert sorted(public[0][public[0] > 0]) != sorted(public[1][public[1] > 0]), "it should have mattered"


def test_without_bounds_nothing_has_changed(tmp_path: Path) -> None:
    """Not even the fingerprint, which older datasets and runs have written down."""
    dataset = imported(log_of(0, tmp_path / "log.csv"), None)
    texts = dataset.queries.column("text").to_pylist()
    options = ImportOptions(typed=1, min_events=3, reading=Reading(keep_copies=True))
    expected, _ = slow_slates(dataset.events, texts, options)
    assert dataset.slates.column("pool").to_pylist() == expected.column("pool").to_pylist()


def test_what_counts_belongs_to_the_data(tmp_path: Path) -> None:
    """Equal tables of which other things count are other data; and nobody can change that later."""
    dataset = imported(log_of(0, tmp_path / "log.csv"), Bounds(1, 10**6, 10**6))
    central = replace(dataset, manifest=dataset.manifest | {"options": {}})
    one, two = (write(d, tmp_path / name) for name, d in (("one", dataset), ("two", central)))
    assert one.fingerprint != two.fingerprint
    path = tmp_path / "one" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["options"]["public_counts"]["users"] = 5
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="has changed since it was written"):
        read(tmp_path / "one")


@pytest.mark.parametrize("odd", [5, "abc", [], {"users": 2.5}, {"user": 2}, {"users": 0}, False])
def test_a_manifest_with_odd_bounds_is_damaged(odd: Any, tmp_path: Path) -> None:
    dataset = imported(log_of(0, tmp_path / "log.csv"), None)
    write(replace(dataset, manifest={"kind": "imported", "options": {"public_counts": odd}}), tmp_path / "d")
    with pytest.raises(DataError, match=r"manifest.json is damaged: public"):
        read(tmp_path / "d")


@pytest.mark.parametrize("options", [None, [], "x", 3])
def test_options_that_are_none_are_damaged(options: Any, tmp_path: Path) -> None:
    dataset = imported(log_of(0, tmp_path / "log.csv"), None)
    write(replace(dataset, manifest={"kind": "imported", "options": options}), tmp_path / "d")
    with pytest.raises(DataError, match=r"manifest.json is damaged: its options are"):
        read(tmp_path / "d")


def test_more_tellers_than_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="7 users must tell of something before it counts, and there are 6"):
        imported(log_of(0, tmp_path / "log.csv"), Bounds(users=7))


def test_moments_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave strict time out"):
        ImportOptions(strict_time=True, public_counts=Bounds())


def test_more_history_than_is_told(tmp_path: Path) -> None:
    assert Bounds().things > HISTORY, "a device tells of more than a pool looks back on"


def test_a_node_may_have_fewer_users_than_have_to_share_a_query(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = "".join(f"ann,{1_600_000_000 + 100 * step},search {step % 3}\n" for step in range(12))
    log.write_text("user,time,query\n" + rows)
    options = ImportOptions(public_counts=Bounds(users=3), reading=Reading(keep_copies=True))
    with pytest.raises(DataError, match="3 users must tell"):
        import_log(log, "user", "time", "query", None, options)
    alone = import_log(log, "user", "time", "query", None, replace(options, one_node=True))
    assert alone.users.num_rows == 1
    assert "one_node" not in alone.manifest["options"]
    assert Bounds.of(alone.manifest) == Bounds(users=3)
