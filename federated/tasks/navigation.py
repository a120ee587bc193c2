"""2-D navigation (Finn 2017): from the origin to a goal that shows in nothing but the rewards.

Users are goals in [−½, ½]². Observed is the position, an action is a velocity within ±0.1 a step on each
axis, the reward is minus the distance to the goal after the move; an episode ends within 0.01 of the goal on
both axes, or after H = 100 steps. Who is blind to the goal does best to stay, for about −38.3: whatever is
above that is adaptation.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from federated.tasks import Chance, Endless
from federated.tasks.autograd import ByAutograd
from federated.tasks.gaussian_policy import Episodes, GaussianPolicy
from federated.tasks.policy_gradient import linear_baseline, normalised, rewards_to_go, surrogate

HORIZON = 100
FASTEST, NEAR, FARTHEST_GOAL = 0.1, 0.01, 0.5
REACH = FASTEST * (HORIZON + 1)
"""Nobody gets farther than this; one step more than there are, for rounding's sake."""

Floats = NDArray[np.float32]
Space = gymnasium.Space[Floats]
Flags = NDArray[np.bool_]
Attempt = tuple[Tensor, Tensor]
"""Goals (C, 2), and the noise (C, N, H, 2) of N episodes each."""


def draw_goals(chance: np.random.Generator, number: int) -> Floats:
    """(number, 2) goals, uniform in [−½, ½]²."""
    return chance.uniform(-FARTHEST_GOAL, FARTHEST_GOAL, (number, 2)).astype(np.float32)


def _spaces() -> tuple[Space, Space]:
    """Of observations and of actions."""
    positions = gymnasium.spaces.Box(-REACH, REACH, (2,), np.float32)
    return positions, gymnasium.spaces.Box(-FASTEST, FASTEST, (2,), np.float32)


class NavigationVectorEnv(VectorEnv[Floats, Floats, NDArray[Any]]):
    """E environments with a goal each, that end together. Who has arrived stays, for no reward.

    Args:
        goals: (E, 2), the same after every reset; None: each reset draws new ones.
        num_envs: E, where goals are drawn.
    """

    def __init__(self, goals: Floats | None = None, num_envs: int = 1) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self.num_envs = num_envs if goals is None else len(goals)
        self.single_observation_space, self.single_action_space = _spaces()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._given = goals

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """All at the origin (E, 2)."""
        super().reset(seed=seed)
        self.goals = draw_goals(self.np_random, self.num_envs) if self._given is None else self._given
        self._position = np.zeros((self.num_envs, 2), np.float32)
        self._arrived = np.zeros(self.num_envs, np.bool_)
        self._steps = 0
        return self._position.copy(), {}

    def step(self, actions: Floats) -> tuple[Floats, Floats, Flags, Flags, dict[str, Any]]:
        """Positions (E, 2), rewards (E,), who has arrived (E,), and who has not but time is over (E,)."""
        moving = ~self._arrived
        self._position = self._position + np.clip(actions, -FASTEST, FASTEST) * moving[:, None]
        away = self._position - self.goals
        rewards = -np.hypot(away[:, 0], away[:, 1]) * moving
        self._arrived = ~moving | (np.abs(away) < NEAR).all(1)
        self._steps += 1
        late = ~self._arrived & (self._steps >= HORIZON)
        return self._position.copy(), rewards, self._arrived.copy(), late, {}


class NavigationEnv(gymnasium.Env[Floats, Floats]):
    """One of them.

    Args:
        goal: (2,), the same after every reset; None: each reset draws a new one.
    """

    def __init__(self, goal: Floats | None = None) -> None:
        self.observation_space, self.action_space = _spaces()
        self._given = goal

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """At the origin (2,)."""
        super().reset(seed=seed)
        goals = draw_goals(self.np_random, 1) if self._given is None else self._given[None]
        self._one = NavigationVectorEnv(goals)
        positions, _ = self._one.reset()
        return positions[0], {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Position (2,), reward, whether the goal is reached, whether it is not but time is over."""
        positions, rewards, arrived, late, _ = self._one.step(action[None])
        return positions[0], float(rewards[0]), bool(arrived[0]), bool(late[0]), {}


POLICY = GaussianPolicy(observations=2, actions=2, scale=FASTEST)


@dataclass(frozen=True)
class Navigation(ByAutograd):
    """Users with a goal each, learned by policy gradients; a sample is an episode.

    Attributes:
        goals: (U, 2).
        policy: of positions, for moves.
        discount: γ of the rewards-to-go.
        episodes: N of each personal step and each judgement.
    """

    goals: Tensor
    policy: GaussianPolicy = POLICY
    discount: float = 0.99
    episodes: int = 20

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`; of episodes there is no end, so that all count alike."""
        return torch.ones(len(self.goals), dtype=torch.int64)

    def initial(self, seed: int) -> Tensor:
        """See `Task.initial`."""
        return self.policy.initial(seed)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[Attempt]:
        """See `Task.batches`; of ``index`` the shape alone matters."""
        batches, _, size = index.shape
        noise = self._noise(chance, (batches, size))
        return [(self.goals[users], noise[:, batch]) for batch in range(batches)]

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> Endless:
        """See `Task.everything`: new episodes in every batch."""
        return self.attempts(users, seed, "personal episodes")

    def attempts(self, users: Tensor, seed: int, purpose: str) -> Endless:
        """Batches of new episodes, for a purpose of their own."""
        goals, people = self.goals[users], users.tolist()

        def attempt(step: int) -> Attempt:
            chance = Chance(seed, purpose, people, [step] * len(people))
            return goals, self._noise(chance, (self.episodes,))

        return Endless(attempt)

    def loss(self, w: Tensor, batch: Attempt) -> Tensor:
        """0 (C,), with the derivatives of minus the expected reward of a step; advantages are normalised."""
        with torch.no_grad():
            taken = self.take(w, batch)
            returns = rewards_to_go(taken.rewards, self.discount)
            baseline = linear_baseline(taken.observations, returns, taken.alive)
            advantage = normalised(returns - baseline, taken.alive)
        chosen = self.policy.log_probability(w, taken.observations, taken.actions)
        return -surrogate(chosen, advantage).mean(1) / HORIZON

    def take(self, w: Tensor, batch: Attempt) -> Episodes:
        """The episodes of policies w (C, P)."""
        goals, noise = batch
        with torch.no_grad():
            env = NavigationVectorEnv(goals.numpy().repeat(noise.shape[1], 0))
            return self.policy.episodes(w.detach(), env, noise)

    def judge(self, w: Tensor, seed: int = 0) -> Tensor:
        """Mean return (U,) of new episodes, without discount, of one policy (P,) or one each (U, P)."""
        users = torch.arange(len(self.goals))
        attempt = self.attempts(users, seed, "judged episodes")[0]
        return self.take(w.expand(len(users), -1), attempt).rewards.sum(2).mean(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """See `Task.evaluate`: the mean return over users."""
        return {"return": float(self.judge(w).mean())}

    def pooled(self) -> "Navigation":
        """One user with all goals is no goal: a policy for all is learned by `Vanilla` with many users.

        Raises:
            ValueError: always.
        """
        raise ValueError("goals cannot be pooled: an episode has one.")

    def _noise(self, chance: Chance, episodes: tuple[int, ...]) -> Tensor:
        """(C, …episodes, H, 2) standard normal variables."""
        shape = (*episodes, HORIZON, 2)
        drawn = [one.standard_normal(shape, dtype=np.float32) for one in chance.generators()]
        return torch.from_numpy(np.stack(drawn))
