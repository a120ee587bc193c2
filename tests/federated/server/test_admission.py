"""Updates that would harm the model are refused and counted, and the run goes on without them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from federated.algorithms import Row
from federated.clients import Clients, LocalSGD
from federated.events import Event, Finished, Merged
from federated.objectives import Vanilla
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.admission import NOT_FINITE, SHAPE, TOO_LARGE, TOO_STALE, refusals
from federated.tasks.ranking import RankingTask
from federated.training import Training

LOCAL = LocalSGD(local_steps=2)
BAD = frozenset({1, 4, 6})
W = torch.zeros(3)

Corruption = Callable[[Tensor], Tensor]
CORRUPTIONS: dict[str, tuple[Corruption, str]] = {
    "one NaN": (lambda d: torch.cat([d[:-1], d.new_tensor([torch.nan])]), NOT_FINITE),
    "one infinity": (lambda d: torch.cat([d.new_tensor([-torch.inf]), d[1:]]), NOT_FINITE),
    "a million times as large": (lambda d: 1e6 * d, TOO_LARGE),
    "one value short": (lambda d: d[1:], SHAPE),
    "one value for all": (lambda d: d[:1], SHAPE),
    "a matrix": (lambda d: d.expand(2, -1), SHAPE),
    "nothing": (lambda d: d[:0], SHAPE),
}
corruptions = pytest.mark.parametrize(("corrupt", "why"), CORRUPTIONS.values(), ids=CORRUPTIONS)

SCHEDULES: dict[str, Arrivals | Cohort] = {
    "arrivals": Arrivals(concurrency=5, max_update_norm=100),
    "a buffer": Arrivals(concurrency=6, buffer=3, max_update_norm=100),
    "loops": Arrivals(idle_time=1.0, max_update_norm=100),
    "cohort": Cohort(cohort=5, max_update_norm=100),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@dataclass(frozen=True)
class Corrupted(Clients):
    """Clients of whom some send what they like; what the others sent is kept, in order, by user."""

    bad: frozenset[int] = BAD
    corrupt: Corruption = lambda delta: delta
    sent: dict[int, list[Tensor]] = field(default_factory=dict)

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Any:
        honest = super().deltas(users, counters, w)
        for user, delta in zip(users, honest, strict=True):
            self.sent.setdefault(user, []).append(delta)
        rows = [self.corrupt(d) if u in self.bad else d for u, d in zip(users, honest, strict=True)]
        return torch.stack(rows) if len({row.shape for row in rows}) == 1 else rows


def merges(clients: Clients, schedule: Arrivals | Cohort, w: Tensor) -> Iterator[Merge]:
    return schedule.run(clients, schedule.start(clients, w))


def corrupted(board: RankingTask, corrupt: Corruption, bad: frozenset[int] = BAD) -> Corrupted:
    return Corrupted(board, Vanilla(), LOCAL, 0, bad=bad, corrupt=corrupt)


# the rule


def test_an_update_is_merged_if_nothing_is_wrong_with_it() -> None:
    assert refusals(torch.ones(2, 3), W, None) == [None, None]
    assert refusals([torch.ones(3), torch.zeros(3)], W, None) == [None, None]
    assert refusals(torch.ones(0, 3), W, None) == []
    assert refusals([], W, 1.0) == []


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("bound", [None, 1e30])
def test_one_value_that_is_not_finite_refuses_its_update_alone(
    value: float, place: int, bound: float | None
) -> None:
    deltas = torch.ones(3, 3)
    deltas[1, place] = value
    assert refusals(deltas, W, bound) == [None, NOT_FINITE, None]
    assert refusals(list(deltas), W, bound) == [None, NOT_FINITE, None]


def test_the_bound_itself_is_allowed_and_what_is_over_it_is_not() -> None:
    deltas = torch.tensor([[3.0, 0, 4], [3.01, 0, 4], [0, -5, 0], [0, 0, 0]])
    assert refusals(deltas, W, 5.0) == [None, TOO_LARGE, None, None]
    assert refusals(list(deltas), W, 5.0) == [None, TOO_LARGE, None, None]
    assert refusals(deltas, W, None) == [None] * 4


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2,), (4,), (1, 3), (3, 1), (3, 3)])
def test_any_other_shape_is_refused_also_where_it_would_broadcast(shape: tuple[int, ...]) -> None:
    assert refusals([torch.ones(3), torch.ones(shape)], W, None) == [None, SHAPE]
    assert refusals(torch.ones(2, *shape), W, None) == [SHAPE, SHAPE]
    assert refusals([torch.full(shape, torch.nan)], W, 1.0) == [SHAPE]


def test_finite_values_whose_norm_overflows_are_refused_too() -> None:
    assert refusals(torch.full((1, 3), 1e30), W, None) == [NOT_FINITE]


# whole schedules


@schedules
@corruptions
def test_nothing_corrupt_is_merged_and_everything_honest_is(
    schedule: Arrivals | Cohort, corrupt: Corruption, why: str, board: RankingTask
) -> None:
    """The model is replayed by hand from what honest users sent."""
    clients = corrupted(board, corrupt)
    w = board.initial(0)
    factor = 1.0 if isinstance(schedule, Cohort) else 1 / 8
    reasons: Counter[str] = Counter()
    for merge in islice(merges(clients, schedule, w), 40):
        reasons.update(merge.refused)
        assert not BAD & set(merge.users)
        assert len(merge.users) == len(merge.staleness)
        if merge.users:
            mean = torch.stack([clients.sent[user].pop(0) for user in merge.users]).mean(0)
            torch.testing.assert_close(merge.w, w - factor * mean, rtol=0, atol=1e-6)
            assert not torch.equal(merge.w, w)
        else:
            assert torch.equal(merge.w, w), "who merges nothing changes nothing"
        assert torch.isfinite(merge.w).all()
        w = merge.w
    assert set(reasons) == {why}
    assert reasons[why] >= 6


@schedules
@corruptions
def test_how_an_update_is_corrupt_changes_nothing_else(
    schedule: Arrivals | Cohort, corrupt: Corruption, why: str, board: RankingTask
) -> None:
    def path(one: Corruption) -> list[tuple[object, ...]]:
        run = islice(merges(corrupted(board, one), schedule, board.initial(0)), 40)
        return [(m.w.tolist(), m.users, m.staleness, len(m.refused), m.time) for m in run]

    assert path(corrupt) == path(CORRUPTIONS["one NaN"][0])


@pytest.mark.parametrize("buffer", [1, 3])
@corruptions
def test_each_corrupt_arrival_is_counted_once(
    buffer: int, corrupt: Corruption, why: str, board: RankingTask
) -> None:
    """Who arrives when depends on delays alone, so a run of honest users says what must be refused."""
    single, several = (Arrivals(concurrency=5, buffer=k, max_update_norm=100) for k in (1, buffer))
    honest = merges(corrupted(board, corrupt, frozenset()), single, board.initial(0))
    arrivals = [user for merge in islice(honest, 80) for user in merge.users]
    held: list[int] = []
    run = merges(corrupted(board, corrupt), several, board.initial(0))
    for user in arrivals:
        if user in BAD:
            merge = next(run)
            assert (merge.users, merge.staleness, merge.refused) == ((), (), (why,))
            continue
        held.append(user)
        if len(held) == buffer:
            merge = next(run)
            assert (merge.users, merge.refused) == (tuple(held), ())
            held = []


@corruptions
def test_a_cohort_is_the_mean_of_those_who_are_left(
    corrupt: Corruption, why: str, board: RankingTask
) -> None:
    run = merges(corrupted(board, corrupt), Cohort(cohort=8, max_update_norm=100), board.initial(0))
    for merge in islice(run, 4):
        assert set(merge.users) == set(range(8)) - BAD
        assert merge.refused == (why,) * 3
        assert merge.in_flight == 8


@pytest.mark.parametrize("cap", [0, 1, 2, 4])
@pytest.mark.parametrize(
    "rest", [{"concurrency": 6}, {"idle_time": 0.5}, {"concurrency": 7, "delay_law": "log-normal"}], ids=str
)
def test_exactly_those_staler_than_the_cap_are_refused(
    cap: int, rest: dict[str, Any], board: RankingTask
) -> None:
    """An update that is s arrivals old is as stale as there were merges among these s arrivals."""

    def run(bound: int | None) -> list[Merge]:
        clients = Clients(board, Vanilla(), LOCAL, 0)
        return list(islice(merges(clients, Arrivals(max_staleness=bound, **rest), board.initial(0)), 120))

    merged: list[bool] = []
    free, capped = run(None), run(cap)
    for at, (whole, merge) in enumerate(zip(free, capped, strict=True)):
        stale = sum(merged[at - whole.staleness[0] : at])
        merged.append(stale <= cap)
        expected = (whole.users, (stale,), ()) if merged[-1] else ((), (), (TOO_STALE,))
        assert (merge.users, merge.staleness, merge.refused) == expected
        assert merge.time == whole.time
    assert 0.1 < sum(merged) / len(merged) < 1


# whole trainings


def events(
    monkeypatch: pytest.MonkeyPatch,
    board: RankingTask,
    schedule: Arrivals | Cohort,
    corrupt: Corruption,
    bad: frozenset[int],
    updates: int = 80,
) -> Iterator[Event]:
    def build(*of: Any) -> Corrupted:
        return Corrupted(*of, bad=bad, corrupt=corrupt)

    monkeypatch.setattr("federated.learners.Clients", build)
    return Training(board, Row(Vanilla(), schedule, "", LOCAL), 0, updates, 4).events()


@schedules
@corruptions
def test_a_training_goes_on_and_versions_count_merges_alone(
    schedule: Arrivals | Cohort,
    corrupt: Corruption,
    why: str,
    board: RankingTask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = list(events(monkeypatch, board, schedule, corrupt, BAD))
    updates = version = refused = 0
    for event in every:
        if isinstance(event, Merged):
            updates += len(event.users) + len(event.refused)
            version += bool(event.users)
            refused += len(event.refused)
            assert (event.updates, event.version) == (updates, version)
            assert all(0 <= late < version for late in event.staleness)
    last = every[-1]
    assert isinstance(last, Finished)
    assert last.updates == updates >= 80
    assert 0.2 < refused / updates < 0.6, "three of eight users are corrupt"
    assert last.common is not None
    assert torch.isfinite(last.common).all()


@schedules
@corruptions
def test_a_pass_without_a_merge_ends_the_training_and_says_why(
    schedule: Arrivals | Cohort,
    corrupt: Corruption,
    why: str,
    board: RankingTask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Event] = []

    def watch() -> None:
        seen.extend(event for event in events(monkeypatch, board, schedule, corrupt, frozenset(range(8))))

    with pytest.raises(FloatingPointError, match=rf"were refused \({why}\) after \d+ updates: try ") as error:
        watch()
    assert all(isinstance(event, Merged) and event.users == () for event in seen)
    assert all(event.updates < 16 for event in seen), "so many hold a whole pass, wherever it began"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("buffer", [8, 10, 30])
def test_a_buffer_that_fills_slowly_is_no_pass_without_a_merge(
    buffer: int, board: RankingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the users are refused; the others' updates wait in the buffer and are lost to nobody."""
    schedule = Arrivals(concurrency=8, buffer=buffer)
    nan = CORRUPTIONS["one NaN"][0]
    every = list(events(monkeypatch, board, schedule, nan, frozenset(range(4)), updates=100))
    assert any(event.users for event in every if isinstance(event, Merged))
    last = every[-1]
    assert isinstance(last, Finished)
    assert last.updates >= 100


def test_one_honest_user_in_a_pass_is_enough(board: RankingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """First in one pass and last in the next, that user has 14 of the others between two merges."""
    nan = CORRUPTIONS["one NaN"][0]
    every = list(events(monkeypatch, board, Arrivals(concurrency=1), nan, frozenset(range(7)), 64))
    merged = [event.users for event in every if isinstance(event, Merged) and event.users]
    assert merged == [(7,)] * 8


# the command line


@pytest.mark.parametrize("algorithm", ["persa-fl", "fedbuff", "fedavg"])
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "table"])
def test_refusals_are_in_the_metrics_and_in_the_summary(
    algorithm: str, form: list[str], tiny: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    out = tmp_path / "run"
    options = ["--algorithm", algorithm, "--updates", 120, "--set", "max_update_norm=2", *form]
    called = cli("train", "--data", tiny, "--out", out, *options)
    assert called.code == 0, called.err
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    counted = Counter(why for line in lines for why in line.get("refused", ()))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["refused"] == dict(counted)
    assert 10 <= counted["norm over bound"] <= 110
    assert summary["updates"] == sum(len(e["users"]) + len(e["refused"]) for e in lines if "users" in e)
    assert cli("evaluate", out, "--json").code == 0
