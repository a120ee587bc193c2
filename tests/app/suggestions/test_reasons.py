"""Reasons for a suggestion: exact contributions that add up, and what features mean in words."""

import math
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
import torch

from app.suggestions.attribution import shapley
from app.suggestions.reasons import FAMILIES, LETTERS, NotSuggestedError, Reasons
from app.suggestions.suggester import Suggester
from app.suggestions.words import MOST
from data.schema import Dataset, column
from ranking.features import feature_names
from ranking.models import Model, NeuralModel, TreeModel
from ranking.public_statistics import PublicStatistics
from ranking.rankers.forest import Forest
from ranking.rankers.lightgbm import LightGBM
from ranking.rankers.mlp import MLP
from ranking.rankers.mlp_cnn import MLPCNN
from ranking.shared_forest import SharedForest
from ranking.slates import Slates, StoredSlates
from ranking.sources import Log

USER = 5
PREFIX = "how"
SHARED = SharedForest(
    root=np.array([0, 3], np.int32),
    feature=np.array([0, -1, -1, 2, -1, 5, -1, -1], np.int32),
    threshold=np.array([1.6, 0, 0, 0.7, 0, 0.1, 0, 0], np.float32),
    left=np.array([1, 0, 0, 4, 0, 6, 0, 0], np.int32),
    vote=np.array([0, 0.1, 0.9, 0, 0.2, 0, 0.4, 0.6]),
    cell=np.array([0, 0, 1, 0, 0, 0, 1, 1], np.int32),
    evidence=np.arange(160, dtype=np.float32).reshape(20, 2, 2, 2),
    price=np.ones(20),
)


def by_permutations(scores: Any, row: Any, base: Any, group: Any) -> list[float]:
    """The definition: the mean change of the score when a group changes, over all orders of the groups."""
    groups = int(group.max()) + 1
    found = np.zeros(groups)
    for order in permutations(range(groups)):
        now = base.astype(np.float32)
        for one in order:
            before = scores(now[None])[0]
            now = np.where(group == one, row, now).astype(np.float32)
            found[one] += scores(now[None])[0] - before
    return list(found / math.factorial(groups))


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_contributions_are_means_over_all_orders(groups: int) -> None:
    draw = np.random.default_rng(groups)
    row, base = draw.normal(size=(2, 9))
    row[8] = base[8]
    group = np.append(draw.permutation(np.arange(8) % groups), groups)  # the last group has no difference
    w, v = draw.normal(size=(9, 6)), draw.normal(size=6)

    def scores(rows: Any) -> Any:
        return np.maximum(rows.astype(float) @ w, 0) @ v

    found = shapley(scores, row, base, group)
    assert found == pytest.approx(by_permutations(scores, row, base, group), abs=1e-6)
    assert found[groups] == 0
    assert found.sum() == pytest.approx(float(scores(row[None])[0] - scores(base[None])[0]), abs=1e-6)


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="13 groups of inputs differ"):
        shapley(lambda rows: rows.sum(1), np.ones(13), np.zeros(13), np.arange(13))


@pytest.fixture(scope="module")
def log(tiny_dataset: Dataset, tiny_public: PublicStatistics) -> Log:
    return Log(tiny_dataset, tiny_public)


def network(log: Log, ranker: MLP | MLPCNN) -> NeuralModel:
    made = ranker.network(len(log.feature_names), log.texts or ())
    draw = torch.Generator().manual_seed(0)
    weights = [made.layout.initial(draw) for _ in range(len(log.users) + 1)]
    return NeuralModel(made, weights[0], torch.stack(weights[1:]))


@pytest.fixture(
    scope="module",
    params=["mlp", "mlp-cnn", "no common", "lightgbm", "forest", "own forests", "shared forest"],
)
def suggester(
    request: pytest.FixtureRequest,
    log: Log,
    tiny_slates: Slates,
) -> Suggester:
    def some() -> StoredSlates:
        return StoredSlates.of(tiny_slates[torch.arange(0, len(tiny_slates), 20)])

    mlp = network(log, MLP((8,)))
    models: dict[str, Any] = {
        "mlp": lambda: mlp,
        "mlp-cnn": lambda: network(log, MLPCNN((8,))),
        "no common": lambda: NeuralModel(mlp.network, None, mlp.personal),
        "lightgbm": lambda: TreeModel(LightGBM(n_estimators=5).fit(some(), "lambdarank", 0), ()),
        "forest": lambda: TreeModel(Forest(n_estimators=5).fit(some(), "bce", 0), ()),
        "shared forest": lambda: SHARED,
        "own forests": lambda: TreeModel(None, [Forest(n_estimators=5).fit(some(), "mse", 0)] * 20),
    }
    model: Model = models[request.param]()
    return Suggester(log, model)


def explained(suggester: Suggester, k: int) -> tuple[Any, list[Reasons]]:
    """All suggestions, and why every so many-th of them."""
    visit = suggester.visit(USER)
    visit = suggester.observe(visit, suggester.recent(visit, 2)[-1])
    answer = suggester.suggest(visit, PREFIX, 100)
    return answer, [suggester.explain(visit, PREFIX, one.text) for one in answer.personal[::k]]


def test_parts_add_up_to_what_sets_a_suggestion_apart(suggester: Suggester) -> None:
    """From the candidate with the median of everything; and the scores are those that it was shown with."""
    answer, found = explained(suggester, 9)
    moved = False
    for reasons in found:
        for name in reasons.scores:
            shown = {one.text: one.score for one in answer.lists[name]}
            assert reasons.scores[name] == pytest.approx(shown[reasons.text], abs=1e-5)
            parts = [getattr(part, name) for part in reasons.parts]
            moved |= any(parts)
            assert sum(parts) == pytest.approx(reasons.scores[name] - reasons.medians[name], abs=1e-5)
        if "everyone" not in reasons.scores:
            assert all(part.everyone is None for part in reasons.parts)
        assert [abs(part.personal) for part in reasons.parts] == sorted(
            (abs(part.personal) for part in reasons.parts), reverse=True
        )
        assert any(part.personal for part in reasons.parts) <= len(reasons.sentences) <= MOST
    assert moved


def test_contributions_are_those_of_single_scores(log: Log) -> None:
    """By hand, where a score is a sum: a weight times how far its feature is from the median."""
    made = MLP(()).network(len(log.feature_names), [])
    w = torch.randn(made.layout.size, generator=torch.Generator().manual_seed(3))
    suggester = Suggester(log, NeuralModel(made, w, w.expand(len(log.users), -1) * 2))
    visit = suggester.visit(USER)
    standing = suggester.candidates.standing(visit)
    pool = suggester.candidates.pool(standing, PREFIX)
    features = suggester.candidates.slate(USER, standing, PREFIX, pool).features[0].numpy()
    for at in (0, 7, len(pool) - 1):
        reasons = suggester.explain(visit, PREFIX, standing.others.texts[pool[at]])
        by_feature = w.numpy()[:-1] * (features[at] - np.median(features, axis=0))
        worth = dict(zip(log.feature_names, by_feature.tolist(), strict=True))
        for part in reasons.parts:
            assert part.everyone == pytest.approx(sum(worth[v.name] for v in part.values), abs=1e-4)
            assert part.personal == pytest.approx(2 * part.everyone, abs=1e-5)
            for value in part.values:
                number = log.feature_names.index(value.name)
                assert (value.value, value.median) == pytest.approx(
                    (features[at, number], np.median(features[:, number]))
                )


def test_every_feature_is_in_one_family(suggester: Suggester, log: Log) -> None:
    _, (reasons, *_) = explained(suggester, 60)
    named = [value.name for part in reasons.parts for value in part.values]
    assert sorted(named) == sorted(feature_names(log.public))
    assert {part.name for part in reasons.parts} - {LETTERS} <= set(FAMILIES)
    assert str(len(reasons.parts)) in reasons.method


def test_quantities_are_what_was_counted(log: Log, tiny_dataset: Dataset) -> None:
    suggester = Suggester(log, network(log, MLP((8,))))
    visit = suggester.visit(USER)
    texts = tiny_dataset.queries["text"].to_pylist()
    user, query = (column(tiny_dataset.events, name) for name in ("user_id", "query_id"))
    mine = query[user == USER].tolist()
    text = texts[mine[-4]]
    reasons = suggester.explain(visit, text[:2], text)
    values = {value.name: value for part in reasons.parts for value in part.values}
    meaning = {name: value.meaning.number for name, value in values.items()}
    latest = mine[-100:]
    assert meaning["own count"] == pytest.approx(latest.count(mine[-4]), rel=1e-4)
    assert meaning["own count of 10"] == pytest.approx(mine[-10:].count(mine[-4]), rel=1e-4)
    assert meaning["own recency"] == pytest.approx(mine[::-1].index(mine[-4]) + 1, rel=1e-4)
    assert meaning["length"] == pytest.approx(len(text), rel=1e-4)
    assert meaning["typed share"] == pytest.approx(2 / len(text), rel=1e-4)
    others = log.public.count[mine[-4]] - sum(
        q == mine[-4] for q in query[(user == USER) & (column_of(tiny_dataset, "split") == "train")].tolist()
    )
    assert meaning["popularity"] == pytest.approx(others, rel=1e-3)
    word = text.split(" ")[0]
    first = [texts[q].split(" ")[0] for q in latest]
    assert meaning["own first word"] == pytest.approx(first.count(word), rel=1e-4)
    steps = list(pairwise(latest))
    assert meaning["own follows previous"] == pytest.approx(steps.count((mine[-1], mine[-4])), abs=1e-3)
    topic = tiny_dataset.queries["topic"].to_pylist()
    assert meaning[f"topic {topic[mine[-4]]}"] == pytest.approx(1)
    share = [topic[q] for q in latest].count(topic[mine[-4]]) / len(latest)
    assert meaning["own topic share"] == pytest.approx(share, rel=1e-4)
    assert values["own count"].usual.number == 0


def column_of(dataset: Dataset, name: str) -> Any:
    return np.array(dataset.events.column(name).to_pylist())


def test_sentences_say_what_was_counted_and_which_way_it_moves(log: Log) -> None:
    """By a ranker that likes nothing but own counts, and by one that dislikes them."""
    made = MLP(()).network(len(log.feature_names), [])
    w = torch.zeros(made.layout.size)
    w[log.feature_names.index("own count")] = 1
    for sign, way in ((1, "up"), (-1, "down")):
        suggester = Suggester(log, NeuralModel(made, sign * w, None))
        visit = suggester.visit(USER)
        text = "how <b>*odd*</b>"
        for _ in range(3):
            visit = suggester.observe(visit, text)
        (sentence,) = suggester.explain(visit, PREFIX, text).sentences
        searches = min(len(suggester.candidates.standing(visit).past.events.query), 100)
        assert sentence == (
            f"You searched it 3 times among your last {searches} searches; nobody else has, "
            f"which moves it {way}."
        )
        other = next(s.text for s in suggester.suggest(visit, PREFIX, 100).personal if not s.own)
        assert not suggester.explain(visit, PREFIX, other).sentences  # as the median candidate


def follow_up(log: Log) -> tuple[str, str]:
    """Two texts that begin with an h, of which another user searched the second just after the first."""
    events = log.dataset.events
    user, query = (column(events, name).tolist() for name in ("user_id", "query_id"))
    texts, training = log.public.texts, column_of(log.dataset, "split") == "train"
    for at in range(1, len(user)):
        pair = texts[query[at - 1]], texts[query[at]]
        mine = user[at] in (USER, user[at - 1] + 1)
        if training[at] and not mine and all(text.startswith("h") for text in pair) and len(set(pair)) == 2:
            return pair
    raise AssertionError("nobody ever did")


def test_each_family_has_its_sentence(log: Log) -> None:
    """A ranker that likes one feature alone explains itself by that feature's family, without an error."""
    made = MLP(()).network(len(log.feature_names), [])
    telling = {
        "popularity": "searched it",
        "length": "characters",
        "own recency": "search",
        "own first word": "with “h",
        "equals previous": "searched last",
        "follows previous": "others ",
        "own follows previous": "you ",
        "own follows the one before": "Two searches after",
        "own first word follows first word": "searches that begin with “how”",
        "own topic share": "topic",
    }
    suggester = Suggester(log, network(log, MLP((8,))))
    visit = suggester.visit(USER)
    known = [s.text for s in suggester.suggest(visit, "h", 30).lists["popularity"]]
    again, then = follow_up(log)
    some, other, third = [text for text in known if text not in (again, then)][:3]
    for text in (again, some, third, "how to", other, third, again):
        visit = suggester.observe(visit, text)
    for name, words in telling.items():
        w = torch.zeros(made.layout.size)
        w[log.feature_names.index(name)] = 1
        suggester.model = NeuralModel(made, w, None)
        texts = (again, then, some, other)
        told = [s for text in texts for s in suggester.explain(visit, "h", text).sentences]
        assert told, name
        assert all(words in sentence for sentence in told), (name, told)
        assert all(sentence.endswith(("moves it up.", "moves it down.")) for sentence in told)


def test_without_a_past_words_are_found_too(log: Log) -> None:
    suggester = Suggester(log, network(log, MLP((8,))))
    visit = suggester.visit(USER)
    emptied = suggester.candidates.settled(replace(visit, forgotten=frozenset(suggester.recent(visit, 1000))))
    assert not suggester.recent(emptied)
    for one in suggester.suggest(emptied, PREFIX, 5).personal:
        assert not one.own
        assert suggester.explain(emptied, PREFIX, one.text).sentences


def test_what_is_no_candidate_is_not_explained(log: Log) -> None:
    suggester = Suggester(log, network(log, MLP((8,))))
    with pytest.raises(NotSuggestedError, match="'zzz' is not among the candidates for 'how'"):
        suggester.explain(suggester.visit(USER), PREFIX, "zzz")
    with pytest.raises(NotSuggestedError, match="nothing was typed"):
        suggester.explain(suggester.visit(USER), " ", "zzz")
