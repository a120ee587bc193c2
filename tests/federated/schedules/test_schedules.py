"""Turns, staleness, buffers: who computes when, without anything being learned."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from federated.clients import Clients, LocalSGD
from federated.objectives import Vanilla
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks.quadratics import Quadratics
from federated.virtual_time.clock import Clock
from federated.virtual_time.roster import Roster


def idle(users: int, seed: int = 0) -> Clients:
    """Clients that do nothing: only the schedule is at work."""
    task = Quadratics(torch.eye(1).expand(users, 1, 1), torch.zeros(users, 1), torch.zeros(users, 1, 1))
    return Clients(task, Vanilla(), LocalSGD(local_steps=0), seed)


def merges(schedule: Arrivals | Cohort, users: int, number: int, seed: int = 0) -> list[Merge]:
    clients = idle(users, seed)
    return list(islice(schedule.run(clients, schedule.start(clients, torch.zeros(1))), number))


def always(user: int, now: float) -> float:
    return now


def test_turns_are_permutations_and_count() -> None:
    def drawn(seed: int) -> list[tuple[int, int]]:
        roster = Roster(7, seed)
        return [roster.next((), always, 0.0)[:2] for _ in range(21)]

    seen = drawn(3)
    for at in range(3):
        part = seen[7 * at : 7 * at + 7]
        assert sorted(user for user, _ in part) == list(range(7))
        assert {counter for _, counter in part} == {at}
    assert seen[:7] != [(u, 0) for u, _ in seen[7:14]], "every pass has its own order"
    assert seen != drawn(4)


def test_who_was_busy_is_asked_first_later() -> None:
    roster = Roster(5, 0)
    first = [user for user, _, _ in (roster.next((), always, 0.0) for _ in range(5))]
    again = Roster(5, 0)
    assert again.next({first[0]}, always, 0.0)[0] == first[1]
    assert again.next((), always, 0.0)[0] == first[0]


def test_if_nobody_is_there_the_first_to_return_begins() -> None:
    roster = Roster(5, 0)
    user, counter, begin = roster.next((), lambda user, now: now + 10 - user, 2.0)
    assert (user, counter, begin) == (4, 0, 8.0)
    assert roster.next({4}, lambda user, now: now + 10 - user, 2.0)[0] == 3
    assert len(roster.waiting) <= 5, "asking again does not pile up turns"


@pytest.mark.parametrize("concurrency", [1, 5, 20])
def test_mean_staleness_is_concurrency_less_one(concurrency: int) -> None:
    """Measured elsewhere for many delay laws: n = 10, all active: 9.00 (algorithms.md §2)."""
    run = merges(Arrivals(concurrency=concurrency), users=50, number=4000)
    late = np.array([m.staleness[0] for m in run])
    assert late.mean() == pytest.approx(concurrency - 1, rel=0.02, abs=1e-9)
    assert {m.in_flight for m in run} == {concurrency}


@pytest.mark.parametrize("concurrency", [1, 2, 5, 20])
def test_of_those_who_arrive_together_the_first_is_fresh(concurrency: int) -> None:
    """Constant delays: c users read the same version, arrive one after the other, and then read again."""
    run = merges(Arrivals(concurrency=concurrency, delay_law="constant"), users=50, number=40 * concurrency)
    assert [m.staleness[0] for m in run] == 40 * list(range(concurrency))
    assert [m.in_flight for m in run] == 40 * list(range(concurrency, 0, -1))
    assert np.mean([m.staleness[0] for m in run]) == (concurrency - 1) / 2


IN_FLIGHT: dict[str, dict[str, Any]] = {
    "exponential": {},
    "constant": {"delay_law": "constant"},
    "constant one way": {"delay_law": "constant", "download_delay": 0},
    "users away": {"online_time": 2.0, "offline_time": 20.0, "concurrency": 12},
    "in loops of their own": {"idle_time": 16.5},
}


@pytest.mark.parametrize("settings", IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_staleness_is_as_many_as_are_in_flight_beside_the_one_who_arrives(settings: dict[str, Any]) -> None:
    """An arrival makes everybody else in flight staler by one; the last of them have not arrived yet."""
    run = merges(Arrivals(**settings), users=15, number=2000)
    stale, others = sum(m.staleness[0] for m in run), sum(m.in_flight - 1 for m in run)
    assert stale == pytest.approx(others, rel=0.03)


def test_a_buffer_divides_staleness() -> None:
    """Versions pass only every K arrivals."""
    run = merges(Arrivals(concurrency=9, buffer=4), users=50, number=1000)
    late = np.array([s for m in run for s in m.staleness])
    assert late.mean() == pytest.approx((9 - 1) / 4, rel=0.03)


def test_the_delay_law_moves_only_the_longest_staleness() -> None:
    """n = 50 with 5.41 active: means 5.33, 5.29, 5.30, longest 61, 35, 21 (algorithms.md §2)."""
    longest = []
    for law in ("exponential", "half-normal", "uniform"):
        schedule = Arrivals(concurrency=6, download_delay=0, upload_delay=1, delay_law=law)  # type: ignore[arg-type]
        late = np.array([m.staleness[0] for m in merges(schedule, users=50, number=6000)])
        assert late.mean() == pytest.approx(5, rel=0.02)
        longest.append(late.max())
    assert longest[0] > 1.3 * longest[1] > 1.3 * 1.3 * longest[2]


def test_idle_time_sets_how_many_are_in_flight() -> None:
    """Each of n users is under way for d/(d + idle) of the time: 50 × 2/(2 + 16.5) = 5.4 of them."""
    run = merges(Arrivals(idle_time=16.5), users=50, number=8000)
    active = np.array([m.in_flight for m in run])
    late = np.array([m.staleness[0] for m in run])
    assert active.mean() == pytest.approx(5.41 + 1, rel=0.05), "an arrival sees itself and 5.4 others"
    assert late.mean() == pytest.approx(5.3, rel=0.05)
    counts = np.bincount([m.users[0] for m in run], minlength=50)
    assert counts.min() > 100, "everyone works in a loop of their own"


def test_nobody_is_in_flight_twice_and_all_take_equal_part() -> None:
    run = merges(Arrivals(concurrency=9), users=10, number=1000)
    counts = np.bincount([m.users[0] for m in run], minlength=10)
    assert counts.max() <= 1.3 * counts.min(), "who is late loses turns, but few"
    for at, merge in enumerate(run):
        since = [m.users[0] for m in run[at - merge.staleness[0] : at]]
        assert merge.users[0] not in since, "an update of the same user arrived during its flight"


def test_more_places_than_users_are_not_filled() -> None:
    run = merges(Arrivals(concurrency=99), users=4, number=40)
    assert {m.in_flight for m in run} == {4}


def test_a_buffer_merges_so_many_at_a_time_and_staleness_shrinks() -> None:
    run = merges(Arrivals(concurrency=20, buffer=10), users=50, number=400)
    assert {len(m.users) for m in run} == {10}
    late = np.array([s for m in run for s in m.staleness])
    assert late.mean() == pytest.approx(19 / 10, rel=0.15), "versions pass a tenth as fast"


def test_a_cohort_waits_for_its_slowest() -> None:
    run = merges(Cohort(cohort=4), users=8, number=4)
    clock = Clock(Cohort(), 0, 8)
    time = 0.0
    for at, merge in enumerate(run):
        assert len(set(merge.users)) == 4
        time += max(clock.round_trip(user, at // 2) for user in merge.users)
        assert merge.time == pytest.approx(time)
    assert sorted(run[0].users + run[1].users) == list(range(8)), "a pass is over when all had their turn"


def test_uneven_cohorts_never_hold_a_user_twice_and_skip_nobody() -> None:
    run = merges(Cohort(cohort=5), users=7, number=70)
    for merge in run:
        assert len(set(merge.users)) == 5
    counts = np.bincount([user for m in run for user in m.users])
    assert counts.max() - counts.min() <= 1


def test_users_who_leave_come_back_and_delay_what_they_do() -> None:
    always_there = merges(Arrivals(concurrency=5), users=20, number=2000)
    coming = merges(Arrivals(concurrency=5, online_time=3, offline_time=9), users=20, number=2000)
    assert {m.in_flight for m in coming} <= {1, 2, 3, 4, 5}
    assert coming[-1].time > 1.5 * always_there[-1].time
    counts = np.bincount([m.users[0] for m in coming], minlength=20)
    assert counts.min() > 20, "everyone takes part"
    waited = merges(Cohort(cohort=5, online_time=3, offline_time=9), users=20, number=200)
    assert waited[-1].time > 1.5 * merges(Cohort(cohort=5), users=20, number=200)[-1].time
