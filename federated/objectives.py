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

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.tasks import Batch, Slopes

MOST = 1e30
"""Greatest factor that makes sense: its products still are numbers of 32 bits."""

Positive = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=10_000)]


AUTO: Literal["auto"] = "auto"
"""A strength that validation chooses."""

PRICES = (30.0, 15.0, 7.0, 3.0, 1.5, 0.7)
"""λ of own models among which validation chooses, besides ∞: the common model."""

TALK = 15.0
"""λ of the talk."""

MULTIPLES = (0, 1, 2, 5, 10, 20, 50)
"""Of an objective's usual number of personal steps, among which validation chooses."""


class Strength(NamedTuple):
    """How far users' own models go from what they are made from.

    Attributes:
        name: of the hyper-parameter that says so.
        usual: its value, where nobody chooses.
        candidates: values to choose among, the first of which leaves users with what they had; none where the
            value is set, or users have no models of their own.
    """

    name: str
    usual: float
    candidates: tuple[float, ...] = ()


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

    @property
    def strength(self) -> Strength:
        """How far users' own models go, by themselves and as candidates of a choice."""
        ...

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """The users' own models (C, P), from w (C, P) and their training data, see `Task.everything`.

        Args:
            task: gives the derivatives of f_i.
            w: what they are made from.
            data: step r, if there are any, is on batch r modulo their number.
            strength: one of the candidates; None: as far as they usually go.
        """
        ...


@dataclass(frozen=True)
class Vanilla:
    """One model for all (McMahan 2017; PersA-FL option A)."""

    draws = gradients = 1
    pull = 0.0
    personal = False
    personal_settings = ()
    strength = Strength("", 0)

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

    @property
    def pull(self) -> float:
        """See `Objective.pull`."""
        return self.mu

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0]).add(w - read, alpha=self.mu)

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
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
        personal_steps: steps to the user's own model, each on all of their training data; "auto": so many
            times u as validation finds best.
    """

    alpha: NonNegative = 0.005
    maml_steps: Annotated[int, Field(ge=0, le=100)] = 1
    curvature: Literal["exact", "finite-difference", "first-order"] = "exact"
    delta: Positive = 1e-3
    personal_steps: Annotated[int, Field(ge=0, le=10_000)] | Literal["auto"] = AUTO

    pull = None
    personal = True
    personal_settings = ("personal_steps",)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: u steps, as many as the objective looks ahead."""
        return _steps("personal_steps", self.personal_steps, self.maml_steps)

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

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`: full-batch steps."""
        return task.descend(
            w, w, data, int(self.strength.usual if strength is None else strength), self.alpha
        )

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
    pull = 0.0
    personal = True
    personal_settings = ("adapt_lr", "adapt_steps")

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: 20 steps, as Moreau envelopes take."""
        if self.adapt_steps != AUTO:
            return Strength("adapt_steps", self.adapt_steps)
        return Strength("adapt_steps", 20, (0, 2, 5, 10, 20, 40))

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`."""
        return task.descend(
            w, w, data, int(self.strength.usual if strength is None else strength), self.adapt_lr
        )


@dataclass(frozen=True)
class MoreauEnvelope:
    """Models free to leave the common one at a quadratic price (Dinh 2020; PersA-FL option C).

    θ̂ is found by gradient descent on h(θ) = f_i(θ) + (λ/2)‖θ − w‖² from w, which is stable for
    inner_lr·(λ + L) < 2, so that inner_lr·λ ≥ 2 is refused; a client stops as soon as ‖∇h‖ ≤ tolerance,
    and is then at most tolerance/(λ − L) away from θ̂.

    Attributes:
        lam: λ; ∞ is Vanilla, 0 leaves users alone. "auto": 15, and for the users' own models what validation
            finds best.
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

    pull = None
    personal = True
    personal_settings = ("personal_steps",)

    def __post_init__(self) -> None:
        _require_stable(self.inner_lr, self.strength.usual)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: λ."""
        return _prices(self.lam, self.inner_lr)

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
        lam = self.strength.usual
        return lam * (w - self._minimise(task, w, batches, self.inner_steps, lam))

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`: θ̂ on all of the user's training data."""
        lam = self.strength.usual if strength is None else strength
        return w.clone() if math.isinf(lam) else self._minimise(task, w, data, self.personal_steps, lam)

    def _minimise(self, task: Slopes, w: Tensor, batches: Sequence[Batch], steps: int, lam: float) -> Tensor:
        return task.descend(w, w, batches, steps, self.inner_lr, lam, self.tolerance)


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
    pull = 0.0
    personal = True
    personal_settings = ("lam", "inner_lr", "personal_steps")

    def __post_init__(self) -> None:
        _require_stable(self.inner_lr, self.strength.usual)

    @property
    def strength(self) -> Strength:
        """See `Objective.strength`: λ."""
        return _prices(self.lam, self.inner_lr)

    def gradient(self, task: Slopes, w: Tensor, batches: Sequence[Batch], read: Tensor) -> Tensor:
        """See `Objective.gradient`."""
        return task.gradient(w, batches[0])

    def personalise(
        self, task: Slopes, w: Tensor, data: Sequence[Batch], strength: float | None = None
    ) -> Tensor:
        """See `Objective.personalise`."""
        lam = self.strength.usual if strength is None else strength
        return (
            w.clone()
            if math.isinf(lam)
            else task.descend(w, w, data, self.personal_steps, self.inner_lr, lam)
        )


def _prices(lam: float | Literal["auto"], inner_lr: float) -> Strength:
    if lam != AUTO:
        return Strength("lam", lam)
    return Strength("lam", TALK, (math.inf, *(price for price in PRICES if inner_lr * price < 2)))


def _steps(name: str, steps: int | Literal["auto"], usual: int) -> Strength:
    if steps != AUTO:
        return Strength(name, steps)
    return Strength(name, usual, tuple(usual * times for times in MULTIPLES) if usual else ())


def _require_stable(inner_lr: float, lam: float) -> None:
    """Raise ValueError if a descent with these would move away from the own model that it is to find."""
    if inner_lr * lam >= 2:
        raise ValueError(
            f"inner_lr · lam = {inner_lr:g} · {lam:g} = {inner_lr * lam:g} must be under 2, or every inner "
            "step leads further away from the user's own model"
        )
