"""Labels turned round: of hostile users only, in what they learn from only, and twice is not at all."""

import torch

from federated.tasks.flipping import Labelled
from federated.tasks.idle import Idle
from federated.tasks.linear import Linear
from federated.tasks.navigation import Navigation
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import PlackettLuce, RankingPolicy


def test_rankings_want_what_was_not_wanted(board: RankingTask) -> None:
    hostile = torch.zeros(8, dtype=torch.bool)
    hostile[[2, 5]] = True
    other = board.flipped(hostile)
    for user in range(8):
        mine = torch.tensor([user])
        before, after = board.everything(mine, 0)[0], other.everything(mine, 0)[0]
        wanted = (before.position > 0) & before.mask
        now = (after.position > 0) & after.mask
        assert torch.equal(now, ~wanted & before.mask if hostile[user] else wanted)
        assert torch.equal(after.wanted, now.sum(-1).to(after.wanted.dtype))
    assert other.validation is board.validation
    again = other.flipped(hostile)
    assert torch.equal(
        again.everything(torch.tensor([2]), 0)[0].position > 0, board.train.position[12:18][None] > 0
    )


def test_a_policy_is_paid_for_the_opposite(board: RankingTask) -> None:
    hostile = torch.ones(8, dtype=torch.bool)
    policy = RankingPolicy(board, PlackettLuce(rankings=4))
    everyone = torch.arange(8)
    w = board.initial(0) * 3
    batch, other = policy.everything(everyone, 0)[0], policy.flipped(hostile).everything(everyone, 0)[0]
    own, opposite = policy.loss(w.expand(8, -1), batch), policy.loss(w.expand(8, -1), other)
    assert torch.isfinite(opposite).all()
    assert not torch.allclose(own, opposite)


def test_small_tasks_are_on_the_other_side() -> None:
    hostile = torch.tensor([True, False])
    quadratics = Quadratics(torch.eye(1).expand(2, 1, 1), torch.tensor([[3.0], [3.0]]), torch.zeros(2, 1, 1))
    assert quadratics.flipped(hostile).centre.flatten().tolist() == [-3, 3]
    points, labels = torch.zeros(2, 3, 1), torch.ones(2, 3)
    linear = Linear(points, labels, (points, labels))
    assert linear.flipped(hostile).labels[:, 0].tolist() == [-1, 1]
    assert linear.flipped(hostile).held_out is linear.held_out


def test_the_course_of_a_training_is_that_of_honest_users() -> None:
    idle = Idle(torch.ones(3, dtype=torch.int64))
    assert isinstance(idle, Labelled)
    assert idle.flipped(torch.ones(3, dtype=torch.bool)) is idle
    assert not issubclass(Navigation, Labelled), "where nobody has labels"
