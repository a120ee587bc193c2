"""Slates and pools of many events at once equal the slow twin's, whatever is computed together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data.completions import POOL_SIZE
from data.log_import import ImportOptions, Reading, import_log
from data.log_slates import log_slates
from data.prefixes import Prefixes
from data.schema import Dataset, column, in_split
from tests.data.slow_slates import slow_slates

KEPT = Reading(keep_copies=True)


def random_log(seed: int, path: Path) -> Path:
    """Few or many users and queries of few letters; times that several events of a user may share."""
    draw = np.random.default_rng(seed)
    letters = ["a", "b", " ", "é", "😀", "\U0010ffff", "A"][: int(draw.integers(2, 8))]
    words = {"".join(draw.choice(letters, draw.integers(1, 8))).strip() for _ in range(200)} - {""}
    texts = sorted(words)[: int(draw.integers(3, 120))]
    events, users = int(draw.integers(60, 900)), int(draw.integers(1, 9))
    popular = np.minimum(len(texts) ** draw.random(events) - 1, len(texts) - 1).astype(int)
    of = np.concatenate([np.tile(np.arange(users), 6), draw.integers(0, users, events) ** 2 // users])
    popular = np.concatenate([draw.integers(0, len(texts), 6 * users), popular])
    time = 1_600_000_000 + draw.integers(0, max(3, len(of) // 3), len(of)) * int(draw.choice([1, 2000]))
    order = draw.permutation(len(texts))
    lines = [f'u{u},{t},"{texts[order[q]]}"' for u, t, q in zip(of, time, popular, strict=True)]
    path.write_text("user,time,query\n" + "\n".join(lines) + "\n")
    return path


def assert_equal_slates(dataset: Dataset, options: ImportOptions) -> None:
    texts = dataset.queries.column("text").to_pylist()
    expected, missed = slow_slates(dataset.events, texts, options)
    made = list(log_slates(dataset.events, texts, options.typed, options.history, options.seed))
    slates = pa.concat_tables([m.table for m in made]).combine_chunks()
    for name in expected.column_names:
        assert slates.column(name).to_pylist() == expected.column(name).to_pylist(), name
    assert sum(int((~m.found).sum()) for m in made) == missed


@pytest.mark.parametrize("seed", range(24))
def test_slates_of_random_logs_equal_the_slow_twins(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 3:  # small pieces, so that users and prefixes are cut in many places
        monkeypatch.setattr("data.pools.MOMENTS", [0, 7, 64][seed % 3])
        monkeypatch.setattr("data.pools.BLOCK", [0, 1, 3][seed % 3])
    if seed % 2:
        monkeypatch.setattr("data.pools.POOL_SIZE", 4)
        monkeypatch.setattr("tests.data.slow_slates.POOL_SIZE", 4)
    typed, history = [None, 1, 2, 50][seed % 4], [100, 3, 1][seed // 4 % 3]
    options = ImportOptions(typed=typed, history=history, seed=seed, min_events=3, reading=KEPT)
    dataset = import_log(random_log(seed, tmp_path / "log.csv"), "user", "time", "query", options=options)
    assert_equal_slates(dataset, options)


def test_one_user_with_many_queries_of_one_letter(tmp_path: Path) -> None:
    """More own completions than a pool holds, so that counts that grow push others out of it."""
    draw = np.random.default_rng(0)
    rows = [f"u{u},{1_600_000_000 + e},a{draw.integers(300):03d}" for u in range(2) for e in range(900)]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "\n".join(rows) + "\n")
    options = ImportOptions(typed=1)
    dataset = import_log(tmp_path / "log.csv", "user", "time", "query", options=options)
    assert max(map(len, dataset.slates.column("pool").to_pylist())) > POOL_SIZE
    assert_equal_slates(dataset, options)


@pytest.mark.parametrize("typed", [None, 1])
def test_slates_of_the_shell_log_equal_the_slow_twins(shell_csv: Path, typed: int | None) -> None:
    options = ImportOptions(typed=typed, reading=KEPT)
    dataset = import_log(shell_csv, "user", "timestamp", "query", options=options)
    assert_equal_slates(dataset, options)


def test_a_held_out_event_at_the_time_of_a_training_event_does_not_count_it(tmp_path: Path) -> None:
    """Of ten events the sixth trains and the seventh validates; here they share their time."""
    times = [0, 1, 2, 3, 4, 5, 5, 6, 7, 8]
    queries = ["ab", "ab", "ac", "ac", "ac", "ad", "ab", "ab", "ab", "ab"]
    rows = [f"u,{1_600_000_000 + t},{q}" for t, q in zip(times, queries, strict=True)]
    (tmp_path / "log.csv").write_text("user,time,query\n" + "\n".join(rows) + "\n")
    dataset = import_log(
        tmp_path / "log.csv", "user", "time", "query", options=ImportOptions(typed=1, reading=KEPT)
    )
    texts = dataset.queries.column("text").to_pylist()
    pools = [[texts[q] for q in pool] for pool in dataset.slates.column("pool").to_pylist()]
    assert pools[6] == ["ac", "ab"], "“ad” is searched at this very time"
    assert pools[7] == ["ac", "ab", "ad"]


def test_prefixes_and_their_completions() -> None:
    texts = ["a", "ab", "abc", "abd", "b", "ba"]
    count = np.array([1, 0, 2, 5, 3, 3])
    prefixes = Prefixes.of(texts, count, query=np.array([0, 2, 3, 5, 5]), typed=np.array([1, 2, 2, 1, 2]))

    def completions(moment: int) -> list[str]:
        p = prefixes.of_moment[moment]
        return [texts[q] for q in prefixes.known[prefixes.start[p] : prefixes.start[p + 1]]]

    assert completions(0) == ["abd", "abc", "a"]
    assert completions(1) == completions(2) == ["abd", "abc"]
    assert completions(3) == ["b", "ba"], "equally popular ones by text"
    assert completions(4) == ["ba"]
    assert prefixes.of_moment[1] == prefixes.of_moment[2]
    p = prefixes.of_moment[1]
    assert (prefixes.low[p], prefixes.high[p]) == (1, 4)


# strict time


def strict_pool(events: list[dict], texts: list[str], at: int, prefix: str, history: int) -> list[str]:
    """The pool of event ``at`` by its definition: only what anyone had done before."""
    now = events[at]
    before = [e for e in events if e["timestamp"] < now["timestamp"]]
    seen: dict[str, int] = {}
    for event in before:
        text = texts[event["query_id"]]
        if event["split"] == "train" and text.startswith(prefix):
            seen[text] = seen.get(text, 0) + 1
    popular = sorted(seen, key=lambda text: (-seen[text], text))[:POOL_SIZE]
    own = [texts[e["query_id"]] for e in before if e["user_id"] == now["user_id"]][-history:]
    own = [text for text in reversed(own) if text.startswith(prefix)]
    return popular + [text for text in dict.fromkeys(own) if text not in popular]


@pytest.mark.parametrize("seed", range(8))
def test_strict_pools_hold_only_what_anyone_had_done_before(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        for module in ("data.strict_pools", "tests.data.test_pools"):
            monkeypatch.setattr(f"{module}.POOL_SIZE", 3)
    options = ImportOptions(typed=1 + seed % 3, history=5, min_events=3, strict_time=True, reading=KEPT)
    dataset = import_log(random_log(seed, tmp_path / "log.csv"), "user", "time", "query", options=options)
    assert dataset.manifest["options"]["strict_time"] is True
    texts, events = dataset.queries.column("text").to_pylist(), dataset.events.to_pylist()
    for slate in dataset.slates.to_pylist():
        pool = [texts[q] for q in slate["pool"]]
        assert pool == strict_pool(events, texts, slate["event_id"], slate["prefix"], 5)


def test_what_others_do_later_changes_strict_pools_of_nobody(tmp_path: Path) -> None:
    path = random_log(3, tmp_path / "log.csv")
    options = ImportOptions(typed=1, min_events=3, strict_time=True, reading=KEPT)
    dataset = import_log(path, "user", "time", "query", options=options)
    plain = import_log(path, "user", "time", "query", options=replace(options, strict_time=False))
    time = column(dataset.events, "timestamp")
    early = time <= np.quantile(time, 0.03)
    trained = in_split(dataset.events, "train")
    assert (trained & ~early).sum() > 10
    pools, others = (d.slates.column("pool").to_pylist() for d in (dataset, plain))
    seen = set(column(dataset.events, "query_id")[early].tolist())
    first = np.flatnonzero(early)
    assert all(set(pools[e]) <= seen for e in first)
    assert not all(set(others[e]) <= seen for e in first), "unless it is strict, others' later searches count"
