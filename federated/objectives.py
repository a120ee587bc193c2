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
========  ==========================================  ===============================  =============
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, cast

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.tasks import Batch, Loss

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
    def personal(self) -> bool:
        """Whether users get models of their own."""
        ...

    @property
    def personal_settings(self) -> tuple[str, ...]:
        """Hyper-parameters that only `personalise` reads: with others the own models can be found anew."""
        ...

    def gradient(self, loss: Loss, w: Tensor, batches: Sequence[Batch]) -> Tensor:
        """The estimate (C, P) of ∇F_i at w (C, P) from ``draws`` batches."""
        ...

    def personalise(self, loss: Loss, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """The users' own models (C, P), from w (C, P) and all their training data, see `Task.everything`."""
        ...


@dataclass(frozen=True)
class Vanilla:
    """One model for all (McMahan 2017; PersA-FL option A)."""

    draws = gradients = 1
    personal = False
    personal_settings = ()

    def gradient(self, loss: Loss, w: Tensor, batches: Sequence[Batch]) -> Tensor:
        """See `Objective.gradient`."""
        return gradient_of(loss, w, batches[0])

    def personalise(self, loss: Loss, w: Tensor, data: Sequence[Batch]) -> Tensor:
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

    def gradient(self, loss: Loss, w: Tensor, batches: Sequence[Batch]) -> Tensor:
        """See `Objective.gradient`; every factor of the product uses a batch of its own."""
        u = self.maml_steps
        path = [w]
        for r in range(u):
            path.append(path[r] - self.alpha * gradient_of(loss, path[r], batches[r]))
        v = gradient_of(loss, path[u], batches[u])
        if self.curvature != "first-order":
            for r in reversed(range(u)):
                v = v - self.alpha * self._hessian_times(loss, path[r], v, batches[u + 1 + r])
        return v

    def personalise(self, loss: Loss, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`: u full-batch steps."""
        personal = w.clone()
        for r in range(self.maml_steps):
            personal = personal - self.alpha * gradient_of(loss, personal, data[r % len(data)])
        return personal

    def _hessian_times(self, loss: Loss, w: Tensor, v: Tensor, batch: Batch) -> Tensor:
        if self.curvature == "finite-difference":
            step = self.delta * v
            return (gradient_of(loss, w + step, batch) - gradient_of(loss, w - step, batch)) / (
                2 * self.delta
            )
        if torch.compiler.is_compiling():  # which follows functional gradients only
            slope = torch.func.grad(lambda x: loss(x, batch).sum())
            return cast(Tensor, torch.func.grad(lambda x: (slope(x) * v).sum())(w))
        w = w.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(w, batch).sum(), w, create_graph=True)
            (product,) = torch.autograd.grad((gradient * v).sum(), w)
        return product


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
    personal = True
    personal_settings = ("adapt_lr", "adapt_steps")

    def gradient(self, loss: Loss, w: Tensor, batches: Sequence[Batch]) -> Tensor:
        """See `Objective.gradient`."""
        return gradient_of(loss, w, batches[0])

    def personalise(self, loss: Loss, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`."""
        personal = w.clone()
        for r in range(self.adapt_steps):
            personal = personal - self.adapt_lr * gradient_of(loss, personal, data[r % len(data)])
        return personal


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

    personal = True
    personal_settings = ("personal_steps",)

    def __post_init__(self) -> None:
        if self.inner_lr * self.lam >= 2:
            raise ValueError(
                f"inner_lr · lam = {self.inner_lr:g} · {self.lam:g} = {self.inner_lr * self.lam:g} must be "
                "under 2, or every inner step leads further away from the user's own model"
            )

    @property
    def draws(self) -> int:
        """See `Objective.draws`."""
        return self.inner_steps if self.inner_batches == "fresh" else 1

    @property
    def gradients(self) -> int:
        """See `Objective.gradients`."""
        return self.inner_steps

    def gradient(self, loss: Loss, w: Tensor, batches: Sequence[Batch]) -> Tensor:
        """See `Objective.gradient`."""
        return self.lam * (w - self._minimise(loss, w, batches, self.inner_steps))

    def personalise(self, loss: Loss, w: Tensor, data: Sequence[Batch]) -> Tensor:
        """See `Objective.personalise`: θ̂ on all of the user's training data."""
        return self._minimise(loss, w, data, self.personal_steps)

    def _minimise(self, loss: Loss, w: Tensor, batches: Sequence[Batch], steps: int) -> Tensor:
        theta = w.clone()  # a copy, so that what follows may work in place, which is faster
        for k in range(steps):
            slope = gradient_of(loss, theta, batches[k % len(batches)]).add_(theta - w, alpha=self.lam)
            moving = slope.norm(dim=1, keepdim=True) > self.tolerance
            if not torch.compiler.is_compiling() and not moving.any():
                break  # compiled programs take the remaining steps, which move nobody
            theta.addcmul_(slope, moving.to(w.dtype), value=-self.inner_lr)
        return theta


def gradient_of(loss: Loss, w: Tensor, batch: Batch) -> Tensor:
    """∇f_i(w) (C, P) of every client: one backward pass through the sum of their losses."""
    if torch.compiler.is_compiling():  # which follows functional gradients only
        return cast(Tensor, torch.func.grad(lambda x: loss(x, batch).sum())(w))
    w = w.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(w, batch).sum(), w)
    return gradient
