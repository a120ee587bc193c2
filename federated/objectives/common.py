"""One model for all: `Vanilla` and `Proximal`."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.objectives.bounds import NonNegative
from federated.objectives.strength import Strength
from federated.tasks import Batch, Descent, Slopes


@dataclass(frozen=True)
class Vanilla:
    """One model for all (McMahan 2017; PersA-FL option A)."""

    draws = gradients = 1
    personal = False
    personal_settings = ()
    strength = Strength("", 0)

    def descent(self, lr: float, steps: int) -> Descent:
        """See `Objective.descent`."""
        return Descent(steps, lr)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """A copy of w: nothing is personal here."""
        return w.clone()


@dataclass(frozen=True)
class Proximal:
    """One model for all, from which local steps stray only at a quadratic price (FedProx, Li 2020).

    Attributes:
        mu: μ, that price; 0 is Vanilla.
    """

    mu: NonNegative = 0.01

    draws = gradients = 1
    personal = False
    personal_settings = ()
    strength = Strength("", 0)

    def descent(self, lr: float, steps: int) -> Descent:
        """See `Objective.descent`."""
        return Descent(steps, lr, self.mu)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0]).add(w - read, alpha=self.mu)

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """A copy of w: nothing is personal here."""
        return w.clone()
