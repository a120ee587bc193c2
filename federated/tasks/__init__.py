"""What is being learned: a batch, its loss, and how good a model is. Nothing else in `federated` knows."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

Batch = Any
"""Training data of C clients, stacked; only its task looks inside."""

Loss = Callable[[Tensor, Batch], Tensor]
"""Each client's own loss (C,) for its own parameters (C, P) on its own part of a batch."""


class Task(Protocol):
    """A learning problem shared by U users with P parameters."""

    @property
    def samples(self) -> Tensor:
        """(U,) int64, how many training samples each user holds."""
        ...

    def initial(self, seed: int) -> Tensor:
        """Start parameters (P,)."""
        ...

    def batches(self, users: Tensor, index: Tensor) -> Sequence[Sequence[Batch]]:
        """For each of Q local steps its D batches, all fetched at once.

        Args:
            users: (C,) whose data it is.
            index: (Q, D, C, B) samples, counted within each user's own data.
        """
        ...

    def everything(self, users: Tensor) -> Batch:
        """All training data of users (C,), each sample weighing the same within its user."""
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
