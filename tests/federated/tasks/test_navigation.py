"""The navigation task: its anchors, gymnasium's checker, and one environment against many."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from torch import Tensor

from data.randomness import generator
from federated.tasks import Chance
from federated.tasks.autograd import gradient_of
from federated.tasks.navigation import HORIZON, Navigation, NavigationEnv, NavigationVectorEnv, draw_goals

Floats = NDArray[np.float32]
EPISODES = 20_000


def mean_return(act: Callable[[Floats, Floats, np.random.Generator], NDArray[np.floating]]) -> float:
    """Of 20,000 episodes with a goal each."""
    chance = generator(0, "anchor")
    env = NavigationVectorEnv(draw_goals(chance, EPISODES))
    at, _ = env.reset()
    total = np.zeros(EPISODES)
    for _ in range(HORIZON):
        at, rewards, _, _, _ = env.step(act(at, env.goals, chance).astype(np.float32))
        total += rewards
    return float(total.mean())


def test_straight_to_the_goal() -> None:
    assert mean_return(lambda at, goal, _: goal - at) == pytest.approx(-0.50, abs=0.02)


@pytest.mark.parametrize(
    ("noise", "anchor", "within"), [(0.01, -0.53, 0.02), (0.05, -2.4, 0.1), (0.1, -5.8, 0.2)]
)
def test_not_so_straight(noise: float, anchor: float, within: float) -> None:
    value = mean_return(lambda at, goal, chance: goal - at + noise * chance.normal(size=at.shape))
    assert value == pytest.approx(anchor, abs=within)


def test_staying_at_the_origin() -> None:
    assert mean_return(lambda at, *_: -at) == pytest.approx(-38.4, abs=0.5)


def test_an_untrained_policy() -> None:
    """Mean over start weights: each policy has its own drift."""
    task = Navigation(torch.from_numpy(draw_goals(generator(0, "goals"), 100)))
    returns = [task.judge(task.initial(seed), seed).mean() for seed in range(10)]
    assert float(torch.stack(returns).mean()) == pytest.approx(-70.9, abs=1)


def test_gymnasium_finds_no_fault() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(NavigationEnv(), skip_render_check=True)
        check_env(NavigationEnv(np.array([0.1, -0.2], np.float32)), skip_render_check=True)


def test_many_side_by_side_do_what_each_does_alone() -> None:
    """Each until its end; half of them go straight, and arrive, the others wander until time is over."""
    chance = generator(1, "twin")
    goals = draw_goals(chance, 6)
    together, alone = NavigationVectorEnv(goals), [NavigationEnv(goal) for goal in goals]
    at, _ = together.reset()
    assert np.array_equal(at, np.stack([env.reset()[0] for env in alone]))
    going = np.ones(6, bool)
    for step in range(HORIZON):
        wander = chance.normal(size=(6, 2))
        actions = np.where(np.arange(6)[:, None] < 3, goals - at, wander).astype(np.float32)
        at, rewards, arrived, late, _ = together.step(actions)
        for i in np.flatnonzero(going):
            position, *rest = alone[i].step(actions[i])[:4]
            assert np.array_equal(position, at[i])
            assert rest == [rewards[i], arrived[i], late[i]]
        assert (late == (going & ~arrived & (step == HORIZON - 1))).all()
        going &= ~(arrived | late)
    assert arrived[:3].all()
    assert late[3:].any()


def test_goals_are_drawn_anew_at_every_reset_and_keyed_by_its_seed() -> None:
    env = NavigationVectorEnv(num_envs=50)
    env.reset(seed=3)
    first = env.goals
    env.reset()
    assert not np.array_equal(env.goals, first)
    env.reset(seed=3)
    assert np.array_equal(env.goals, first)
    assert (np.abs(first) <= 0.5).all()
    assert np.ptp(first, axis=0).min() > 0.8


def test_who_has_arrived_gains_nothing_more() -> None:
    env = NavigationVectorEnv(np.array([[0.05, 0.0]], np.float32))
    env.reset()
    at, rewards, arrived, late, _ = env.step(np.array([[0.05, 0.005]], np.float32))
    assert arrived.all()
    assert not late.any()
    assert rewards[0] == pytest.approx(-0.005)
    again, rewards, arrived, _, _ = env.step(np.array([[0.1, 0.1]], np.float32))
    assert np.array_equal(again, at)
    assert rewards[0] == 0
    assert arrived.all()


@pytest.fixture
def task() -> Navigation:
    return Navigation(torch.from_numpy(draw_goals(generator(2, "goals"), 5)), episodes=4)


def chance(users: list[int], counters: list[int]) -> Chance:
    return Chance(0, "behaviour", users, counters)


def test_a_users_episodes_depend_on_the_users_own_key_alone(task: Navigation) -> None:
    w = torch.stack([task.initial(0), task.initial(1)])
    index = torch.zeros(6, 2, 4, dtype=torch.int64)
    both = task.batches(torch.tensor([1, 4]), index, chance([1, 4], [7, 2]))
    alone = task.batches(torch.tensor([4]), index[:, :1], chance([4], [2]))
    assert len(both) == 6
    for step in range(6):
        two, one = task.take(w, both[step]), task.take(w[1:], alone[step])
        torch.testing.assert_close(two.rewards[1:], one.rewards, rtol=0, atol=1e-4)
    later = task.batches(torch.tensor([4]), index[:, :1], chance([4], [3]))
    noises = [batch[1] for batches in (alone, later) for batch in batches]
    assert all(not torch.equal(x, y) for i, x in enumerate(noises) for y in noises[:i])


def test_personal_steps_see_new_episodes_and_the_same_ones_again(task: Navigation) -> None:
    users = torch.arange(5)
    once, again, other = task.everything(users, 0), task.everything(users, 0), task.everything(users, 1)
    assert torch.equal(once[3][1], again[3][1])
    assert not torch.equal(once[3][1], once[4][1])
    assert not torch.equal(once[3][1], other[3][1])


def by_hand(
    task: Navigation, w: Tensor, goal: Floats, noise: Tensor
) -> tuple[list[list[Tensor]], list[list[float]]]:
    """log π of every step of one client's episodes, and their rewards: one environment after the other."""
    named = {name: part[0] for name, part in task.policy.layout.split(w).items()}
    logs, gains = [], []
    for episode in noise:
        env = NavigationEnv(goal)
        at, _ = env.reset()
        logs.append([])
        gains.append([])
        for eps in episode:
            x = torch.from_numpy(at)
            for layer in range(3):
                x = x @ named[f"dense{layer}.weight"] + named[f"dense{layer}.bias"]
                x = x.relu() if layer < 2 else x
            normal = torch.distributions.Normal(x, named["log_std"].exp())
            action = (x + named["log_std"].exp() * eps).detach()
            logs[-1].append(normal.log_prob(action).sum())
            at, reward, done, late, _ = env.step((0.1 * action).numpy())
            gains[-1].append(reward)
            if done or late:
                break
    return logs, gains


def test_the_gradient_is_what_a_loop_over_episodes_and_steps_gives(task: Navigation) -> None:
    """With a goal so near that some episodes end early."""
    near = Navigation(torch.tensor([[0.02, 0.0], [0.3, -0.4]]), episodes=4)
    w = near.initial(5)[None].expand(2, -1).clone()
    w[:, -2:] = -2.0
    batch = near.everything(torch.arange(2), 0)[0]
    alive = near.take(w, batch).alive
    assert not alive[0].all()
    assert alive[1].all()
    ours = gradient_of(near.loss, w, batch)
    for client in range(2):
        x = w[client : client + 1].clone().requires_grad_()
        logs, gains = by_hand(near, x, near.goals[client].numpy(), batch[1][client])
        assert [len(g) for g in gains] == alive[client].sum(1).tolist()
        returns = [
            [sum(0.99 ** (k - h) * g[k] for k in range(h, len(g))) for h in range(len(g))] for g in gains
        ]
        env_steps = near.take(w, batch).observations[client]
        t = [torch.arange(1, len(g) + 1) / 100 for g in gains]
        o = [env_steps[n, : len(g)] for n, g in enumerate(gains)]
        features = torch.cat(
            [
                torch.cat([a, a**2, torch.stack([b, b**2, b**3, b**0], 1)], 1)
                for a, b in zip(o, t, strict=True)
            ]
        ).double()
        target = torch.tensor([r for episode in returns for r in episode], dtype=torch.float64)
        ridge = features.T @ features + 1e-5 * torch.eye(8)
        advantage = target - features @ torch.linalg.solve(ridge, features.T @ target)
        advantage = (advantage - advantage.mean()) / advantage.std(correction=0)
        every = torch.stack([log for episode in logs for log in episode])
        loss = -(every * advantage).sum() / len(gains) / HORIZON
        (expected,) = torch.autograd.grad(loss, x)
        error = float((ours[client] - expected[0]).norm() / expected.norm())
        assert error < 1e-3


def test_goals_cannot_be_pooled(task: Navigation) -> None:
    with pytest.raises(ValueError, match="pooled"):
        task.pooled()


def test_a_judgement_is_the_mean_return_and_changes_nothing(task: Navigation) -> None:
    w = task.initial(0)
    before = w.clone()
    each = task.judge(w, 3)
    assert each.shape == (5,)
    assert torch.equal(each, task.judge(w.expand(5, -1), 3))
    assert not torch.equal(each, task.judge(w, 4))
    assert torch.equal(w, before)
    assert task.evaluate(w)["return"] == pytest.approx(float(task.judge(w).mean()))
