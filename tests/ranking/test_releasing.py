"""Public counts released with noise: from what, and that nothing else is ever looked at."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.suggestions.candidates import Candidates
from app.suggestions.visit import Visit
from data.card import card
from data.dealing import deal
from data.log_import import ImportOptions, Reading, import_log
from data.privacy import Budget, PrivacyError, Release, Spending
from data.public_counts import ALONE, Sums
from data.schema import DataError, Dataset, column
from data.simulator import simulate
from data.storage import discard, read, write
from ranking.building import build
from ranking.events import COUNTED, GROUP, QUERY, Events
from ranking.public_statistics import PublicStatistics
from ranking.public_tables import PublicTables
from ranking.releasing import noisy, released, shares
from ranking.sources import Log
from ranking.telling import Node

LARGE = Budget(100.0, 0.1, 5)
"""Nearly no noise, so that something of a small log is released."""


def log_of(path: Path, users: int = 8, seed: int = 0, other: str = "") -> pd.DataFrame:
    """A log of users who share favourites; with ``other``, all but the first search other things too."""
    draw = np.random.default_rng(seed)
    texts = [f"{first} {second}" for first in ("git", "go", "gcc") for second in "abcd"]
    rows = []
    for user in range(users):
        for e in range(60):
            query = texts[int(len(texts) * draw.random() ** 2)]
            if other and user and draw.random() < 0.5:
                query = f"{other} {draw.integers(9)}"
            group = ["red", "blue", None][draw.integers(3)]
            rows.append((f"u{user}", 1_600_000_000 + 900 * (e // 2) + user, query, group))
    log = pd.DataFrame(rows, columns=["user", "time", "query", "group"])
    log.to_csv(path, index=False)
    return log


Releasing = Callable[[Dataset, Budget], Dataset]


def imported(path: Path, budget: Budget = LARGE, releasing: Releasing = released, **more: Any) -> Dataset:
    reading = Reading(keep_copies=True)
    options = ImportOptions(typed=1, min_events=3, public_counts=budget, reading=reading, **more)
    return import_log(path, "user", "time", "query", "group", options, releasing=releasing)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, int]]:
    """No noise, and thresholds of 3; holds what would have been given to the mechanism, table by table."""
    given: list[dict[int, int]] = []

    def passing(tellers: Mapping[int, int], spent: Spending) -> dict[int, int]:
        given.append(dict(tellers))
        return {thing: n for thing, n in sorted(tellers.items()) if n >= spent.threshold}

    monkeypatch.setattr("ranking.releasing.passing", passing)
    monkeypatch.setattr("ranking.releasing.require_mechanism", lambda: None)
    monkeypatch.setattr("data.privacy.threshold", lambda *_: 3)
    return given


@pytest.mark.usefixtures("exact")
def test_every_table_is_released_within_the_bounds(tmp_path: Path) -> None:
    """Queries by definition: of each user the most frequent ones, counted once each."""
    log_of(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv")
    assert dataset.public is not None
    assert set(dataset.public.column("kind").to_pylist()) == set(range(len(COUNTED)))
    texts = dataset.queries.column("text").to_pylist()
    often: dict[int, Counter[str]] = defaultdict(Counter)
    for event in dataset.events.to_pylist():
        if event["split"] == "train":
            often[event["user_id"]][texts[event["query_id"]]] += 1
    tellers = Counter[str]()
    for mine in often.values():
        tellers.update(sorted(mine, key=lambda t: (-mine[t], t))[: LARGE.things])
    told = [row for row in dataset.public.to_pylist() if row["kind"] == 0]
    assert {row["first"]: row["tellers"] for row in told} == {t: n for t, n in tellers.items() if n >= 3}
    assert all(row["count"] == row["tellers"] for row in told)


@pytest.mark.parametrize("budget", [LARGE, Budget(100.0, 0.1, 2)])
def test_one_user_changes_each_table_by_so_many_things_and_one_each(
    budget: Budget, tmp_path: Path, exact: list[dict[int, int]]
) -> None:
    """What the mechanism is given of a log and of the same without one user: that is what noise is for."""
    log_of(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv", budget)
    for user in range(3):
        exact.clear()
        kept = column(dataset.events, "user_id") != user
        released(dataset, budget)
        released(replace(dataset, events=dataset.events.filter(kept)), budget)
        size = len(exact) // 2
        assert size == len(COUNTED)
        for with_user, without in zip(exact[:size], exact[size:], strict=True):
            change = Counter(with_user)
            change.subtract(without)
            assert set(change.values()) <= {0, 1}
            assert 0 < sum(change.values()) <= budget.things


def test_counts_beside_the_number_of_users(tmp_path: Path) -> None:
    """They have noise of their own, and are brought to what so many users can have told."""
    pytest.importorskip("opendp", reason="needs the extra privacy")
    size = 4000
    sums = Sums(np.arange(size), np.full(size, 2500), np.full(size, 1000))
    spent = Spending("queries", 1.0, 1.0, 1e-3, 2.0, 30.0, 900)
    drawn = noisy(sums, spent, 10)
    assert drawn.count.std() == pytest.approx(30, rel=0.1)
    assert drawn.tellers.std() == pytest.approx(2, rel=0.1)
    low = noisy(replace(sums, count=np.full(size, 1000)), spent, 10)
    assert (low.count >= low.tellers).all()
    log_of(tmp_path / "log.csv", users=12)
    dataset = imported(tmp_path / "log.csv", Budget(100.0, 0.05, 5, 4))
    assert json.loads(json.dumps(dataset.manifest))["release"]["tables"]["0"]["count_noise"] > 0
    assert dataset.public is not None
    PublicTables(dataset.public).require()
    assert np.isfinite(build(dataset).features.numpy()).all()


def test_shares_of_tables_add_up() -> None:
    for groups in (False, True):
        found = shares(groups)
        assert sum(found.values()) == pytest.approx(1)
        assert (GROUP in found) == groups
        assert max(found, key=lambda what: found[what]) == QUERY


def as_released(first: Dataset) -> Releasing:
    """Whatever the data, the release of another dataset."""
    said = {name: first.manifest[name] for name in ("options", "release")}
    return lambda dataset, _: replace(dataset, manifest={**dataset.manifest, **said}, public=first.public)


@pytest.mark.usefixtures("exact")
def test_nothing_but_the_release_is_known_of_others(tmp_path: Path) -> None:
    """Others may have searched whatever they like: with the same release a user's slates are the same."""
    log_of(tmp_path / "one.csv")
    log_of(tmp_path / "two.csv", other="go elsewhere")
    mine = pd.read_csv(tmp_path / "one.csv").query("user == 'u0'")
    theirs = pd.read_csv(tmp_path / "two.csv").query("user != 'u0'")
    pd.concat([mine, theirs]).to_csv(tmp_path / "two.csv", index=False)
    one = imported(tmp_path / "one.csv")
    two = imported(tmp_path / "two.csv", releasing=as_released(one))
    assert one.queries.num_rows != two.queries.num_rows
    assert one.public is not None
    assert one.public.equals(two.public)
    rows = np.flatnonzero(column(one.events, "user_id") == 0)
    seen = []
    for dataset in (one, two):
        texts = dataset.queries.column("text").to_pylist()
        pools = [[texts[q] for q in dataset.slates.column("pool")[row].as_py()] for row in rows.tolist()]
        features = build(dataset).all().features[rows].numpy()
        log = Log(dataset)
        offered = Candidates(log)
        now = [log.public.texts[q] for q in offered.pool(offered.standing(Visit(0)), "g")]
        seen.append((pools, features, now))
    assert seen[0][0] == seen[1][0]
    assert seen[0][2] == seen[1][2]
    width = min(part[1].shape[1] for part in seen)
    np.testing.assert_array_equal(*(part[1][:, :width] for part in seen))
    assert any(pool for pool in seen[0][0])


@pytest.mark.usefixtures("exact")
def test_with_equal_noise_what_a_user_does_later_changes_nothing_before(tmp_path: Path) -> None:
    """Although it changes what is released: what would not have been without the user is nothing to them."""
    log = log_of(tmp_path / "log.csv")
    first = imported(tmp_path / "log.csv")
    later = (log["user"] == "u0") & (log["time"] >= 1_600_000_000 + 900 * 10)
    log.loc[later, "query"] = "gcc d"
    log.to_csv(tmp_path / "other.csv", index=False)
    second = imported(tmp_path / "other.csv")
    assert first.public is not None
    assert not first.public.equals(second.public), "it should have mattered"
    mine = np.arange(20)
    texts = [d.queries.column("text").to_pylist() for d in (first, second)]
    pools = [
        [[of[q] for q in d.slates.column("pool")[row].as_py()] for row in mine.tolist()]
        for d, of in zip((first, second), texts, strict=True)
    ]
    assert pools[0] == pools[1]
    one, two = (build(d).all().features[mine].numpy() for d in (first, second))
    width = min(one.shape[1], two.shape[1])
    np.testing.assert_array_equal(one[:, :width], two[:, :width])
    public = PublicStatistics(first)
    told = public.marked(Events.of(first.events, public.group_names), 0).told
    assert told is not None
    assert ALONE in told[QUERY]


@pytest.mark.usefixtures("exact")
def test_users_who_are_left_out_have_a_part_in_the_release(tmp_path: Path) -> None:
    """It is made once, so that nothing is counted again where misses are dropped."""
    log = log_of(tmp_path / "log.csv")
    odd = pd.DataFrame({"user": "odd", "time": 1_600_000_000 + 900 * np.arange(30), "group": None})
    odd["query"] = [f"h{n} alone" for n in range(30)]
    pd.concat([log, odd]).to_csv(tmp_path / "log.csv", index=False)
    everybody = imported(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv", drop_missed=True)
    assert dataset.manifest["left_out"]["users without a training slate"] == 1
    assert dataset.users.num_rows == everybody.users.num_rows - 1
    assert dataset.public is not None
    assert dataset.public.equals(everybody.public)


def test_a_release_is_stored_and_belongs_to_the_data(tmp_path: Path) -> None:
    pytest.importorskip("opendp", reason="needs the extra privacy")
    log_of(tmp_path / "log.csv", users=40)
    one, two = (write(imported(tmp_path / "log.csv", Budget(4.0, 0.02)), tmp_path / d) for d in ("a", "b"))
    assert one.public is not None
    assert one.public.num_rows > 5
    assert one.fingerprint != two.fingerprint, "noise is drawn anew"
    again = read(tmp_path / "a")
    assert again.public is not None
    assert again.public.equals(one.public)
    assert card(again)["released"]["queries"] == again.manifest["release"]["tables"]["0"]["released"]
    for name, change in (("threshold", 1), ("released", 99)):
        manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
        manifest["release"]["tables"]["0"][name] = change
        (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(DataError, match="has changed since it was written"):
            read(tmp_path / "b")
    discard(tmp_path / "a")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


@pytest.mark.usefixtures("exact")
def test_a_dataset_without_its_release_is_refused(tmp_path: Path) -> None:
    log_of(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv")
    with pytest.raises(DataError, match="lacks the public counts"):
        PublicStatistics(replace(dataset, public=None))
    write(replace(dataset, public=None), tmp_path / "d")
    with pytest.raises(DataError, match=r"damaged: it does not list public.parquet"):
        read(tmp_path / "d")


@pytest.mark.usefixtures("exact")
def test_nodes_do_not_count_again_what_was_released(tmp_path: Path) -> None:
    log_of(tmp_path / "log.csv")
    dataset = imported(tmp_path / "log.csv")
    with pytest.raises(DataError, match="released once, with noise"):
        deal(dataset, 2, tmp_path / "nodes")
    with pytest.raises(DataError, match="released once, with noise"):
        Node(dataset, b"0123456789abcdef")


@pytest.mark.usefixtures("exact")
def test_simulated_users_have_no_groups_and_keep_what_the_catalogue_says() -> None:
    dataset = simulate(6, 0)
    public = PublicStatistics(released(dataset, Budget(50.0, 0.1)))
    release = Release.of(released(dataset, LARGE))
    assert release is not None
    assert COUNTED.index(GROUP) not in release.tables
    told = public.count - public.outside
    assert 0 < (told > 0).sum() < 40
    assert (public.outside == column(dataset.queries, "public_count")).all()


@pytest.mark.usefixtures("exact")
def test_what_a_release_needs(tmp_path: Path) -> None:
    log_of(tmp_path / "log.csv")
    options = ImportOptions(min_events=3, public_counts=Budget(1.0, 0.125))
    with pytest.raises(PrivacyError, match="nobody is there to release"):
        import_log(tmp_path / "log.csv", "user", "time", "query", None, options)
    with pytest.raises(PrivacyError, match=r"1/8 = 0\.125"):
        imported(tmp_path / "log.csv", Budget(1.0, 0.125))
    strict = simulate(3, 0)
    strict = replace(strict, manifest={**strict.manifest, "options": {"strict_time": True}})
    with pytest.raises(DataError, match="leave strict time out"):
        released(strict, LARGE)
