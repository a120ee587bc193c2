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


class Slopes(Protocol):
    """Derivatives of C clients' losses, each at its own parameters w (C, P) and on its own part of a batch.

    Nothing that is given is changed, and what is returned is new.
    """

    def gradient(self, w: Tensor, batch: Batch) -> Tensor:
        """∇f_i(w) (C, P)."""
        ...

    def hessian_times(self, w: Tensor, v: Tensor, batch: Batch) -> Tensor:
        """∇²f_i(w) v (C, P), exact."""
        ...

    def descend(
        self,
        w: Tensor,
        anchor: Tensor,
        batches: Sequence[Batch],
        steps: int,
        lr: float,
        pull: float = 0.0,
        tolerance: float = 0.0,
    ) -> Tensor:
        """Proximal gradient steps θ ← θ − lr (∇f_i(θ) + pull (θ − anchor)) from θ = w.

        It is what local SGD, personal steps and the inner problem of an envelope have in common.

        Args:
            w, anchor: (C, P).
            batches: step s is on the batch with the number s modulo how many there are.
            steps, lr, pull: of the descent.
            tolerance: a client takes no step along a slope with a norm that is not greater.
        """
        ...


class Task(Slopes, Protocol):
    """A learning problem shared by U users with P parameters."""

    @property
    def stacked(self) -> bool:
        """Whether clients gain by being computed in one stack; else they are computed one by one."""
        ...

    @property
    def samples(self) -> Tensor:
        """(U,) int64, how many training samples each user holds."""
        ...

    def initial(self, seed: int) -> Tensor:
        """Start parameters (P,)."""
        ...

    def descend(
        self,
        w: Tensor,
        anchor: Tensor,
        batches: Sequence[Batch],
        steps: int,
        lr: float,
        pull: float = 0.0,
        tolerance: float = 0.0,
        ask: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """See `Slopes.descend`; ``ask`` is called before whatever may take long, and may raise."""
        ...

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> Sequence[Batch]:
        """K batches, all fetched at once.

        Args:
            users: (C,) whose data it is.
            index: (K, C, B) samples, counted within each user's own data.
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

    def held_back(self) -> "Task | None":
        """The same problem without each user's latest samples, as many as they have to judge models by.

        None where users judge no models of their own.
        """
        ...

    def judges(self) -> Tensor:
        """(U,) samples that each user has to judge models by."""
        ...

    def judged(self, users: Tensor, w: Tensor) -> Tensor:
        """Validation losses (C,) of own models (C, P) of users (C,); NaN for who has nothing to judge by."""
        ...

    def pooled(self) -> "Task":
        """The same problem with all data in one place: a single user holds it."""
        ...
