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


@dataclass(frozen=True)
class Descent:
    """Proximal gradient steps θ ← θ − lr (∇f_i(θ) + pull (θ − anchor)).

    They are what local SGD, personal steps and the inner problem of an envelope have in common. Where there
    are ``laps``, each begins with the anchor where it begins itself, has the next part of the batches to
    itself, and goes back when its steps are done: it ends a part of the way to where they led. So w goes
    down an envelope, and without a pull that is Lookahead (Zhang 2019).

    Attributes:
        steps: their number, in every lap.
        lr: their size.
        pull: how strongly θ is held near the anchor.
        tolerance: a client takes no step along a slope with a norm that is not greater.
        laps: their number; 0: no laps, just steps.
        way: the part of the way that is left of every lap.
    """

    steps: int
    lr: float
    pull: float = 0.0
    tolerance: float = 0.0
    laps: int = 0
    way: float = 1.0


Ask = Callable[[], None]
"""Asks whether anybody still waits, and raises if not."""


def nobody() -> None:
    """Asks nobody."""


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

    def descend(self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent) -> Tensor:
        """Proximal gradient steps from w towards where f_i and the way from ``anchor`` (C, P) balance.

        Args:
            w, anchor: (C, P); laps have anchors of their own.
            batches: step s is on the batch with the number s modulo how many there are, or how many there
                are for its lap.
            how: the steps.
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
        self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent, ask: Ask = nobody
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

    def rehearsal(self) -> "Rehearsal | None":
        """How users can judge models of their own; None where they cannot."""
        ...

    def pooled(self) -> "Task":
        """The same problem with all data in one place: a single user holds it."""
        ...


@dataclass(frozen=True)
class Rehearsal:
    """Models of users' own, made and judged before they are in use.

    Attributes:
        task: the same problem without each user's latest samples, as many as they have to judge by.
        samples: (U,) that each has to judge by.
        losses: of own models (C, P) of users (C,), in the order users, models: their validation losses (C,);
            NaN for who has nothing to judge by, ∞ where a model's output is not finite.
    """

    task: Task
    samples: Tensor
    losses: Callable[[Tensor, Tensor], Tensor]
