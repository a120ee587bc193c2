"""Where gossip must become something simpler, and what it must leave alone."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from typing import Literal, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from federated.clients import Clients, LocalSGD
from federated.network.graphs import Ints, Kind
from federated.network.weather import Weather
from federated.objectives import MAML, Objective, Vanilla
from federated.schedules import Merge
from federated.schedules.gossip import Gossip
from federated.server.admission import NOT_FINITE, TOO_LARGE
from federated.tasks.quadratics import Quadratics
from tests.oracles.test_reductions import quadratics

StepSizes = Literal["constant", "1/t"]
ONE_STEP = LocalSGD(lr=0.05, local_steps=1, batch_size=2)
USERS = 6
HARSH = Gossip(
    graph="random",
    degree=2,
    wake_within=4,
    wake_probability=0.4,
    max_delay=5,
    max_failures=4,
    failure_probability=0.6,
)


def clients(task: Quadratics, objective: Objective | None = None, local: LocalSGD = ONE_STEP) -> Clients:
    return Clients(task, objective or Vanilla(), local, 4)


def run(schedule: Gossip, who: Clients, rounds: int, w: Tensor | None = None) -> Iterator[Merge]:
    start = who.task.initial(0) if w is None else w
    return islice(schedule.run(who, schedule.start(who, start)), rounds)


def distinct(users: int = USERS) -> Tensor:
    """A start for each user (U, 4)."""
    return torch.randn(users, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def centralised(who: Clients, w: Tensor, factors: list[float]) -> Iterator[Tensor]:
    """SGD on the mean loss, every user's batches being keyed by the step."""
    for step, factor in enumerate(factors):
        everyone = list(range(who.number))
        w = w - factor * who.deltas(everyone, [step] * who.number, w.expand(who.number, -1)).mean(0)
        yield w


def test_with_links_to_everyone_all_find_the_minimum_of_the_mean_loss() -> None:
    """Where all nodes hear the same, a constant step leaves no error; gradient descent ends there too."""
    task = quadratics(USERS, noise=0)
    *_, last = run(Gossip(graph="complete"), clients(task), 1000)
    *_, sgd = centralised(clients(task), task.initial(0), [1.0] * 1000)
    minimiser = task.pooled().centre[0]
    assert minimiser.norm() > 0.1
    torch.testing.assert_close(sgd, minimiser, rtol=0, atol=1e-6)
    torch.testing.assert_close(last.w, minimiser.expand(USERS, -1), rtol=0, atol=1e-6)


def test_on_a_ring_the_error_is_as_large_as_the_step() -> None:
    """Nodes hear different things, and stop where their pulls balance: near the minimum."""
    task = quadratics(USERS, noise=0)
    errors = []
    for lr in (0.02, 0.01):
        *_, last = run(Gossip(graph="ring"), clients(task, local=replace(ONE_STEP, lr=lr)), 1500)
        errors.append(float((last.w - task.pooled().centre).norm()))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("local", [ONE_STEP, replace(ONE_STEP, local_steps=3)], ids=["Q = 1", "Q = 3"])
@pytest.mark.parametrize("step_sizes", ["constant", "1/t"])
def test_with_instant_links_to_everyone_it_is_centralised_sgd(
    step_sizes: StepSizes, local: LocalSGD, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hears everyone's sums in the round they were sent in has the mean of all."""

    def instant(weather: Weather, now: int) -> Ints:
        return np.full(len(weather.graph.source), now)

    monkeypatch.setattr(Weather, "arrivals", instant)
    task = quadratics(USERS)
    schedule = Gossip(graph="complete", step_sizes=step_sizes, decay_from=20)
    factors = [20 / (20 + t) if step_sizes == "1/t" else 1.0 for t in range(100)]
    alone = centralised(clients(task, local=local), task.initial(0), factors)
    for merge, w in zip(run(schedule, clients(task, local=local), 100), alone, strict=True):
        torch.testing.assert_close(merge.w, w.expand(USERS, -1), rtol=0, atol=1e-12)
    assert w.norm() > 0.1


def test_maml_without_steps_is_vanilla() -> None:
    """Bit for bit, noise and faults and all; a step makes a difference."""
    task = quadratics(USERS)
    none, vanilla, one = (
        [merge.w for merge in run(HARSH, clients(task, objective), 100)]
        for objective in (MAML(0.3, 0), Vanilla(), MAML(0.3, 1))
    )
    assert all(torch.equal(a, b) for a, b in zip(none, vanilla, strict=True))
    assert not torch.allclose(one[-1], vanilla[-1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("graph", get_args(Kind))
@pytest.mark.parametrize("step_sizes", ["constant", "1/t"])
def test_one_user_is_plain_sgd(step_sizes: StepSizes, graph: Kind) -> None:
    task = quadratics(1)
    schedule = Gossip(graph=graph, step_sizes=step_sizes, max_delay=3, max_failures=2)
    factors = [100 / (100 + t) if step_sizes == "1/t" else 1.0 for t in range(50)]
    alone = centralised(clients(task), task.initial(0), factors)
    for merge, w in zip(run(schedule, clients(task), 50), alone, strict=True):
        assert torch.equal(merge.w[0], w)
        assert merge.network is not None
        assert (merge.network["messages"], merge.network["mass"]) == (0, 1)


def test_one_user_who_sleeps_makes_up_for_it() -> None:
    """A step when it wakes counts for all rounds since the last."""
    task, who = quadratics(1), clients(quadratics(1))
    w, owed, steps = task.initial(0), 0, 0
    for merge in run(Gossip(wake_within=4), who, 60):
        owed += 1
        if merge.users:
            w = w - owed * who.deltas([0], [steps], w[None])[0]
            owed, steps = 0, steps + 1
        torch.testing.assert_close(merge.w[0], w, rtol=0, atol=1e-12)
    assert 15 <= steps < 60


@pytest.mark.parametrize("graph", get_args(Kind))
def test_without_steps_all_agree_on_the_mean_of_their_starts(graph: Kind) -> None:
    start, still = distinct(), replace(ONE_STEP, local_steps=0)
    who = clients(quadratics(USERS), local=still)
    *_, last = run(replace(HARSH, graph=graph), who, 2500, start)
    torch.testing.assert_close(last.w, start.mean(0).expand(USERS, -1), rtol=0, atol=1e-9)
    assert last.network is not None
    assert last.network["lost"] > 0
    assert last.network["consensus_error"] < 1e-18


def test_nodes_of_little_weight_keep_their_model_and_wait() -> None:
    """Bit for bit; they take no step before they have heard more, and are counted."""
    who, schedule = clients(quadratics(USERS)), replace(HARSH, least_weight=0.25, wake_within=1)
    state = schedule.start(who, distinct())
    model, weight, steps, owed = state.w.clone(), [1.0] * USERS, [0] * USERS, [0.0] * USERS
    guarded = 0
    for merge in islice(schedule.run(who, state), 200):
        ready = tuple(i for i in range(USERS) if weight[i] >= 0.25)
        assert merge.users == ready
        owed = [0.0 if i in ready else owed[i] + 1 for i in range(USERS)]
        steps = [steps[i] + (i in ready) for i in range(USERS)]
        weight = state.mass[:, -1].tolist()
        for i in range(USERS):
            assert torch.equal(merge.w[i], model[i]) == (weight[i] < 0.25)
        guarded += sum(y < 0.25 for y in weight)
        assert merge.network is not None
        assert merge.network["guarded"] == guarded
        assert (state.owed.tolist(), state.steps.tolist()) == (owed, steps)
        model = merge.w.clone()
    assert 100 < guarded < 1100, "some nodes in some rounds"


def test_refused_updates_change_no_mass() -> None:
    """Σ x changes by the updates that were not refused; both kinds occur, with their reason."""
    who, schedule = clients(quadratics(USERS)), Gossip(max_update_norm=0.07, max_delay=3, least_weight=0)
    state = schedule.start(who, distinct())
    seen, refused = state.w.clone(), 0
    total = state.total()
    for step, merge in enumerate(islice(schedule.run(who, state), 60)):
        deltas = who.deltas(list(range(USERS)), [step] * USERS, seen)
        small = deltas.norm(dim=1) <= 0.07
        assert merge.users == tuple(small.nonzero().flatten().tolist())
        assert merge.refused == (TOO_LARGE,) * (USERS - len(merge.users))
        total[:-1] -= deltas[small].sum(0)
        torch.testing.assert_close(state.total(), total, rtol=0, atol=1e-12)
        seen, refused = merge.w.clone(), refused + len(merge.refused)
    assert 10 < refused < 350


def test_an_update_that_is_not_finite_spoils_nobody() -> None:
    task = quadratics(USERS)
    task.centre[2] = float("nan")
    start = distinct()
    for merge in run(HARSH, clients(task), 60, start):
        assert merge.w.isfinite().all()
        assert set(merge.refused) <= {NOT_FINITE}
        assert 2 not in merge.users
    assert not torch.equal(merge.w[2], start[2]), "its neighbours still reach it"


def test_models_that_were_reported_stay_as_they_were() -> None:
    start = distinct()
    kept = start.clone()
    reported = [(merge.w, merge.w.clone()) for merge in run(HARSH, clients(quadratics(USERS)), 100, start)]
    assert all(torch.equal(now, then) for now, then in reported)
    assert any(not torch.equal(a, b) for (a, _), (b, _) in pairwise(reported))
    assert torch.equal(start, kept), "nor is the start changed"
