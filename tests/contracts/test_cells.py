"""Every cell of the grid, named or not, ends with the models that its objective promises."""

import pytest
import torch

from federated.algorithms import OBJECTIVES, SCHEDULES, Row
from federated.clients import Clients
from federated.events import Finished
from federated.tasks.ranking import RankingTask
from federated.training import train
from tests.contracts.test_algorithms import unchosen

UPDATES = 24
APART = ("local", "gossip")
"""Schedules under which nobody ever holds a model for all."""


def finished(task: RankingTask, row: Row) -> Finished:
    *_, end = train(task, row, seed=0, updates=UPDATES, evaluations=2)
    assert isinstance(end, Finished)
    return end


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_user_gets_a_model(objective: str, schedule: str, board: RankingTask) -> None:
    row = unchosen(Row(OBJECTIVES[objective], SCHEDULES[schedule], ""))
    end = finished(board, row)
    size = board.network.layout.size
    assert (end.common is None) == (schedule in APART)
    if end.common is not None:
        assert end.common.shape == (size,)
        assert not torch.equal(end.common, board.initial(0))
    if row.objective.personal or schedule in APART:
        assert end.personal is not None
        assert end.personal.shape == (8, size)
        assert not torch.equal(end.personal[0], end.personal[1])
    else:
        assert end.personal is None


@pytest.mark.parametrize("objective", [name for name, known in OBJECTIVES.items() if known.personal])
@pytest.mark.parametrize("schedule", ["local", "pooled"])
def test_the_personal_model_is_the_objectives_own_on_the_users_data(
    objective: str, schedule: str, board: RankingTask
) -> None:
    row = unchosen(Row(OBJECTIVES[objective], SCHEDULES[schedule], ""))
    clients = Clients(board.pooled() if row.schedule.pools else board, row.objective, row.local, 0)
    state = row.schedule.start(clients, board.initial(0))
    done = 0
    for merge in row.schedule.run(clients, state):
        done += len(merge.users)
        if done >= UPDATES:
            break
    w = merge.w.expand(8, -1)
    end = finished(board, row).personal
    assert end is not None
    for user in range(8):
        data = board.everything(torch.tensor([user]), 0)
        own = row.objective.personalise(board, w[user][None], data)[0]
        torch.testing.assert_close(end[user], own, rtol=0, atol=1e-5)
        assert not torch.equal(own, w[user])
