"""The suggestion service: the same answer as evaluation gives, and sense in the face of nonsense."""

import numpy as np
import pytest
import torch

from app.suggestions.suggester import Suggester
from data.schema import Dataset, column, in_split, ragged
from ranking.features import feature_names
from ranking.history import Events, Past, PublicStatistics
from ranking.models import NeuralModel
from ranking.rankers.mlp import MLP
from ranking.slates import Slates

NONSENSE = [
    "",
    " ",
    "\x00",
    "a" * 10_000,
    "שלום עולם",
    "🔎🔎",
    "<script>alert(1)</script>",
    ":red[x] **y** $z$",
    "%s%n",
]


@pytest.fixture(scope="module")
def model(tiny_public: PublicStatistics) -> NeuralModel:
    """Random, but different, models for everyone and for each of the 20 users."""
    network = MLP((8,)).network(len(feature_names(tiny_public)), [])
    draw = torch.Generator().manual_seed(0)
    parts = [network.layout.initial(draw) for _ in range(21)]
    return NeuralModel(network, parts[0], torch.stack(parts[1:]))


@pytest.fixture(scope="module")
def suggester(tiny_dataset: Dataset, tiny_public: PublicStatistics, model: NeuralModel) -> Suggester:
    return Suggester(tiny_dataset, tiny_public, model, model)


@pytest.mark.parametrize("typed", NONSENSE)
def test_nonsense_gets_at_most_k_suggestions(suggester: Suggester, typed: str) -> None:
    answer = suggester.suggest(0, suggester.history(0), typed, k=7)
    assert len(answer.personal) == len(answer.everyone) <= 7
    assert all(s.text.startswith(answer.prefix) for s in answer.personal)


def test_lists_are_k_distinct_completions_in_order_of_their_scores(suggester: Suggester) -> None:
    for prefix in ("h", "ho", "how ", "best "):
        answer = suggester.suggest(3, suggester.history(3), prefix, k=10)
        assert answer.prefix == prefix
        for shown in (answer.personal, answer.everyone):
            assert len({s.text for s in shown}) == len(shown) == 10
            assert all(s.text.startswith(prefix) for s in shown)
            scores = [s.score for s in shown]
            assert scores == sorted(scores, reverse=True)


def test_each_user_is_ranked_by_the_own_model(suggester: Suggester, model: NeuralModel) -> None:
    before = [s.text for s in suggester.suggest(3, suggester.history(3), "h").personal]
    assert model.personal is not None
    saved = model.personal[3].clone()
    try:
        model.personal[3] = -saved
        after = suggester.suggest(3, suggester.history(3), "h")
        assert [s.text for s in after.personal] != before
    finally:
        model.personal[3] = saved
    assert [s.text for s in suggester.suggest(3, suggester.history(3), "h").personal] == before


def test_features_are_those_of_evaluation(
    suggester: Suggester, tiny_dataset: Dataset, tiny_public: PublicStatistics, tiny_slates: Slates
) -> None:
    """Served at the moment of a held-out slate, a pool has that slate's features to the last bit."""
    offsets, pool = ragged(tiny_dataset.slates, "pool")
    session, user = (column(tiny_dataset.events, name) for name in ("session_id", "user_id"))
    held_out = in_split(tiny_dataset.events, "test")
    compared = 0
    for row, event in enumerate(column(tiny_dataset.slates, "event_id").tolist()):
        if held_out[event] and session[event - 1] == session[event]:
            first = int(np.searchsorted(user, user[event]))
            before = tiny_dataset.events.slice(first, event - first)
            history = Past(tiny_public, Events.of(before, tiny_public.group_names))
            candidates = pool[offsets[row] : offsets[row + 1]].copy()
            prefix = tiny_dataset.slates["prefix"][row].as_py()
            served = suggester._slate(int(user[event]), history, prefix, candidates)
            stored = tiny_slates.features[row, : len(candidates)]
            assert torch.equal(served.features[0], stored)
            compared += 1
    assert compared > 20


def test_unknown_user(suggester: Suggester) -> None:
    for user in (-1, 20, 10**9):
        with pytest.raises(IndexError, match="there is no user"):
            suggester.history(user)


def test_own_past_searches_are_offered_and_marked(suggester: Suggester) -> None:
    history = suggester.history(5)
    text = suggester.recent(history, 1)[0]
    answer = suggester.suggest(5, history, text, k=10)
    assert text in [s.text for s in answer.personal if s.own]
