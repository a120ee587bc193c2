"""A Gaussian policy and the episodes that it takes, of C clients with N episodes each, all at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from ranking.rankers.network import Layout, dense, dense_shapes

FIRST_GAIN = 0.1
"""Of the last layer's start weights: nobody is sent anywhere before something was learned."""


@dataclass(frozen=True)
class Episodes:
    """What was seen, done and gained at each of H steps.

    Attributes:
        observations: (C, N, H, O).
        actions: (C, N, H, A), as the policy gives them.
        rewards: (C, N, H), 0 after the end.
        alive: (C, N, H) bool, whether the step was taken.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    alive: Tensor


@dataclass(frozen=True)
class GaussianPolicy:
    """Actions ~ N(MLP(o), diag(exp(log_std))²), with ReLU; the deviation is learned, the same everywhere.

    Attributes:
        observations: O, numbers seen.
        actions: A, numbers to choose.
        hidden: sizes of the MLP's layers.
        scale: what the environment is told is this times the action.
    """

    observations: int
    actions: int
    hidden: tuple[int, ...] = (100, 100)
    scale: float = 0.1

    @property
    def layout(self) -> Layout:
        """Names and shapes of the P parameters."""
        sizes = [self.observations, *self.hidden, self.actions]
        return Layout({**dense_shapes(sizes), "log_std": (self.actions,)})

    def initial(self, seed: int) -> Tensor:
        """Start parameters (P,): Glorot's uniform weights, no biases, deviation 1."""
        chance = torch.Generator().manual_seed(seed)
        w = torch.zeros(1, self.layout.size)
        named = self.layout.split(w)
        for tensor in named.values():
            if tensor.dim() == 3:
                torch.nn.init.xavier_uniform_(tensor[0], generator=chance)
        named[f"dense{len(self.hidden)}.weight"] *= FIRST_GAIN
        return w[0]

    def log_probability(self, w: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """log π(a|o) (C, N, H), but for a constant, of client c's steps under its parameters w[c] (C, P)."""
        named = self.layout.split(w)
        log_std = named["log_std"][:, None, None]
        mean = self._mean(named, observations.flatten(1, 2)).view_as(actions)
        away = (actions - mean) * (-log_std).exp()
        return (-away.square() / 2 - log_std).sum(-1)

    def episodes(self, w: Tensor, env: VectorEnv[Any, Any, Any], noise: Tensor) -> Episodes:
        """N episodes of each client's policy w[c] (C, P), from a reset on.

        Args:
            w: not differentiated.
            env: C · N environments, client by client, that do not begin again by themselves.
            noise: (C, N, H, A) standard normal variables.
        """
        named = self.layout.split(w)
        deviation = named["log_std"].exp()[:, None]
        side = noise.shape[:2]
        seen = noise.new_empty(*noise.shape[:3], self.observations)
        done, rewards, alive = np.zeros(env.num_envs, bool), [], []
        observed, _ = env.reset()
        actions = torch.empty_like(noise)
        for h in range(noise.shape[2]):
            seen[:, :, h] = torch.from_numpy(observed).view(*side, -1)
            actions[:, :, h] = self._mean(named, seen[:, :, h]) + deviation * noise[:, :, h]
            alive.append(~done)
            observed, reward, ended, late, _ = env.step((self.scale * actions[:, :, h]).flatten(0, 1).numpy())
            rewards.append(np.where(done, 0, reward))
            done = done | ended | late
        columns = (torch.from_numpy(np.stack(part, 1)).view(*side, -1) for part in (rewards, alive))
        return Episodes(seen, actions, *columns)

    def _mean(self, named: dict[str, Tensor], observations: Tensor) -> Tensor:
        return dense(named, observations, len(self.hidden) + 1)
