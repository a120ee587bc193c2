"""Compiled local steps do what the plain ones do, for stacks of several sizes and unequal users."""

import os
import shutil
import warnings
from dataclasses import replace

import pytest
import torch

from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Objective
from federated.tasks.ranking import RankingTask
from ranking.rankers.mlp import MLP
from ranking.slates import Slates

pytestmark = pytest.mark.skipif(
    not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")),
    reason="compiling needs a C++ compiler, and there is none here",
)


@pytest.fixture(scope="module")
def task(tiny_slates: Slates) -> RankingTask:
    order = torch.argsort(tiny_slates.user, stable=True)
    slates = tiny_slates[order]
    slates = replace(slates, features=slates.features.double())
    return RankingTask.of(MLP((7,)).network(slates.features.shape[-1], []), "bce", slates, slates, 20)


@pytest.mark.parametrize(
    "objective", [MAML(0.01), MoreauEnvelope(inner_steps=2, inner_lr=0.01)], ids=["MAML", "Moreau"]
)
def test_compiled_updates_equal_plain_ones(objective: Objective, task: RankingTask) -> None:
    local = LocalSGD(lr=0.01, local_steps=2, batch_size=2)
    plain, fast = (Clients(task, objective, local, 0, compiled) for compiled in (False, True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler says of itself
        for users in ([3], [0, 5, 7], list(range(20))):
            w = torch.stack([task.initial(user).double() for user in users])
            a, b = (c.deltas(users, [1] * len(users), w) for c in (plain, fast))
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
            assert a.abs().max() > 1e-4
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6, "one program for all sizes of stack"
