"""The arithmetic of halving: who goes on, how far, what that costs, and which budget is enough."""

import itertools
import random

import pytest

from app.experiments.tuning.halving import FINAL, HALVINGS, Plan, affordable, most_halvings, planned


def slow_cost(updates: list[int], halvings: int) -> int:
    """Naive twin: candidates are trained, and those who need most are always the better ones."""
    trained = [0] * len(updates)
    running = sorted(range(1, len(updates)), key=lambda candidate: -updates[candidate])
    for rung in range(halvings + 1):
        for candidate in [0, *running]:
            target = updates[candidate]
            for _ in range(halvings - rung):
                target = target / 2
            trained[candidate] = int(target) + (target > int(target))
        best = len(updates) - 1
        for _ in range(rung + 1):
            best = best / 2
        running = running[: int(best) + (best > int(best))]
    return sum(trained)


def test_a_case_by_hand() -> None:
    """The defaults and 6 others, 80 updates: 7 to 20, then 4 to 40, then 3 to the end."""
    plan = Plan(2)
    assert [plan.target(80, rung) for rung in plan.rungs] == [20, 40, 80]
    assert [plan.places(6, rung) for rung in plan.rungs] == [6, 3, 2]
    assert plan.cost([80] * 7) == 7 * 20 + 4 * 20 + 3 * 40


@pytest.mark.parametrize("seed", range(50))
def test_costs_are_those_of_a_naive_race(seed: int) -> None:
    draw = random.Random(seed)
    updates = [draw.choice([1, 7, 100, 8000, 30_001]) for _ in range(draw.randrange(2, 40))]
    for halvings in range(6):
        assert Plan(halvings).cost(updates) == slow_cost(updates, halvings)


def test_the_last_rung_is_a_full_training_and_targets_rise() -> None:
    for halvings, updates in itertools.product(range(6), (1, 2, 3, 100, 8000)):
        plan = Plan(halvings)
        targets = [plan.target(updates, rung) for rung in plan.rungs]
        assert targets[-1] == updates
        assert targets == sorted(targets)
        assert targets[0] >= 1


def test_halving_ends_with_the_last_few() -> None:
    assert [most_halvings(n) for n in (1, 2, 3, 4, 5, 8, 9, 64)] == [0, 0, 1, 1, 2, 2, 3, 5]
    for challengers in range(1, 200):
        halvings = most_halvings(challengers)
        assert 1 <= Plan(halvings).places(challengers, halvings) <= FINAL


def test_without_a_budget_the_first_rung_is_no_shorter_than_an_eighth() -> None:
    for candidates in range(2, 200):
        plan, cost = planned([800] * candidates)
        assert plan == Plan(min(most_halvings(candidates - 1), HALVINGS))
        assert cost == plan.cost([800] * candidates)


@pytest.mark.parametrize("candidates", [2, 3, 4, 7, 24, 100])
def test_a_budget_buys_the_fewest_rungs_and_what_would_be_enough_is(candidates: int) -> None:
    updates = [8000] * candidates
    everything = 8000 * candidates
    assert planned(updates, everything) == (Plan(0), everything)
    none, enough = planned(updates, 1)
    assert none is None
    assert planned(updates, enough)[0] is not None
    assert planned(updates, enough - 1) == (None, enough)
    for budget in range(enough, everything, everything // 50):
        plan, cost = planned(updates, budget)
        assert cost == plan.cost(updates) <= budget
        assert all(Plan(fewer).cost(updates) > budget for fewer in range(plan.halvings))


def test_trees_alone_need_no_rungs_and_no_budget() -> None:
    assert planned([0, 0, 0, 0, 0, 0]) == (Plan(0), 0)
    assert planned([0, 0, 0, 0, 0, 0], 1) == (Plan(0), 0)


def test_a_budget_is_enough_for_so_many_and_no_more() -> None:
    assert affordable(100, 199, 63) == 0
    assert affordable(100, 200, 63) == 1
    assert affordable(100, 10**9, 63) == 63
    for budget in range(200, 2000, 50):
        number = affordable(100, budget, 63)
        assert planned([100] * (number + 1))[1] <= budget
        assert all(planned([100] * (n + 1))[1] > budget for n in range(number + 1, 64))
