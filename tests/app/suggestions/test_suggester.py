"""The suggestion service: the same answer as evaluation gives, and sense in the face of nonsense."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch

from app.suggestions.suggester import NEW, RANKINGS, Models, Suggester, Suggestion
from app.suggestions.visit import Standing
from data.schema import Dataset, column, in_split, ragged
from ranking.events import Events
from ranking.features import feature_names
from ranking.models import NeuralModel
from ranking.others import Others
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP
from ranking.slates import Slates
from ranking.sources import Log
from ranking.yardsticks import yardsticks

NONSENSE = [
    "",
    " ",
    "\x00",
    "\u200b ",
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
    return Suggester(Log(tiny_dataset, tiny_public), model)


@pytest.mark.parametrize("typed", NONSENSE)
def test_nonsense_gets_at_most_k_suggestions(suggester: Suggester, typed: str) -> None:
    visit = suggester.visit(0)
    answer = suggester.suggest(visit, typed, k=7)
    sizes = {len(shown) for shown in answer.lists.values()}
    assert max(sizes) <= 7
    assert len(sizes) == 1 or not answer.prefix
    assert all(s.text.startswith(answer.prefix) for s in answer.personal)
    after = suggester.observe(visit, typed, typed)
    assert len(after.accepted) == bool(answer.prefix)
    found = suggester.suggest(after, typed).personal
    assert [s.text for s in found if s.recent] == [one.text for one in after.accepted]


def test_lists_are_k_distinct_completions_in_order_of_their_scores(suggester: Suggester) -> None:
    for prefix in ("h", "ho", "how ", "best "):
        answer = suggester.suggest(suggester.visit(3), prefix, k=10)
        assert answer.prefix == prefix
        assert tuple(answer.lists) == RANKINGS
        assert answer.size > 10
        for shown in answer.lists.values():
            assert len({s.text for s in shown}) == len(shown) == 10
            assert all(s.text.startswith(prefix) for s in shown)
            scores = [s.score for s in shown]
            assert scores == sorted(scores, reverse=True)


def test_yardsticks_rank_as_in_evaluation(suggester: Suggester, tiny_public: PublicStatistics) -> None:
    visit = suggester.visit(3)
    standing = suggester.candidates.standing(visit)
    pool = suggester.candidates.pool(standing, "h")
    slates = suggester.candidates.slate(3, standing, "h", pool)
    answer = suggester.suggest(visit, "h", k=len(pool))
    for name in ("history", "popularity"):
        scores = yardsticks(tiny_public)[name](slates)[0].tolist()
        place = {tiny_public.texts[query]: score for query, score in zip(pool, scores, strict=True)}
        assert {s.text: s.score for s in answer.lists[name]} == place


def test_each_user_is_ranked_by_the_own_model(suggester: Suggester, model: NeuralModel) -> None:
    visit = suggester.visit(3)
    before = suggester.suggest(visit, "h")
    assert model.personal is not None
    saved = model.personal[3].clone()
    try:
        model.personal[3] = -saved
        after = suggester.suggest(visit, "h")
        assert [s.text for s in after.personal] != [s.text for s in before.personal]
        assert after.everyone == before.everyone
    finally:
        model.personal[3] = saved
    assert suggester.suggest(visit, "h") == before


def test_where_there_is_one_model_there_is_one_list_and_a_sentence_says_why(
    tiny_dataset: Dataset, tiny_public: PublicStatistics, model: NeuralModel, suggester: Suggester
) -> None:
    """Whether all users, nobody, or all but one have models of their own; and what is learned is one."""
    assert model.personal is not None
    log, keeping = Log(tiny_dataset, tiny_public), model.personal.clone()
    keeping[3] = cast("torch.Tensor", model.common)
    both = suggester.suggest(suggester.visit(3), "h")
    assert (both.models, tuple(both.lists)) == (Models(), RANKINGS)
    for one, why, shown in (
        (replace(model, common=None), "all users have models of their own, and share none", "personal"),
        (replace(model, personal=None), "nobody has a model of their own", "everyone"),
        (replace(model, personal=keeping), "This user has the model that all share", "everyone"),
    ):
        alone = Suggester(log, one)
        answer = alone.suggest(alone.visit(3), "h")
        assert tuple(answer.lists) == ("personal", "history", "popularity")
        assert [s.text for s in answer.personal] == [s.text for s in both.lists[shown]]
        assert answer.everyone == []
        assert (answer.models.own, answer.models.common) == (shown == "personal", shown == "everyone")
        assert why in answer.models.why
        assert set(alone.explain(alone.visit(3), "h", answer.personal[0].text).scores) == {"personal"}
        learned = replace(alone.visit(3), own=model.personal[3])
        assert alone.models(learned).differ == (shown == "everyone")
    assert alone.models(alone.visit(4)) == Models()


def test_features_and_pools_are_those_of_evaluation(
    suggester: Suggester, tiny_dataset: Dataset, tiny_public: PublicStatistics, tiny_slates: Slates
) -> None:
    """Served at the moment of a held-out slate, a pool has all that rankers read of it, to the last bit."""
    offsets, pool = ragged(tiny_dataset.slates, "pool")
    session, user = (column(tiny_dataset.events, name) for name in ("session_id", "user_id"))
    held_out = in_split(tiny_dataset.events, "test")
    compared = 0
    for row, event in enumerate(column(tiny_dataset.slates, "event_id").tolist()):
        if held_out[event] and session[event - 1] == session[event]:
            first = int(np.searchsorted(user, user[event]))
            before = Events.of(tiny_dataset.events.slice(first, event - first), tiny_public.group_names)
            standing = Standing.of(suggester.candidates, Others(tiny_public, before), before, [], [], [])
            candidates = pool[offsets[row] : offsets[row + 1]].tolist()
            prefix = tiny_dataset.slates["prefix"][row].as_py()
            served = suggester.candidates.slate(int(user[event]), standing, prefix, candidates)
            stored = tiny_slates.features[row, : len(candidates)]
            assert torch.equal(served.features[0], stored)
            assert torch.equal(served.candidates[0], tiny_slates.candidates[row, : len(candidates)])
            known = (tiny_slates.user[row], tiny_slates.typed[row])
            assert (served.user[0], served.typed[0]) == known, "which own models and mlp-cnn go by"
            compared += 1
    assert compared > 20


def test_unknown_user(suggester: Suggester) -> None:
    for user in (-1, 20, 10**9):
        with pytest.raises(IndexError, match="there is no user"):
            suggester.visit(user)


def test_own_past_searches_are_offered_and_marked(suggester: Suggester, tiny_dataset: Dataset) -> None:
    visit = suggester.visit(5)
    text = suggester.recent(visit, 1)[0]
    answer = suggester.suggest(visit, text, k=10)
    assert text in [s.text for s in answer.personal if s.own and not s.recent]
    mine = tiny_dataset.events.filter(column(tiny_dataset.events, "user_id") == 5)
    texts = tiny_dataset.queries["text"].to_pylist()
    latest_first = dict.fromkeys(texts[query] for query in reversed(mine["query_id"].to_pylist()))
    nothing = suggester.suggest(visit, "", k=1000)
    assert [s.text for s in nothing.personal] == suggester.recent(visit, 1000) == list(latest_first)
    assert nothing.size == len(latest_first)
    assert all(s.own and not s.recent for s in nothing.personal)
    assert not nothing.everyone


def test_moves_are_places_up_down_or_new() -> None:
    shown, against = ([Suggestion(text, 0.0, False) for text in texts] for texts in ("caxb", "abcd"))
    assert Suggester.moves(shown, against) == {"c": 2, "a": -1, "x": NEW, "b": -2}
    assert Suggester.moves([], against) == {}
