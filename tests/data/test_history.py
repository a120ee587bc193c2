"""Features see a user's strictly earlier events and nothing later; a slow twin recounts them from scratch."""

from collections import Counter
from dataclasses import replace
from math import log1p
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data.log_import import ImportOptions, Reading, import_log
from data.schema import Dataset, column, ragged
from ranking.building import build
from ranking.events import STEPS as STATISTICS
from ranking.features import feature_names, features
from ranking.history import HISTORY, Past, full_past
from ranking.moments import Moments
from ranking.public_statistics import PublicStatistics
from ranking.slates import Slates
from tests.data.slow_history import slow_build


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A log with groups, three events at a time, and one user with more events than a history holds."""
    draw = np.random.default_rng(0)
    rows = [
        {
            "user": f"u{user}",
            "time": 1_600_000_000 + 900 * (e // 3),
            "query": ["git push", "git pull", "git", "grep", "go on", "gcc"][draw.integers(6)],
            "group": ["red", "blue", None][draw.integers(3)],
        }
        for user, events in enumerate((190, 30, 30))
        for e in range(events)
    ]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return import_log(
        path, "user", "time", "query", "group", ImportOptions(typed=1, reading=Reading(keep_copies=True))
    )


def word(text: str) -> str:
    return text.split(" ")[0]


STEPS = (
    (1, lambda a, before, b, q: (a, b) == (before, q), (2, 5)),
    (2, lambda a, before, b, q: (a, b) == (before, q), (3, 8)),
    (1, lambda a, before, b, q: (word(a), b) == (word(before), q), (1.5, 8)),
    (1, lambda a, before, b, q: (word(a), word(b)) == (word(before), word(q)), (0.5, 1.5)),
)
"""How far back; whether a step from a to b is one from what came before to q; and the features' scales."""


def slow_features(dataset: Dataset, row: int) -> list[list[float]]:
    """The features of one slate from their definitions, counting everything anew for it."""
    texts = dataset.queries.column("text").to_pylist()
    topic_of = dataset.queries.column("topic").to_pylist()
    public_count = column(dataset.queries, "public_count").tolist()
    events = dataset.events.to_pylist()
    slate = dataset.slates.slice(row, 1).to_pylist()[0]
    now = events[slate["event_id"]]

    def mine(event: dict) -> bool:
        return event["user_id"] == now["user_id"]

    past = [e for e in events if mine(e) and e["timestamp"] < now["timestamp"]]
    others = [e for e in events if e["split"] == "train" and not mine(e)]
    recent = past[-HISTORY:]
    own = Counter(e["query_id"] for e in recent)
    previous = past[-1] if past else None
    topics = sorted({t for t in topic_of if t})
    result, counted = [], []
    for q in slate["pool"]:
        seen = public_count[q] + sum(e["query_id"] == q for e in others)
        in_group = sum(e["query_id"] == q and e["group"] == now["group"] is not None for e in others)
        lag = next((n for n, e in enumerate(reversed(recent), start=1) if e["query_id"] == q), None)
        token = texts[q].split(" ")[0]
        values = [
            (log1p(seen) - 2) / 1.5,
            log1p(in_group) / 1.5,
            (len(texts[q]) - 20) / 10,
            5 * len(slate["prefix"]) / len(texts[q]),
            3 * log1p(own[q]),
            5 / lag if lag else 0,
            *(5 * log1p(sum(e["query_id"] == q for e in recent[-n:])) for n in (3, 10, 30)),
            log1p(sum(texts[e["query_id"]].split(" ")[0] == token for e in recent)),
            5 * (previous is not None and previous["query_id"] == q),
        ]
        taken = []
        for back, alike, scales in STEPS:
            for events_of, scale in zip((others, recent), scales, strict=True):
                n = sum(
                    a["user_id"] == b["user_id"]
                    and alike(
                        texts[a["query_id"]], texts[past[-back]["query_id"]], texts[b["query_id"]], texts[q]
                    )
                    for a, b in zip(events_of, events_of[back:], strict=False)
                    if len(past) >= back
                )
                taken.append(n)
                values.append(scale * log1p(n))
        counted.append((seen, own[q], *taken[:2]))
        of_topic: list[float] = []
        if topics:
            same = sum(topic_of[e["query_id"]] == topic_of[q] for e in recent)
            session = previous is not None and previous["session_id"] == now["session_id"]
            of_topic = [
                4 * same / max(len(recent), 1),
                3 * (session and topic_of[previous["query_id"]] == topic_of[q]),
                *(3 * (topic_of[q] == topic) for topic in topics),
            ]
        result.append((values, of_topic))
    totals = [max(sum(counts), 1) for counts in zip(*counted, strict=True)]
    return [
        [*values, *(8 * count / total for count, total in zip(counts, totals, strict=True)), *of_topic]
        for (values, of_topic), counts in zip(result, counted, strict=True)
    ]


def stored(slates: Slates, row: int) -> np.ndarray:
    """The features of one slate's candidates, without the padding."""
    return slates.features[row][slates.mask[row]].numpy()


def test_features_equal_their_definitions(
    tiny_dataset: Dataset, tiny_slates: Slates, logged: Dataset
) -> None:
    """Also with groups, equal times, and a history longer than features look back on."""
    for row in np.random.default_rng(0).choice(len(tiny_slates), 30, replace=False).tolist():
        np.testing.assert_allclose(stored(tiny_slates, row), slow_features(tiny_dataset, row), atol=1e-5)
    slates = build(logged).all()
    chosen = np.random.default_rng(1).choice(len(slates), 40, replace=False).tolist()
    for row in [0, 1, 2, 189, *chosen]:
        np.testing.assert_allclose(stored(slates, row), slow_features(logged, row), atol=1e-5)


def assert_equal_bits(dataset: Dataset) -> None:
    slates = build(dataset).all()
    rows = 0
    for row, values, pool in slow_build(dataset):
        assert stored(slates, row).tobytes() == values.tobytes(), row
        assert slates.candidates[row][slates.mask[row]].tolist() == pool.tolist()
        rows += 1
    assert rows == len(slates)


@pytest.mark.parametrize("rows", [50, 2**18])
@pytest.mark.parametrize("name", ["tiny_dataset", "logged"])
def test_features_equal_their_slow_twin_to_the_bit(
    name: str, rows: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is computed together."""
    monkeypatch.setattr("ranking.building.ROWS", rows)
    assert_equal_bits(request.getfixturevalue(name))


@pytest.mark.parametrize("seed", range(6))
def test_features_of_random_logs_equal_their_slow_twin_to_the_bit(tmp_path: Path, seed: int) -> None:
    """Few or many queries, one or many users, times that many share, groups or none."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list("ab "), draw.integers(1, 6))).strip() or "a" for _ in range(40)]
    events = int(draw.integers(40, 300))
    frame = pd.DataFrame(
        {
            "user": draw.integers(0, draw.integers(1, 6), events),
            "time": 1_600_000_000 + draw.integers(0, 20, events) * draw.choice([1, 4000]),
            "query": [words[i] for i in draw.integers(0, draw.integers(2, 40), events)],
            "group": draw.choice(["red", "blue"], events) if seed % 2 else [None] * events,
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    options = ImportOptions(min_events=3, drop_missed=seed == 4)
    assert_equal_bits(import_log(tmp_path / "log.csv", "user", "time", "query", "group", options))


def test_features_of_the_shell_log_equal_their_slow_twin_to_the_bit(shell_csv: Path) -> None:
    dataset = import_log(shell_csv, "user", "timestamp", "query", "training")
    users = set(range(0, dataset.users.num_rows, 12))
    event = column(dataset.slates, "event_id")
    chosen = np.isin(column(dataset.events, "user_id")[event], list(users))
    fewer = dataset.slates.filter(chosen)
    number = dataset.slates.schema.get_field_index("slate_id")
    fewer = fewer.set_column(number, dataset.slates.schema.field(number), [np.arange(fewer.num_rows)])
    assert fewer.num_rows > 1000
    assert_equal_bits(replace(dataset, slates=fewer))


def test_order_and_names(tiny_dataset: Dataset, tiny_public: PublicStatistics, tiny_slates: Slates) -> None:
    names = feature_names(tiny_public)
    assert len(names) == len(set(names)) == tiny_slates.features.shape[-1]
    offsets, pool = ragged(tiny_dataset.slates, "pool")
    reference = tiny_dataset.slates.column("reference").to_pylist()
    for row in range(0, len(tiny_slates), 37):
        mask = tiny_slates.mask[row]
        candidates = tiny_slates.candidates[row][mask].tolist()
        assert candidates == pool[offsets[row] : offsets[row + 1]].tolist()
        places = [reference[row].index(c) + 1 if c in reference[row] else 0 for c in candidates]
        assert tiny_slates.position[row][mask].tolist() == places
        assert tiny_slates.wanted[row] == len(reference[row])


def without_the_future(dataset: Dataset, event: int) -> Dataset:
    """The dataset without what this event's user did at or after its time; splits stay as they are."""
    user, time = column(dataset.events, "user_id"), column(dataset.events, "timestamp")
    return replace(dataset, events=dataset.events.filter((user != user[event]) | (time < time[event])))


@pytest.mark.parametrize("name", ["tiny_dataset", "logged"])
def test_deleting_the_future_changes_no_bit(name: str, request: pytest.FixtureRequest) -> None:
    dataset: Dataset = request.getfixturevalue(name)
    slates = build(dataset).all()
    rows = np.random.default_rng(2).choice(len(slates), 30, replace=False).tolist()
    for row in [0, *rows]:
        slate = dataset.slates.slice(row, 1).to_pylist()[0]
        event = dataset.events.slice(slate["event_id"], 1).to_pylist()[0]
        cut = without_the_future(dataset, slate["event_id"])
        assert cut.events.num_rows < dataset.events.num_rows
        public = PublicStatistics(cut)
        past = full_past(cut, public, event["user_id"])
        group = public.group_names.index(event["group"]) if event["group"] in public.group_names else -1
        values = features(
            past, Moments.now(past, len(slate["prefix"]), np.array(slate["pool"]), event["session_id"], group)
        )
        assert values.tobytes() == stored(slates, row).tobytes()


def test_a_count_of_others_is_the_same_at_all_moments(tiny_dataset: Dataset, tiny_slates: Slates) -> None:
    """Were it one lower while an own search is still to come, trees would read the future from it."""
    popularity: dict[tuple[int, int], set[float]] = {}
    users = tiny_slates.user[:, None].expand(tiny_slates.mask.shape)[tiny_slates.mask].tolist()
    candidates = tiny_slates.candidates[tiny_slates.mask].tolist()
    values = tiny_slates.features[..., 0][tiny_slates.mask].tolist()
    for user, candidate, value in zip(users, candidates, values, strict=True):
        popularity.setdefault((user, candidate), set()).add(value)
    assert all(len(seen) == 1 for seen in popularity.values())
    assert len(values) - len(popularity) > 10_000, "many candidates are met more than once"


def test_events_of_the_same_time_are_not_seen(logged: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events share each time: at the last of them only the earlier times have happened."""
    seen: list[int] = []

    def looked(past: Past, moments: Moments) -> np.ndarray:
        seen.extend((moments.passed - moments.begin).tolist())
        return features(past, moments)

    monkeypatch.setattr("ranking.building.features", looked)
    build(logged)
    user = column(logged.events, "user_id")
    number = np.arange(len(user)) - np.searchsorted(user, user)  # of each event within its user
    assert seen == (number // 3 * 3).tolist()


def test_public_statistics_leave_out_validation_and_test(logged: Dataset) -> None:
    """Whatever is searched after the training period, the public counts are the same."""
    late = column(logged.events, "split") != "train"
    query = np.where(late, 0, column(logged.events, "query_id")).astype(np.int32)
    at = logged.events.schema.get_field_index("query_id")
    other = replace(logged, events=logged.events.set_column(at, logged.events.schema.field(at), [query]))
    a, b = PublicStatistics(logged), PublicStatistics(other)
    assert a.count.tolist() == b.count.tolist()
    assert a.count.sum() == (~late).sum()
    total = 0
    queries = np.arange(len(a.texts))
    now = np.full(len(queries), a.now)
    for which in (*range(len(a.group_names)), -1):
        group = np.full(len(queries), which)
        assert a.in_group(group, queries, now).tolist() == b.in_group(group, queries, now).tolist()
    for step in STATISTICS:
        then = a.part(step.then, queries)
        for q in a.part(step.given, queries):
            given = np.full(len(queries), q)
            counted = a.followed(step, given, then, now)
            assert counted.tolist() == b.followed(step, given, then, now).tolist()
            total += counted.sum()
    assert total > 0


@pytest.mark.parametrize("user", range(3))
def test_a_full_past_looks_back_on_the_last_hundred(logged: Dataset, user: int) -> None:
    query = column(logged.events, "query_id")[column(logged.events, "user_id") == user]
    past = full_past(logged, PublicStatistics(logged), user)
    assert past.events.query.tolist() == query.tolist()
    pool = np.arange(6)
    values = features(past, Moments.now(past, 1, pool, 0, -1))
    own = feature_names(past.public).index("own count")
    counted = np.bincount(query[-HISTORY:], minlength=6)
    assert values[:, own].tolist() == (3 * np.log1p(counted)).astype(np.float32).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_strict_features_are_those_of_a_log_that_ends_before(tmp_path: Path, seed: int) -> None:
    """With ``strict_time`` nothing counts that anybody did at the event's time or later."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "user": f"u{user}",
            "time": 1_600_000_000 + int(draw.integers(0, 60)) * 1000,
            "query": ["git push", "git pull", "git", "grep", "go on", "gcc"][draw.integers(6)],
            "group": ["red", "blue", None][draw.integers(3)],
        }
        for user in range(4)
        for _ in range(30)
    ]
    path = tmp_path / "log.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    options = ImportOptions(typed=1, strict_time=True, reading=Reading(keep_copies=True))
    dataset = import_log(path, "user", "time", "query", "group", options)
    plain = replace(dataset, manifest={})
    slates, loose = build(dataset).all(), build(plain).all()
    assert not torch.equal(slates.features, loose.features)
    time = column(dataset.events, "timestamp")
    for row in draw.choice(len(slates), 40, replace=False).tolist():
        slate = dataset.slates.slice(row, 1).to_pylist()[0]
        event = dataset.events.slice(slate["event_id"], 1).to_pylist()[0]
        cut = replace(plain, events=plain.events.filter(time < time[slate["event_id"]]))
        public = PublicStatistics(cut)
        past = full_past(cut, public, event["user_id"])
        group = public.group_names.index(event["group"]) if event["group"] in public.group_names else -1
        moment = Moments.now(past, 1, np.array(slate["pool"]), event["session_id"], group)
        assert features(past, moment).tobytes() == stored(slates, row).tobytes()
