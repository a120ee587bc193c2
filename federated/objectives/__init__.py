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
from typing import Protocol

from torch import Tensor

from federated.objectives.bounds import NonNegative, Positive, Steps
from federated.objectives.common import Proximal, Vanilla
from federated.objectives.envelopes import Ditto, MoreauEnvelope
from federated.objectives.steps import MAML, Reptile
from federated.objectives.strength import Strength
from federated.tasks import Batch, Descent, Slopes

__all__ = [
    "MAML",
    "Ditto",
    "MoreauEnvelope",
    "NonNegative",
    "Objective",
    "Positive",
    "Proximal",
    "Reptile",
    "Steps",
    "Strength",
    "Vanilla",
]


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

    def descent(self, lr: float, steps: int) -> Descent | None:
        """Local steps along ∇F_i of a size, all as one descent from and near what was read, if they are one.

        A step has ``draws`` batches, which follow each other.
        """
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
