"""What is told of a training on Ray: reports of groups become merges and figures."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

if find_spec("ray") is None:
    pytest.skip("Ray is not installed: the extra [ray]", allow_module_level=True)

from federated import engines
from federated.clients import Clients, LocalSGD
from federated.engines.ray.member import Report
from federated.engines.ray.schedule import Known, OnRay, figures, merged
from federated.network.graphs import Graph
from federated.objectives import Vanilla
from federated.schedules.gossip import Gossip
from tests.oracles.test_reductions import quadratics

CLIENTS = Clients(quadratics(4), Vanilla(), LocalSGD(), 3)
RULES = Gossip(graph="ring")
GRAPH = Graph(4, np.array([3, 0, 1, 2]), np.array([0, 1, 2, 3]))


def recipe(users: object) -> Clients:
    return CLIENTS


def schedule(**engine: object) -> OnRay:
    return OnRay(RULES, engines.Ray(**engine), recipe, 10, Path("groups"))


def report(w: float, merged: list[int], now: int, refused: dict[str, int] | None = None) -> Report:
    return Report(
        w=torch.full((2, 4), w, dtype=torch.float64),
        merged=np.array(merged),
        late=np.array([1, 2]),
        refused=refused or {},
        unfinished=1,
        now=now,
        mass=2.0,
        smallest_weight=0.5 * w,
        stamp=np.array([4, 8]),
        oldest_model=now,
        messages=10,
        lost=3,
        guarded=1,
        bytes=100,
        restarts=int(w),
    )


def test_a_merge_is_what_has_happened_since_the_last() -> None:
    state = schedule().start(CLIENTS, torch.zeros(4, dtype=torch.float64))
    first = merged(state, [report(1, [1, 0], 9), report(2, [0, 2], 7, {"too large": 1})], {}, 1.5)
    assert first.users == (0, 3, 3)
    assert first.staleness == (1, 2, 2)
    assert first.refused == ("too large",)
    assert (first.in_flight, first.time) == (2, 1.5)
    assert first.w[:, 0].tolist() == [1, 1, 2, 2]
    again = merged(state, [report(1, [1, 1], 9), report(2, [0, 2], 7, {"too large": 3})], {}, 2.0)
    assert again.users == (1,)
    assert again.refused == ("too large",) * 2


def test_steps_that_a_killed_group_takes_again_count_but_once() -> None:
    state = schedule().start(CLIENTS, torch.zeros(4, dtype=torch.float64))
    seen = [
        merged(state, [report(1, [count, 0], 9), report(1, [0, 0], 9)], {}, 0).users
        for count in (5, 3, 4, 5, 6)
    ]
    assert seen == [(0,) * 5, (), (), (), (0,)]


def test_figures_are_of_all_groups() -> None:
    plan = schedule(actors=2).plan(CLIENTS, schedule().start(CLIENTS, torch.zeros(4)))
    assert figures(plan, GRAPH, [report(1, [1, 0], 9), report(2, [0, 2], 13)]) == {
        "consensus_error": 1.0,
        "mass": 1.0,
        "smallest_weight": 0.5,
        "oldest_stamp": 8,
        "oldest_model": 13,
        "messages": 20,
        "bytes": 200,
        "lost": 6,
        "guarded": 2,
        "restarts": 3,
    }


def test_what_is_known_is_packed() -> None:
    state = schedule().start(CLIENTS, torch.zeros(4))
    merged(state, [report(1, [1, 0], 9, {"too large": 1}), report(2, [0, 2], 7)], {}, 1.5)
    state.began = True
    again = schedule().unpack(CLIENTS, state.pack())
    assert isinstance(again, Known)
    assert (again.name, again.seconds, again.refused, again.began) == (
        state.name,
        1.5,
        {"too large": 1},
        True,
    )
    assert (again.merged == state.merged).all()
    assert torch.equal(again.w, state.w)
    assert schedule().plan(CLIENTS, again).goes_on


def test_there_are_no_more_groups_than_users() -> None:
    state = schedule().start(CLIENTS, torch.zeros(4))
    plan = schedule(actors=9).plan(CLIENTS, state)
    assert plan.groups == 4
    assert plan.group_of.tolist() == [0, 1, 2, 3]
    assert plan.quota.tolist() == [3, 3, 2, 2]
