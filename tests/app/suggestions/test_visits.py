"""What a visit adds and deletes counts as if the dataset had been so, for this visit and for no other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from app.suggestions.suggester import Suggester
from app.suggestions.visit import Accepted, Visit
from data.completions import Completions
from data.schema import Dataset, column
from ranking.features import feature_names, features
from ranking.history import full_past
from ranking.models import NeuralModel
from ranking.moments import Moments
from ranking.public_statistics import PublicStatistics
from ranking.rankers.mlp import MLP
from ranking.rankers.mlp_cnn import MLPCNN
from ranking.sources import Log

USER = 5
NEVER = "how on earth, nobody asked"


def serving(dataset: Dataset, ranker: MLP | MLPCNN | None = None) -> Suggester:
    """A service with random models, different for each user."""
    public = PublicStatistics(dataset)
    network = (ranker or MLP((8,))).network(len(feature_names(public)), public.texts)
    draw = torch.Generator().manual_seed(0)
    parts = [network.layout.initial(draw) for _ in range(dataset.users.num_rows + 1)]
    model = NeuralModel(network, parts[0], torch.stack(parts[1:]))
    return Suggester(Log(dataset, public), model)


@pytest.fixture(scope="module", params=["plain", "strict, in groups", "told together"])
def dataset(request: pytest.FixtureRequest, tiny_dataset: Dataset) -> Dataset:
    if request.param == "plain":
        return tiny_dataset
    events = tiny_dataset.events
    group = pa.array([f"group {user % 3}" for user in column(events, "user_id").tolist()])
    events = events.set_column(events.column_names.index("group"), events.schema.field("group"), group)
    strict = {"strict_time": True}
    together = {"public_counts": {"users": 2, "things": 20, "times": 2}}
    options = together if request.param == "told together" else strict
    return replace(tiny_dataset, events=events, manifest={"options": options})


@pytest.fixture(scope="module")
def suggester(dataset: Dataset) -> Suggester:
    return serving(dataset)


def served(suggester: Suggester, visit: Visit, prefix: str, pool: list[int]) -> Any:
    """The features of some candidates in a visit."""
    return (
        suggester.candidates.slate(USER, suggester.candidates.standing(visit), prefix, pool)
        .features[0]
        .numpy()
    )


def expected(dataset: Dataset, prefix: str, pool: list[int]) -> Any:
    """The features of the moment after all that a dataset holds, the way that knows of no visits."""
    past = full_past(dataset, PublicStatistics(dataset), USER)
    session, group = (int(values[-1]) for values in (past.events.session, past.events.group))
    return features(past, Moments.now(past, len(prefix), np.array(pool, np.int64), session, group))


def with_event(dataset: Dataset, text: str) -> Dataset:
    """The dataset if the user had done one more search at the end, in the same session."""
    queries, events = dataset.queries, dataset.events
    texts = queries["text"].to_pylist()
    if text not in texts:
        row = {"query_id": len(texts), "text": text, "topic": None, "public_count": 0}
        queries = pa.concat_tables([queries, pa.Table.from_pylist([row], schema=queries.schema)])
        texts.append(text)
    end = int(np.searchsorted(column(events, "user_id"), USER, side="right"))
    row = events.slice(end - 1, 1).to_pylist()[0] | {"query_id": texts.index(text), "split": "test"}
    one = pa.Table.from_pylist([row], schema=events.schema)
    together = pa.concat_tables([events.slice(0, end), one, events.slice(end)])
    return replace(dataset, queries=queries, events=together)


def counts(suggester: Suggester, visit: Visit, text: str, name: str) -> float:
    """A feature of one candidate."""
    standing = suggester.candidates.standing(visit)
    number = standing.others.texts.index(text)
    return float(served(suggester, visit, text[:2], [number])[0, feature_names(standing.others).index(name)])


@pytest.mark.parametrize("times", [1, 3])
def test_an_accepted_search_is_an_event_of_the_users_past(
    suggester: Suggester, dataset: Dataset, times: int
) -> None:
    other = dataset.queries["text"].to_pylist()[17]
    changed, visit = dataset, suggester.visit(USER)
    pool = suggester.candidates.pool(suggester.candidates.standing(visit), "h")
    before = served(suggester, visit, "h", pool)
    for text in [suggester.recent(visit, 3)[-1], other, NEVER][:times]:
        changed, visit = with_event(changed, text), suggester.observe(visit, text, text[:1])
    pool += [17] + ([len(dataset.queries)] if times == 3 else [])
    after = served(suggester, visit, "h", pool)
    assert np.array_equal(after, expected(changed, "h", pool))
    assert not np.array_equal(after[: len(before)], before)


def test_own_counts_recency_and_steps_go_up(suggester: Suggester) -> None:
    visit = suggester.visit(USER)
    text = suggester.recent(visit, 4)[-1]
    once = suggester.observe(visit, text)
    for name in ("own count", "own recency"):
        assert counts(suggester, once, text, name) > counts(suggester, visit, text, name)
    assert counts(suggester, once, text, "own recency") == 5
    there = suggester.observe(suggester.observe(once, NEVER), text)
    assert counts(suggester, there, NEVER, "own follows previous") == np.float32(5 * np.log(2))


def test_deleted_searches_are_as_if_they_had_never_been(suggester: Suggester, dataset: Dataset) -> None:
    visit = suggester.visit(USER)
    texts = dataset.queries["text"].to_pylist()
    mine = column(dataset.events, "user_id") == USER
    query = column(dataset.events, "query_id")
    for text in suggester.recent(visit, 12):
        gone = mine & (query == texts.index(text))
        changed = replace(dataset, events=dataset.events.filter(pa.array(~gone)))
        after = suggester.forget(visit, text)
        public = PublicStatistics(changed)
        own = reversed(full_past(changed, public, USER).events.query[-100:].tolist())
        pool = suggester.candidates.pool(suggester.candidates.standing(after), text[:2])
        completing = [number for number in own if texts[number].startswith(text[:2])]
        assert pool == Completions(public.texts, public.count).pool(text[:2], completing)
        assert np.array_equal(served(suggester, after, text[:2], pool), expected(changed, text[:2], pool))
        assert text not in suggester.recent(after, 1000)
        assert not any(s.own for s in suggester.suggest(after, text, 100).personal if s.text == text)


def test_what_only_they_had_searched_is_gone_when_it_is_deleted(dataset: Dataset) -> None:
    """Though the public counts hold it: nobody else has searched it."""
    events = dataset.events
    query = column(events, "query_id").copy()
    first = int(np.searchsorted(column(events, "user_id"), USER))
    query[first] = dataset.queries.num_rows
    row = {"query_id": dataset.queries.num_rows, "text": NEVER, "topic": None, "public_count": 0}
    queries = pa.concat_tables([dataset.queries, pa.Table.from_pylist([row], schema=dataset.queries.schema)])
    number = events.schema.get_field_index("query_id")
    suggester = serving(
        replace(dataset, queries=queries, events=events.set_column(number, "query_id", pa.array(query)))
    )
    visit = suggester.visit(USER)
    assert [s.text for s in suggester.suggest(visit, NEVER[:9]).personal] == [NEVER]
    assert not suggester.suggest(suggester.forget(visit, NEVER), NEVER[:9]).personal


def test_own_candidates_are_of_the_latest_hundred_searches(suggester: Suggester) -> None:
    """As in the pools of an imported log; what is shown before anything is typed goes back further."""
    texts = [f"zzz {number}" for number in range(120)]
    visit = Visit(USER, tuple(Accepted(text, "") for text in texts))
    found = suggester.suggest(visit, "zzz", 1000)
    assert {one.text for one in found.lists["history"]} == set(texts[20:])
    assert suggester.recent(visit, 120) == texts[::-1]


def test_a_deleted_search_counts_again_when_it_is_done_again(suggester: Suggester) -> None:
    visit = suggester.observe(suggester.visit(USER), NEVER)
    gone = suggester.forget(visit, NEVER)
    assert not gone.accepted
    assert not suggester.suggest(gone, NEVER).personal
    again = suggester.observe(gone, NEVER)
    assert [s.text for s in suggester.suggest(again, NEVER).personal if s.own and s.recent] == [NEVER]


@pytest.mark.parametrize("ranker", [MLP((8,)), MLPCNN((8,))], ids=["mlp", "mlp-cnn"])
def test_a_new_text_is_scored_as_any_other(tiny_dataset: Dataset, ranker: MLP | MLPCNN) -> None:
    """As by a service for which the text is one of the dataset's."""
    first, second = serving(tiny_dataset, ranker), serving(with_event(tiny_dataset, NEVER), ranker)
    ours = first.suggest(first.observe(first.visit(USER), NEVER), "how", k=100)
    theirs = second.suggest(second.visit(USER), "how", k=100)
    assert [s.text for s in ours.personal] == [s.text for s in theirs.personal]
    assert NEVER in [s.text for s in ours.everyone]
    for name, shown in ours.lists.items():
        assert [s.score for s in shown] == pytest.approx([s.score for s in theirs.lists[name]], abs=1e-6)


def test_nobody_sees_anothers_visit(suggester: Suggester) -> None:
    """Threads in parallel get what each gets alone, and the service gives newcomers what it gave before."""
    untouched = suggester.suggest(suggester.visit(USER), "h", 100)
    user = [USER, USER, USER + 1, USER]

    def alone(number: int) -> list[Any]:
        visit, seen = suggester.visit(user[number]), []
        for step in range(6):
            visit = suggester.observe(visit, f"how {number} {step}", "h")
            if step % 3 == number % 3:
                visit = suggester.forget(visit, suggester.recent(visit, 3)[-1])
            seen.append(suggester.suggest(visit, "h", 100).lists)
        return seen

    one_by_one = [alone(number) for number in range(len(user))]
    with ThreadPoolExecutor(len(user)) as pool:
        assert list(pool.map(alone, range(len(user)))) == one_by_one
    for number, seen in enumerate(one_by_one):
        texts = {s.text for lists in seen for s in lists["personal"] if s.recent}
        assert texts
        assert all(text.startswith(f"how {number} ") for text in texts)
    assert suggester.suggest(suggester.visit(USER), "h", 100) == untouched


def test_a_visit_of_another_service_is_worked_out_anew(suggester: Suggester, tiny_dataset: Dataset) -> None:
    visit = serving(tiny_dataset).observe(suggester.visit(USER), NEVER)
    assert suggester.candidates.standing(visit) is not visit.standing
    assert suggester.suggest(visit, NEVER) == suggester.suggest(replace(visit, standing=None), NEVER)
