"""A task whose gradient comes from behaviour, under every schedule: same seed, same bits, and resume."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from data.randomness import generator
from federated import checkpoint
from federated.algorithms import OBJECTIVES, Row
from federated.clients import Clients, LocalSGD
from federated.events import Finished
from federated.objectives import MAML, MoreauEnvelope, Reptile
from federated.schedules import Schedule
from federated.schedules.alone import Local
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.gossip import Gossip
from federated.tasks.gaussian_policy import GaussianPolicy
from federated.tasks.navigation import Navigation, draw_goals
from federated.training import Training

MEMRL = MoreauEnvelope(0.1, 3, 0.5, tolerance=0, personal_steps=2, inner_batches="fresh")
LOCAL = LocalSGD(lr=3.0, local_steps=1, batch_size=3)
SCHEDULES: dict[str, Schedule] = {
    "cohort": Cohort(cohort=4, shares="equal"),
    "arrivals": Arrivals(concurrency=3, server_lr=0.3),
    "buffered": Arrivals(concurrency=5, buffer=2, server_lr=1.0),
    "gossip": Gossip(wake_within=3, max_delay=4, max_failures=3, least_weight=0.1, degree=2),
    "local": Local(),
}
UPDATES = 24


@pytest.fixture(scope="module")
def task() -> Navigation:
    goals = torch.from_numpy(draw_goals(generator(3, "goals"), 8))
    return Navigation(goals, GaussianPolicy(2, 2, hidden=(8,)), episodes=3)


def finished(training: Training) -> Finished:
    *_, end = training.events()
    assert isinstance(end, Finished)
    return end


def same(a: Finished, b: Finished) -> bool:
    pairs = ((a.common, b.common), (a.personal, b.personal))
    return all(x is y is None or (x is not None and y is not None and torch.equal(x, y)) for x, y in pairs)


@pytest.mark.parametrize("name", SCHEDULES)
def test_memrl_runs_under_every_schedule_and_goes_on_from_anywhere(
    name: str, task: Navigation, tmp_path: Path
) -> None:
    row = Row(MEMRL, SCHEDULES[name], "", LOCAL)
    whole = finished(Training(task, row, 1, UPDATES, 2))
    assert same(whole, finished(Training(task, row, 1, UPDATES, 0))), "looking changes nothing"
    assert not same(whole, finished(Training(task, row, 2, UPDATES, 0)))
    packing = Training(task, row, 1, UPDATES, 2)
    for event in islice(packing.events(), 3):
        updates = event.updates
    checkpoint.save(tmp_path, updates, packing.pack())
    snapshot, problems = checkpoint.load(tmp_path)
    assert snapshot is not None
    assert not problems
    going_on = Training(task, row, 1, UPDATES, 2)
    going_on.unpack(snapshot)
    assert same(whole, finished(going_on))


@pytest.mark.parametrize("objective", [*OBJECTIVES.values(), MAML(0.1, 2, "first-order")], ids=repr)
def test_every_objective_learns_from_behaviour(objective: MAML | Reptile, task: Navigation) -> None:
    clients = Clients(task, objective, LocalSGD(lr=0.1, local_steps=2, batch_size=3), 0)
    w = task.initial(0).expand(3, -1)
    deltas = clients.deltas([0, 5, 2], [0, 0, 4], w)
    assert torch.isfinite(deltas).all()
    assert (deltas.norm(dim=1) > 0).all()
    alone = clients.deltas([5], [0], w[:1])
    torch.testing.assert_close(deltas[1:2], alone, rtol=1e-3, atol=1e-5)


def test_steps_of_adaptation_lead_to_the_goal() -> None:
    """From a policy that hardly explores and stays: its own gradient steps move it to a goal it never saw."""
    task = Navigation(torch.tensor([[0.4, 0.3], [-0.3, 0.4], [0.0, -0.5]]), episodes=20)
    w = task.initial(0)
    w[-2:] = -1.0
    before = task.judge(w)
    personal = Clients(task, Reptile(adapt_lr=0.3, adapt_steps=10), LOCAL, 0).personalise(w)
    after = task.judge(personal)
    assert (after > before + 5).all()
    permuted = task.judge(personal.roll(1, 0))
    assert (permuted < after - 10).all(), "what was learned is each goal's own"
