"""Models of their own at a quadratic price: `MoreauEnvelope` and `Ditto`."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.objectives.bounds import NonNegative, Positive, Steps
from federated.objectives.strength import AUTO, Strength, prices, require_stable
from federated.tasks import Batch, Descent, Slopes


@dataclass(frozen=True)
class MoreauEnvelope:
    """Models free to leave the common one at a quadratic price (Dinh 2020; PersA-FL option C).

    θ̂ is found by gradient descent on h(θ) = f_i(θ) + (λ/2)‖θ − w‖² from w, which is stable for
    inner_lr·(λ + L) < 2, so that inner_lr·λ ≥ 2 is refused; a client stops as soon as ‖∇h‖ ≤ tolerance,
    and is then at most tolerance/(λ − L) away from θ̂.

    Attributes:
        lam: λ; towards ∞ it is Vanilla, towards 0 users are alone. "auto": 15, and for the users' own models
            what validation finds best, ∞ included.
        inner_steps: at most K steps in a gradient.
        inner_lr: size of the inner steps.
        tolerance: ν, the norm of ∇h that is accurate enough.
        personal_steps: at most so many steps for the user's own model. With the default λ and step size 20
            leave a thousandth of the way; at the kinks of a network further ones only waver.
        inner_batches: all inner steps of a gradient on the "same" batch, or each on a "fresh" one, as MEMRL
            has it (Toghani 2023): behaviour is sampled from the policy of the moment.
    """

    lam: Positive | Literal["auto"] = AUTO
    inner_steps: Steps = 3
    inner_lr: Positive = 0.02
    tolerance: NonNegative = 1e-3
    personal_steps: Steps = 20
    inner_batches: Literal["same", "fresh"] = "same"

    personal = True
    personal_settings = ("personal_steps",)

    def __post_init__(self) -> None:
        require_stable(self.inner_lr, self.strength.usual)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: λ."""
        return prices(self.lam, self.inner_lr)

    @property
    def draws(self) -> int:
        """See `Objective.draws`."""
        return self.inner_steps if self.inner_batches == "fresh" else 1

    @property
    def gradients(self) -> int:
        """See `Objective.gradients`."""
        return self.inner_steps

    def descent(self, lr: float, steps: int) -> Descent:
        """See `Objective.descent`: w − η λ (w − θ̂) is a part η λ of the way to θ̂."""
        lam = self.strength.usual
        return Descent(self.inner_steps, self.inner_lr, lam, self.tolerance, laps=steps, way=lr * lam)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        lam = self.strength.usual
        return lam * (w - self._minimise(task, w, batches, self.inner_steps, lam))

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`: θ̂ on all of the user's training data."""
        lam = self.strength.taken(strength)
        return w.clone() if math.isinf(lam) else self._minimise(task, w, data, self.personal_steps, lam)

    def _minimise(self, task: Slopes, w: Tensor, batches: Sequence[Batch], steps: int, lam: float) -> Tensor:
        return task.descend(w, w, batches, Descent(steps, self.inner_lr, lam, self.tolerance))


@dataclass(frozen=True)
class Ditto:
    """One model for all, learned as by `Vanilla`, and users' own beside it as by `MoreauEnvelope` (Li 2021).

    Own models never touch the common one, so that they can be found when it is done, and with any λ.

    Attributes:
        lam: λ, the price at which own models leave the common one; "auto": what validation finds best.
        inner_lr: size of the steps to them.
        personal_steps: their number, each on all of the user's training data.
    """

    lam: Positive | Literal["auto"] = AUTO
    inner_lr: Positive = 0.02
    personal_steps: Steps = 20

    draws = gradients = 1
    personal = True
    personal_settings = ("lam", "inner_lr", "personal_steps")

    def __post_init__(self) -> None:
        require_stable(self.inner_lr, self.strength.usual)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: λ."""
        return prices(self.lam, self.inner_lr)

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
        lam = self.strength.taken(strength)
        if math.isinf(lam):
            return w.clone()
        return task.descend(w, w, data, Descent(self.personal_steps, self.inner_lr, lam))
