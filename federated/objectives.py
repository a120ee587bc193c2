"""Who the model is for: the objectives, each a pair of pure functions.

``gradient`` estimates ∇F_i for C clients at once, each at its own parameters w (C, P) and on its own
part of every batch; ``personalise`` turns w into the users' own models. Neither changes its input,
and both return new tensors: a personal model never shares memory with the global one.

========  ==========================================  ===============================  =============
name      F_i(w)                                      ∇F_i(w)                          user's model
========  ==========================================  ===============================  =============
Vanilla   f_i(w)                                      ∇f_i(w)                          w
Reptile   f_i(w)                                      ∇f_i(w)                          w, some steps on
MAML      f_i(w_u), w_{r+1} = w_r − α∇f_i(w_r)        Π_r (I − α∇²f_i(w_r)) ∇f_i(w_u)  w_u
Moreau    min_θ f_i(θ) + (λ/2)‖θ − w‖²                λ (w − θ̂_i(w))                   θ̂_i(w)
Ditto     f_i(w)                                      ∇f_i(w)                          θ̂_i(w)
Proximal  f_i(w) + (μ/2)‖w − read‖²                   ∇f_i(w) + μ (w − read)           w
========  ==========================================  ===============================  =============
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.tasks import Batch, Slopes

MOST = 1e30
"""Greatest factor that makes sense: its products still are numbers of 32 bits."""

Positive = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=10_000)]


class Objective(Protocol):
    """What every objective offers."""

    @property
    def draws(self) -> int:
        """Independent batches that one gradient needs."""
        ...

    @property
    def gradients(self) -> int:
        """How often, at most, one gradient of F_i asks for one of f_i."""
        ...

    @property
    def pull(self) -> float | None:
        """c where ∇F_i(w) = ∇f_i(w) + c (w − read): local steps are a proximal descent then; else None."""
        ...

    @property
    def personal(self) -> bool:
        """Whether users get models of their own."""
        ...

    @property
    def personal_settings(self) -> tuple[str, ...]:
        """Hyper-parameters that only `personalise` reads: with others the own models can be found anew."""
        ...

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """The estimate (C, P) of ∇F_i at w (C, P) from ``draws`` batches.

        Args:
            task: gives the derivatives of f_i.
            w: where.
            batches: ``draws`` of them.
            read: (C, P) the models that the clients read before their first local step.
        """
        ...

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """The users' own models (C, P), from w (C, P) and all their training data, see `Task.everything`."""
        ...


@dataclass(frozen=True)
class Vanilla:
    """One model for all (McMahan 2017; PersA-FL option A)."""

    draws = gradients = 1
    pull = 0.0
    personal = False
    personal_settings = ()

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """A copy of w: nothing is personal here."""
        return w.clone()


@dataclass(frozen=True)
class Proximal:
    """One model for all, from which local steps stray only at a quadratic price (FedProx, Li 2020).

    Attributes:
        mu: μ, that price; 0 is Vanilla.
    """

    mu: NonNegative = 0.1

    draws = gradients = 1
    personal = False
    personal_settings = ()

    @property
    def pull(self) -> float:
        """See `Objective.pull`."""
        return self.mu

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0]).add(w - read, alpha=self.mu)

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """A copy of w: nothing is personal here."""
        return w.clone()


@dataclass(frozen=True)
class MAML:
    """A model that u gradient steps make personal (Finn 2017; Fallah 2020; PersA-FL option B).

    Attributes:
        alpha: size of the personal steps.
        maml_steps: their number u; 0 is Vanilla.
        curvature: Hessian-vector products "exact" (double backward), by "finite-difference"
            [g(w+δv) − g(w−δv)]/2δ, or dropped: "first-order".
        delta: δ of the finite difference.
    """

    alpha: NonNegative = 0.005
    maml_steps: Annotated[int, Field(ge=0, le=100)] = 1
    curvature: Literal["exact", "finite-difference", "first-order"] = "exact"
    delta: Positive = 1e-3

    pull = None
    personal = True
    personal_settings = ()

    @property
    def draws(self) -> int:
        """u for the personal steps, 1 where they lead, u for the Hessians on the way back."""
        return self.maml_steps + 1 + (self.maml_steps if self.curvature != "first-order" else 0)

    @property
    def gradients(self) -> int:
        """See `Objective.gradients`; a Hessian-vector product counts as two."""
        return self.maml_steps + 1 + (2 * self.maml_steps if self.curvature != "first-order" else 0)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`; every factor of the product uses a batch of its own."""
        u = self.maml_steps
        path = [w]
        for r in range(u):
            path.append(path[r] - self.alpha * task.gradient(path[r], batches[r]))
        v = task.gradient(path[u], batches[u])
        if self.curvature != "first-order":
            for r in reversed(range(u)):
                v = v - self.alpha * self._hessian_times(task, path[r], v, batches[u + 1 + r])
        return v

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`: u full-batch steps."""
        return task.descend(w, w, data, self.maml_steps, self.alpha)

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
        adapt_steps: their number, each on all of the user's training data.
    """

    adapt_lr: Positive = 0.02
    adapt_steps: Steps = 20

    draws = gradients = 1
    pull = 0.0
    personal = True
    personal_settings = ("adapt_lr", "adapt_steps")

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`."""
        return task.descend(w, w, data, self.adapt_steps, self.adapt_lr)


@dataclass(frozen=True)
class MoreauEnvelope:
    """Models free to leave the common one at a quadratic price (Dinh 2020; PersA-FL option C).

    θ̂ is found by gradient descent on h(θ) = f_i(θ) + (λ/2)‖θ − w‖² from w, which is stable for
    inner_lr·(λ + L) < 2, so that inner_lr·λ ≥ 2 is refused; a client stops as soon as ‖∇h‖ ≤ tolerance,
    and is then at most tolerance/(λ − L) away from θ̂.

    Attributes:
        lam: λ; ∞ is Vanilla, 0 leaves users alone.
        inner_steps: at most K steps in a gradient.
        inner_lr: size of the inner steps.
        tolerance: ν, the norm of ∇h that is accurate enough.
        personal_steps: at most so many steps for the user's own model. With the default λ and step size 20
            leave a thousandth of the way; at the kinks of a network further ones only waver.
        inner_batches: all inner steps of a gradient on the "same" batch, or each on a "fresh" one, as MEMRL
            has it (Toghani 2023): behaviour is sampled from the policy of the moment.
    """

    lam: Positive = 15.0
    inner_steps: Steps = 3
    inner_lr: Positive = 0.02
    tolerance: NonNegative = 1e-3
    personal_steps: Steps = 20
    inner_batches: Literal["same", "fresh"] = "same"

    pull = None
    personal = True
    personal_settings = ("personal_steps",)

    def __post_init__(self) -> None:
        _require_stable(self.inner_lr, self.lam)

    @property
    def draws(self) -> int:
        """See `Objective.draws`."""
        return self.inner_steps if self.inner_batches == "fresh" else 1

    @property
    def gradients(self) -> int:
        """See `Objective.gradients`."""
        return self.inner_steps

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return self.lam * (w - self._minimise(task, w, batches, self.inner_steps))

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`: θ̂ on all of the user's training data."""
        return self._minimise(task, w, data, self.personal_steps)

    def _minimise(self, task: Slopes, w: Tensor, batches: Sequence[Batch], steps: int) -> Tensor:
        return task.descend(w, w, batches, steps, self.inner_lr, self.lam, self.tolerance)


@dataclass(frozen=True)
class Ditto:
    """One model for all, learned as by `Vanilla`, and users' own beside it as by `MoreauEnvelope` (Li 2021).

    Own models never touch the common one, so that they can be found when it is done, and with any λ.

    Attributes:
        lam: λ, the price at which own models leave the common one.
        inner_lr: size of the steps to them.
        personal_steps: their number, each on all of the user's training data.
    """

    lam: Positive = 15.0
    inner_lr: Positive = 0.02
    personal_steps: Steps = 20

    draws = gradients = 1
    pull = 0.0
    personal = True
    personal_settings = ("lam", "inner_lr", "personal_steps")

    def __post_init__(self) -> None:
        _require_stable(self.inner_lr, self.lam)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(self, task: Slopes, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`."""
        return task.descend(w, w, data, self.personal_steps, self.inner_lr, self.lam)


def _require_stable(inner_lr: float, lam: float) -> None:
    """Raise ValueError if a descent with these would move away from the own model that it is to find."""
    if inner_lr * lam >= 2:
        raise ValueError(
            f"inner_lr · lam = {inner_lr:g} · {lam:g} = {inner_lr * lam:g} must be under 2, or every inner "
            "step leads further away from the user's own model"
        )
