"""Turns, delays, staleness: who computes when, without anything being learned."""

from itertools import islice

import numpy as np
import pytest
import torch

from federated.clients import Clients, LocalSGD
from federated.objectives import Vanilla
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.clock import exponential_delays, turns
from federated.schedules.cohort import Cohort
from federated.tasks.quadratics import Quadratics


def idle(users: int, seed: int = 0) -> Clients:
    """Clients that do nothing: only the schedule is at work."""
    task = Quadratics(torch.eye(1).expand(users, 1, 1), torch.zeros(users, 1), torch.zeros(users, 1, 1))
    return Clients(task, Vanilla(), LocalSGD(local_steps=0), seed)


def merges(schedule: Arrivals | Cohort, users: int, updates: int, seed: int = 0) -> list[Merge]:
    return list(schedule.run(idle(users, seed), torch.zeros(1), updates))


def test_turns_are_permutations_and_count() -> None:
    seen = list(islice(turns(7, seed=3), 21))
    for at in range(3):
        part = seen[7 * at : 7 * at + 7]
        assert sorted(user for user, _ in part) == list(range(7))
        assert {counter for _, counter in part} == {at}
    assert seen[:7] != [(u, 0) for u, _ in seen[7:14]], "every pass has its own order"
    assert seen != list(islice(turns(7, seed=4), 21))


def test_delays_depend_on_their_key_alone_and_have_their_means() -> None:
    delays = exponential_delays(seed=1, download=2.0, upload=0.5)
    assert delays(3, 4) == exponential_delays(1, 2.0, 0.5)(3, 4)
    assert delays(3, 4) != delays(4, 3)
    drawn = np.array([delays(user, counter) for user in range(50) for counter in range(60)])
    assert drawn.mean(0) == pytest.approx([2.0, 0.5], rel=0.08)
    assert drawn.std(0) == pytest.approx([2.0, 0.5], rel=0.12), "an exponential law"


@pytest.mark.parametrize("concurrency", [1, 5, 20])
def test_mean_staleness_is_concurrency_less_one(concurrency: int) -> None:
    """Measured elsewhere for many delay laws: n = 10, all active: 9.00 (algorithms.md §2)."""
    run = merges(Arrivals(concurrency=concurrency), users=50, updates=4000)
    late = np.array([m.staleness[0] for m in run])
    assert late.mean() == pytest.approx(concurrency - 1, rel=0.02, abs=1e-9)
    assert {m.in_flight for m in run} == {concurrency}


def test_nobody_is_in_flight_twice_and_all_take_equal_part() -> None:
    run = merges(Arrivals(concurrency=9), users=10, updates=1000)
    counts = np.bincount([m.users[0] for m in run], minlength=10)
    assert counts.max() - counts.min() <= 10
    for at, merge in enumerate(run):
        since = [m.users[0] for m in run[at - merge.staleness[0] : at]]
        assert merge.users[0] not in since, "an update of the same user arrived during its flight"


def test_more_places_than_users_are_not_filled() -> None:
    run = merges(Arrivals(concurrency=99), users=4, updates=40)
    assert {m.in_flight for m in run} == {4}


def test_a_cohort_waits_for_its_slowest() -> None:
    run = merges(Cohort(cohort=4), users=8, updates=16)
    delays = exponential_delays(0, 1.0, 1.0)
    time = 0.0
    for at, merge in enumerate(run):
        assert len(set(merge.users)) == 4
        time += max(sum(delays(user, at // 2)) for user in merge.users)
        assert merge.time == pytest.approx(time)
    assert sorted(run[0].users + run[1].users) == list(range(8)), "a pass is over when all had their turn"


def test_uneven_cohorts_never_hold_a_user_twice() -> None:
    for merge in merges(Cohort(cohort=5), users=7, updates=200):
        assert len(set(merge.users)) == 5
