"""Models that some gradient steps make personal: `MAML` and `Reptile`."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.objectives.bounds import NonNegative, Positive, Steps
from federated.objectives.strength import AUTO, LONGEST, MULTIPLES, STEPS, Strength
from federated.tasks import Batch, Descent, Slopes


@dataclass(frozen=True)
class MAML:
    """A model that u gradient steps make personal (Finn 2017; Fallah 2020; PersA-FL option B).

    Attributes:
        alpha: size of the personal steps.
        maml_steps: their number u; 0 is Vanilla.
        curvature: Hessian-vector products "exact" (double backward), by "finite-difference"
            [g(w+δv) − g(w−δv)]/2δ, or dropped: "first-order".
        delta: δ of the finite difference.
        personal_steps: steps to the user's own model, each on all of their training data; "auto": so many
            times u as validation finds best.
    """

    alpha: NonNegative = 0.005
    maml_steps: Annotated[int, Field(ge=0, le=100)] = 1
    curvature: Literal["exact", "finite-difference", "first-order"] = "exact"
    delta: Positive = 1e-3
    personal_steps: Annotated[int, Field(ge=0, le=10_000)] | Literal["auto"] = AUTO

    personal = True
    personal_settings = ("personal_steps",)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: u steps, as many as the objective looks ahead."""
        u = self.maml_steps
        multiples = tuple(u * m for m in MULTIPLES if u * m <= max(u, LONGEST)) if u else ()
        return Strength.of("personal_steps", self.personal_steps, u, multiples)

    @property
    def draws(self) -> int:
        """u for the personal steps, 1 where they lead, u for the Hessians on the way back."""
        return self.maml_steps + 1 + (self.maml_steps if self.curvature != "first-order" else 0)

    @property
    def gradients(self) -> int:
        """See `Objective.gradients`; a Hessian-vector product counts as two."""
        return self.maml_steps + 1 + (2 * self.maml_steps if self.curvature != "first-order" else 0)

    def descent(self, lr: float, steps: int) -> None:
        """See `Objective.descent`: there is none, since a step looks ahead."""

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`; every factor of the product uses a batch of its own."""
        u = self.maml_steps
        path = [w]
        for r in range(u):
            path.append(path[r].sub(task.gradient(path[r], batches[r]), alpha=self.alpha))
        v = task.gradient(path[u], batches[u])
        if self.curvature != "first-order":
            for r in reversed(range(u)):
                v = v.sub(self._hessian_times(task, path[r], v, batches[u + 1 + r]), alpha=self.alpha)
        return v

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`: full-batch steps."""
        return task.descend(w, w, data, Descent(int(self.strength.taken(strength)), self.alpha))

    def _hessian_times(self, task: Slopes, w: Tensor, v: Tensor, batch: Batch) -> Tensor:
        if self.curvature == "finite-difference":
            step = self.delta * v
            return (task.gradient(w + step, batch) - task.gradient(w - step, batch)) / (2 * self.delta)
        return task.hessian_times(w, v, batch)


@dataclass(frozen=True)
class Reptile:
    """One model for all that a few more steps of the same kind make personal (Nichol 2018).

    A client's update is that of `Vanilla`, θ_Q − w; with a cohort and a server_lr ε < 1 that is Reptile's
    w ← w + ε · mean(θ_Q − w). What is new is what the users do with w.

    Attributes:
        adapt_lr: size of the personal steps.
        adapt_steps: their number, each on all of the user's training data; "auto": what validation finds
            best.
    """

    adapt_lr: Positive = 0.02
    adapt_steps: Steps | Literal["auto"] = AUTO

    draws = gradients = 1
    personal = True
    personal_settings = ("adapt_lr", "adapt_steps")

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: 20 steps, as Moreau envelopes take."""
        return Strength.of("adapt_steps", self.adapt_steps, 20, STEPS)

    def descent(self, lr: float, steps: int) -> Descent:
        """See `Objective.descent`."""
        return Descent(steps, lr)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`."""
        return task.descend(w, w, data, Descent(int(self.strength.taken(strength)), self.adapt_lr))
