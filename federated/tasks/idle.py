"""A task without data, for a training whose work is not done here: only its course, or on other machines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from federated.tasks import Ask, Batch, Chance, Descent, nobody
from federated.tasks.autograd import ByAutograd


@dataclass(frozen=True)
class Idle(ByAutograd):
    """A task of which nothing is learned here; implements `Task`.

    Attributes:
        samples: (U,) that users hold.
        start: (P,) where training begins.
        judge: validation figures of a model (P,), by whoever has the data.
    """

    samples: Tensor
    start: Tensor = field(default_factory=lambda: torch.zeros(1))
    judge: Callable[[Tensor], dict[str, float]] = lambda w: {}

    def initial(self, seed: int) -> Tensor:
        """Where training begins."""
        return self.start

    def descend(
        self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent, ask: Ask = nobody
    ) -> Tensor:
        """Stays where it is."""
        return w.clone()

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> Sequence[Batch]:
        """Nothing, K times."""
        return [None] * len(index)

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> Sequence[Batch]:
        """Nothing."""
        return [None]

    def loss(self, w: Tensor, batch: Batch) -> Tensor:
        """(C,) zeros."""
        return w.sum(1) * 0

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """Validation figures."""
        return self.judge(w)

    def flipped(self, users: Tensor) -> "Idle":
        """Nothing is learned, whatever labels say."""
        return self

    def pooled(self) -> "Idle":
        """All samples in one place."""
        return replace(self, samples=self.samples.sum()[None])
