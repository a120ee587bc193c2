"""What is being learned: a batch, its loss, and how good a model is. Nothing else in `federated` knows."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from data.randomness import generator

Batch = Any
"""Training data of C clients, stacked; only its task looks inside."""

Loss = Callable[[Tensor, Batch], Tensor]
"""Each client's own loss (C,) for its own parameters (C, P) on its own part of a batch."""


@dataclass(frozen=True)
class Chance:
    """Where behaviour is sampled: what keys the draws of C clients, beside those of their samples.

    Attributes:
        part: of an update whose batches are fetched in several parts.
    """

    seed: int
    purpose: str
    users: Sequence[int]
    counters: Sequence[int]
    part: int = 0

    def generators(self) -> list[np.random.Generator]:
        """A stream of random numbers for each client."""
        pairs = zip(self.users, self.counters, strict=True)
        part = (self.part,) if self.part else ()
        return [generator(self.seed, self.purpose, user, counter, *part) for user, counter in pairs]


class Endless(Sequence[Batch]):
    """Batches without end; number r is made when it is asked for, and the same every time."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, r: Any) -> Any:
        return self._make(r)


class Task(Protocol):
    """A learning problem shared by U users with P parameters."""

    @property
    def samples(self) -> Tensor:
        """(U,) int64, how many training samples each user holds."""
        ...

    def initial(self, seed: int) -> Tensor:
        """Start parameters (P,)."""
        ...

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> Sequence[Sequence[Batch]]:
        """For each of Q local steps its D batches, all fetched at once.

        Args:
            users: (C,) whose data it is.
            index: (Q, D, C, B) samples, counted within each user's own data.
            chance: what is drawn beside them, if anything.
        """
        ...

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> Sequence[Batch]:
        """All training data of users (C,), each sample weighing the same within its user.

        It is one batch; where behaviour is sampled, there is a new one for every step that is taken, and
        ``seed`` keys it. Step r uses batch r modulo their number.

        Args:
            users: (C,).
            seed: of the run.
            most: samples of a user, at most, the latest ones; None: all. Behaviour has no such bound.
        """
        ...

    def loss(self, w: Tensor, batch: Batch) -> Tensor:
        """Mean loss (C,) over each client's samples, with parameters w (C, P)."""
        ...

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """Validation figures of one model for all (P,) or of one for each user (U, P).

        Raises:
            FloatingPointError: the model's output is no longer finite.
        """
        ...

    def pooled(self) -> "Task":
        """The same problem with all data in one place: a single user holds it."""
        ...
