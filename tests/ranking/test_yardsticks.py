"""Yardsticks order as they say, and what they order alike is tied."""

import numpy as np
import pandas as pd
import pytest
import torch

from app.runs.evaluation import ground_of
from data.schema import Dataset, column
from ranking.history import HISTORY
from ranking.metrics import missed, slate_metrics
from ranking.public_statistics import PublicStatistics
from ranking.slates import Slates
from ranking.yardsticks import lexicographic, yardsticks


def counted(dataset: Dataset, row: int) -> list[tuple[int, int, int]]:
    """(own count, − events since the last own search, searches by others) of one slate's candidates."""
    slate = dataset.slates.slice(row, 1).to_pylist()[0]
    events = dataset.events.to_pandas()
    now = events.iloc[slate["event_id"]]
    mine = events.user_id == now.user_id
    past = events[mine & (events.timestamp < now.timestamp)].query_id.tolist()[-HISTORY:]
    others = events[~mine & (events.split == "train")].query_id.value_counts()
    before = column(dataset.queries, "public_count")
    return [
        (past.count(q), -past[::-1].index(q) if q in past else -HISTORY, int(before[q] + others.get(q, 0)))
        for q in slate["pool"]
    ]


def test_history_orders_by_own_count_then_recency_then_popularity(
    tiny_dataset: Dataset, tiny_public: PublicStatistics, tiny_slates: Slates
) -> None:
    scores = yardsticks(tiny_public)["history"](tiny_slates)
    by_popularity = 0
    for row in range(0, len(tiny_slates), 23):
        keys = counted(tiny_dataset, row)
        places = sorted(set(keys))
        expected = pd.Series([places.index(key) for key in keys]).rank(method="dense")
        ours = pd.Series(scores[row][tiny_slates.mask[row]].numpy()).rank(method="dense")
        assert ours.tolist() == expected.tolist(), row
        by_popularity += len({key[:2] for key in keys}) < len(set(keys))
    assert by_popularity > 10, "popularity decides among candidates that are new to the user"


def test_a_later_key_never_outweighs_an_earlier_one_and_ties_stay() -> None:
    keys = torch.tensor(
        [[[0, 9e9, 1], [1e-9, -9e9, 0], [0, 9e9, 1], [0, 9e9, 1 + 1e-6], [0, 0, 9e9]]], dtype=torch.float64
    )
    first, second, third, fourth, fifth = lexicographic(keys)[0].tolist()
    assert first == third
    assert second > fourth > first > fifth


@pytest.mark.parametrize("size", [0, 1, 7])
def test_equal_to_a_sort_of_tuples(size: int) -> None:
    draw = np.random.default_rng(size)
    keys = draw.integers(0, 3, (40, size, 4)).astype(np.float32)
    scores = lexicographic(torch.from_numpy(keys)).tolist()
    for slate, given in zip(scores, keys.tolist(), strict=True):
        order = sorted(range(size), key=lambda place: slate[place])
        assert [given[place] for place in order] == sorted(given)
        for one in range(size):
            assert [score == slate[one] for score in slate] == [key == given[one] for key in given]


def test_every_evaluation_has_them(tiny_dataset: Dataset, tiny_public: PublicStatistics) -> None:
    """In this order, and what others search cannot be what a user's own past is judged by."""
    ground = ground_of(tiny_dataset, "test")
    assert list(ground.baselines) == ["random", "popularity", "history", "oracle"]
    slates = ground.slates.all()
    for name, scores in yardsticks(tiny_public).items():
        shown = ground.baselines[name]
        assert shown is not None
        for metric, values in slate_metrics(scores(slates), slates).items():
            assert torch.equal(shown[metric], values), (name, metric)
    history, popularity = ground.baselines["history"], ground.baselines["popularity"]
    assert history is not None
    assert popularity is not None
    assert not torch.equal(history["nmrr"], popularity["nmrr"])


def test_a_user_without_a_past_is_ranked_by_popularity(
    tiny_public: PublicStatistics, tiny_slates: Slates
) -> None:
    first = torch.tensor([int((tiny_slates.user == u).nonzero()[0]) for u in tiny_slates.user.unique()])
    slates = tiny_slates[first]
    assert not missed(slates).all()
    by = {name: slate_metrics(scores(slates), slates) for name, scores in yardsticks(tiny_public).items()}
    assert torch.equal(by["history"]["nmrr"], by["popularity"]["nmrr"])
