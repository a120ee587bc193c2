"""Membership inference: it finds what there is to find, and no more where nobody is a member."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from app.experiments.membership import (
    Scale,
    both,
    likelihood_ratio,
    row_of,
    task_of_all,
    told_apart,
    trained,
    user_losses,
    whose,
)
from federated.tasks.ranking import RankingTask

FEW = Scale(seeds=(0,), users=20, rounds=60)


@pytest.fixture(scope="module")
def everyone() -> RankingTask:
    return task_of_all(FEW.users, seed=0)


def test_a_task_of_some_users_is_theirs(everyone: RankingTask) -> None:
    users = torch.tensor([3, 7, 19])
    some = everyone.of_users(users)
    assert torch.equal(some.samples, everyone.samples[users])
    w = everyone.initial(0)
    assert torch.allclose(user_losses(some, w), user_losses(everyone, w)[users])


def test_members_of_a_model_that_has_learned_them_by_heart_are_found(everyone: RankingTask) -> None:
    """Ten users and many steps; of a model that nobody has trained none can be found."""
    members, _ = both(FEW.users, 0, 0)
    inside = np.isin(np.arange(FEW.users), members.numpy())
    row = row_of(FEW, None)
    by_heart = replace(row, local=replace(row.local, lr=0.03, local_steps=60, batch_size=20))
    learned = trained(everyone.of_users(members), by_heart, 0, FEW)
    gain = user_losses(everyone, everyone.initial(0)) - user_losses(everyone, learned)
    assert told_apart("loss", inside, gain.numpy())["loss_auc"] > 0.8
    untrained = -user_losses(everyone, everyone.initial(0)).numpy()
    assert told_apart("loss", inside, untrained)["loss_auc"] == pytest.approx(0.5, abs=0.25)


def test_shadow_models_say_how_unusual_a_loss_is() -> None:
    """Two users whose losses differ tenfold, and fall by a tenth where they are members."""
    inside = np.array([[True, False], [False, True]] * 8)
    noise = 1 + 0.01 * np.random.default_rng(0).standard_normal((16, 2))
    shadows = np.where(inside, 0.9, 1.0) * np.array([1.0, 10.0]) * noise
    assert (likelihood_ratio(np.array([0.9, 9.0]), shadows, inside) > 0).all()
    assert (likelihood_ratio(np.array([1.0, 10.0]), shadows, inside) < 0).all()


def test_every_user_is_a_member_of_one_of_two() -> None:
    one, other = both(9, 3, 1)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(9))
    assert one.tolist() == sorted(one.tolist())
    assert both(9, 3, 2)[0].tolist() != one.tolist()


def test_an_own_model_tells_whose_it_is_and_a_copy_does_not(everyone: RankingTask) -> None:
    w = everyone.initial(0)
    own = torch.stack(
        [
            trained(everyone.of_users(torch.tensor([user])), row_of(FEW, None), 0, replace(FEW, rounds=4))
            for user in range(20)
        ]
    )
    assert whose(everyone, w, own) > 0.8
    assert whose(everyone, w, w.expand(20, -1)) == pytest.approx(0.5, abs=0.1)
