"""What a client does with the model it has read: Q local steps, all clients of a stack at once.

An update depends on its user's data, its keyed randomness and the parameters it read, and on nothing
else; so updates that can be computed together are computed together, in one tensor program.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from data.randomness import generator
from federated.objectives import Objective, Positive
from federated.tasks import Task

STACK = 50
"""Clients computed in one tensor program: more gain nothing on a CPU and cost memory."""


@dataclass(frozen=True)
class LocalSGD:
    """Local training.

    Attributes:
        lr: η, the step size.
        local_steps: Q, steps between read and upload.
        batch_size: samples in one batch, drawn with replacement from the user's own.
    """

    lr: Positive = 0.05
    local_steps: Annotated[int, Field(ge=0, le=100_000)] = 10
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 4


@plain_dataclass(frozen=True)
class Clients:
    """All users of a task, as a schedule sees them: number, sizes, updates."""

    task: Task
    objective: Objective
    local: LocalSGD
    seed: int

    @property
    def number(self) -> int:
        """U, how many users there are."""
        return len(self.task.samples)

    @property
    def samples(self) -> Tensor:
        """(U,) training samples of each user."""
        return self.task.samples

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Tensor:
        """Δ_i = w_0 − w_Q (C, P) of C clients.

        Args:
            users: (C,) who computes.
            counters: (C,) the how-manieth update of that user this is; it keys the batches.
            w: (C, P) the parameters that each one read.
        """
        parts = torch.arange(len(users)).split(STACK)
        chosen = torch.tensor(users)
        index = torch.stack([self._draw(u, c) for u, c in zip(users, counters, strict=True)])
        return torch.cat([self._delta(chosen[p], index[p], w[p]) for p in parts])

    def personalise(self, w: Tensor) -> Tensor:
        """Every user's own model (U, P), from one model (P,) or one each (U, P)."""
        personal = w.expand(self.number, -1).clone()
        by_size = torch.argsort(self.samples, stable=True)  # users of like size waste no padding
        for users in by_size.split(STACK // 2):
            data = self.task.everything(users)
            personal[users] = self.objective.personalise(self.task.loss, personal[users], data)
        return personal

    def _delta(self, users: Tensor, index: Tensor, start: Tensor) -> Tensor:
        w = start
        for step in range(self.local.local_steps):
            batches = [self.task.batch(users, index[:, step, d]) for d in range(self.objective.draws)]
            w = w - self.local.lr * self.objective.gradient(self.task.loss, w, batches)
        return start - w

    def _draw(self, user: int, counter: int) -> Tensor:
        """(Q, draws, B) sample indices of one update."""
        shape = (self.local.local_steps, self.objective.draws, self.local.batch_size)
        draw = generator(self.seed, "batch", user, counter)
        return torch.from_numpy(draw.integers(int(self.samples[user]), size=shape, dtype=np.int64))
