"""What every row of ALGORITHMS inherits; a new row is tested by standing in the table."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients
from federated.events import Evaluated, Finished, Merged
from federated.objectives import MAML
from federated.schedules.gossip import Gossip
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import learned
from federated.training import train
from ranking.metrics import slate_metrics
from ranking.scoring import network_scores

UPDATES = 64
rows = pytest.mark.parametrize("row", ALGORITHMS.values(), ids=ALGORITHMS)


def run(
    task: RankingTask, row: Row, seed: int = 0, updates: int = UPDATES, evaluations: int = 2
) -> list[object]:
    return list(train(learned(task, row.policy), row, seed, updates, evaluations))


def finished(events: list[object]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def unchosen(row: Row) -> Row:
    """The same with own models as they usually are: validation chooses nothing."""
    strength = row.objective.strength
    if not strength.candidates:
        return row
    fixed: Any = {strength.name: strength.usual}
    return replace(row, objective=replace(row.objective, **fixed))  # type: ignore[type-var]


def same(a: Finished, b: Finished) -> bool:
    return all(
        (x is None and y is None) or (x is not None and y is not None and torch.equal(x, y))
        for x, y in ((a.common, b.common), (a.personal, b.personal))
    )


def apart(row: Row) -> bool:
    """Whether users agree on something, but nobody holds a model for all."""
    return isinstance(row.schedule, Gossip)


@rows
def test_merges_count_and_staleness_and_flight_are_in_bounds(row: Row, board: RankingTask) -> None:
    merges = [event for event in run(board, unchosen(row)) if isinstance(event, Merged)]
    assert [m.version for m in merges] == list(range(1, len(merges) + 1)), "none is refused"
    assert merges[-1].updates == sum(len(m.users) for m in merges) >= UPDATES
    limit = getattr(row.schedule, "concurrency", None) or getattr(row.schedule, "cohort", 8)
    for merge in merges:
        assert len(merge.users) == len(merge.staleness)
        assert all(0 <= s < merge.version for s in merge.staleness)
        assert merge.in_flight <= min(limit, 8)
    assert all(a.time <= b.time for a, b in pairwise(merges))
    if not row.schedule.pools:
        assert {user for m in merges for user in m.users} == set(range(8)), "every user takes part"


@rows
def test_data_and_start_are_left_alone(row: Row, board: RankingTask) -> None:
    features, start = board.train.features.clone(), board.initial(0)
    run(board, row)
    assert torch.equal(board.train.features, features)
    assert torch.equal(board.initial(0), start)
    clients = Clients(learned(board, row.policy), row.objective, row.local, 0)
    w = start.expand(3, -1).clone()
    clients.deltas([0, 1, 2], [0, 0, 0], w)
    clients.personalise(start)
    assert torch.equal(w, start.expand(3, -1))


@rows
def test_no_steps_change_nothing(row: Row, board: RankingTask) -> None:
    row = unchosen(row)
    idle = replace(row, local=replace(row.local, local_steps=0))
    end = finished(run(board, idle))
    start = board.initial(0)
    if end.common is not None:
        assert torch.equal(end.common, start)
    else:
        assert end.personal is not None
        own = Clients(learned(board, row.policy), row.objective, row.local, 0).personalise(start)
        # Averages of equal numbers are equal but for rounding.
        torch.testing.assert_close(end.personal, own, rtol=0, atol=1e-5 if apart(row) else 0)


@rows
def test_evaluation_changes_nothing(row: Row, board: RankingTask) -> None:
    every, never = run(board, row, evaluations=UPDATES), run(board, row, evaluations=0)
    assert any(isinstance(event, Evaluated) for event in every)
    assert not any(isinstance(event, Evaluated) for event in never)
    assert same(finished(every), finished(never))


@rows
def test_same_seed_same_model_and_ten_seeds_ten_models(row: Row, board: RankingTask) -> None:
    assert same(finished(run(board, row, 1)), finished(run(board, row, 1)))
    row = unchosen(row)
    ends = [finished(run(board, row, seed, 16, 0)) for seed in range(10)]
    models = [end.common if end.common is not None else end.personal for end in ends]
    for place, model in enumerate(models):
        assert model is not None
        assert not any(torch.equal(model, other) for other in models[:place] if other is not None)


@rows
def test_stopping_early_gives_the_model_of_that_moment(row: Row, board: RankingTask) -> None:
    asked = iter([False] * 3 + [True] * 1000)
    row = unchosen(row)
    task = learned(board, row.policy)
    stopped = list(train(task, row, 0, 800, 0, stop=lambda: next(asked)))
    merges = [event for event in stopped if isinstance(event, Merged)]
    assert len(merges) == 3
    assert same(finished(stopped), finished(run(board, row, 0, merges[-1].updates, 0)))


@rows
def test_checkerboard(row: Row, board: RankingTask) -> None:
    """Two groups want the opposite: one model for all scores chance, a personal one nearly everything."""
    if isinstance(row.objective, MAML):
        row = replace(row, objective=replace(row.objective, alpha=0.1))
    end = finished(run(board, row, updates=400, evaluations=0))
    assert not row.objective.personal or end.adapted is not None, "somebody is better off with their own"
    slates = board.train
    chance = float(slate_metrics(torch.zeros(slates.mask.shape), slates)["nmrr"].mean())
    agreed = end.personal.mean(0) if end.personal is not None and apart(row) else None
    own = end.personal if row.objective.personal or not apart(row) else None
    for w, personal in ((end.common, False), (agreed, False), (own, True)):
        if w is not None:
            nmrr = float(slate_metrics(network_scores(board.network, w, slates), slates)["nmrr"].mean())
            assert nmrr > 0.9 if personal else abs(nmrr - chance) < 0.05
    if end.personal is not None:
        assert end.personal.shape == (8, board.network.layout.size)
        assert not torch.equal(end.personal[0], end.personal[1]), "opposite tastes, different models"
        if end.common is not None:
            assert end.personal.untyped_storage().data_ptr() != end.common.untyped_storage().data_ptr()
            before = end.common.clone()
            end.personal.zero_()
            assert torch.equal(end.common, before), "the personal model shares memory with the global one"


@rows
def test_a_diverging_run_says_what_to_do(row: Row, board: RankingTask) -> None:
    wild = replace(row, local=replace(row.local, lr=1e30))
    with pytest.raises(FloatingPointError, match="smaller lr"):
        run(board, wild)


@rows
def test_what_a_model_is_judged_on_teaches_it_nothing(row: Row, board: RankingTask) -> None:
    """Other validation slates give other figures, and the same models to the last bit."""
    turned = replace(board.validation, features=-board.validation.features)
    other = replace(board, validation=turned)
    row = unchosen(row)
    ours, theirs = run(board, row), run(other, row)
    assert same(finished(ours), finished(theirs))
    assert [e for e in ours if isinstance(e, Evaluated)] != [e for e in theirs if isinstance(e, Evaluated)]


CHOOSING = {name: row for name, row in ALGORITHMS.items() if row.objective.strength.candidates}


@pytest.mark.parametrize("row", CHOOSING.values(), ids=CHOOSING)
def test_only_how_far_own_models_go_is_chosen_by_what_they_are_judged_on(
    row: Row, board: RankingTask
) -> None:
    """What they are made from, and all of them given that strength, are the same whatever is judged."""
    turned = replace(board.validation, features=-board.validation.features)
    clients = Clients(learned(board, row.policy), row.objective, row.local, 0)
    ends = [finished(run(task, row)) for task in (board, replace(board, validation=turned))]
    assert torch.equal(ends[0].learned, ends[1].learned)
    for end in ends:
        assert end.choice is not None
        assert end.choice.strength in row.objective.strength.candidates
        own = clients.personalise(end.learned, strength=end.choice.strength)
        assert torch.equal(end.learned.expand(8, -1) if end.adapted is None else end.adapted, own)
