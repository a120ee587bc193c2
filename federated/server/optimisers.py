"""How a server steps along an aggregated update: plainly, with momentum, Adam or Yogi (Reddi 2021, alg. 2).

To the server an aggregated update Δ, how far its users moved away from the model, is a gradient, and any
optimiser can descend along it. Momentum is FedAvgM's (Hsu 2019).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.objectives import Positive

Decay = Annotated[float, Field(ge=0, lt=1)]


@plain_dataclass(frozen=True)
class Moments:
    """What an optimiser remembers of the updates until now: nothing at first, and never with plain steps.

    Attributes:
        first: (P,) m, their decayed sum or mean.
        second: (P,) v, of their squares.
    """

    first: Tensor | None = None
    second: Tensor | None = None

    def pack(self) -> dict[str, Tensor]:
        """As tensors of a `Snapshot`."""
        named = {"moment.first": self.first, "moment.second": self.second}
        return {name: moment for name, moment in named.items() if moment is not None}

    @classmethod
    def unpack(cls, tensors: Mapping[str, Tensor]) -> "Moments":
        """What `pack` packed, among other tensors."""
        return cls(tensors.get("moment.first"), tensors.get("moment.second"))


@dataclass(frozen=True)
class ServerOptimiser:
    """The settings of schedules with a server that say how it steps. With β = server_lr and an update Δ:

    ==========  ==========================================================  =======================
    sgd                                                                     w ← w − β Δ
    momentum    m ← β₁ m + Δ                                                w ← w − β m
    adam        m ← β₁ m + (1 − β₁) Δ,  v ← β₂ v + (1 − β₂) Δ²              w ← w − β m / (√v + τ)
    yogi        m as in Adam,  v ← v − (1 − β₂) Δ² sign(v − Δ²)             w ← w − β m / (√v + τ)
    ==========  ==========================================================  =======================

    m begins at 0 and v at τ². Momentum adds up: in the long run it steps 1/(1 − β₁) times as far as sgd.
    Adam's and Yogi's steps are about β in every parameter, however large the updates are.

    Attributes:
        server_optimiser: by which rule the server steps.
        server_momentum: β₁; nothing to sgd.
        server_beta2: β₂, of Adam and Yogi.
        adaptivity: τ, of Adam and Yogi: updates that are much smaller are not blown up.
    """

    server_optimiser: Literal["sgd", "momentum", "adam", "yogi"] = "sgd"
    server_momentum: Decay = 0.9
    server_beta2: Decay = 0.99
    adaptivity: Positive = 1e-3

    def server_step(
        self, server_lr: float, moments: Moments, times: Callable[[float], Tensor]
    ) -> tuple[Tensor, Moments]:
        """What to subtract from the model (P,), and what is remembered for the next time.

        Args:
            server_lr: β.
            moments: what has been remembered.
            times: Δ (P,) times a factor. Whoever aggregates knows how to scale at the least cost, and
                plain steps are rounded once.
        """
        if self.server_optimiser == "sgd":
            return times(server_lr), moments
        delta, decay = times(1.0), self.server_momentum
        before = torch.zeros_like(delta) if moments.first is None else moments.first
        if self.server_optimiser == "momentum":
            first = decay * before + delta
            return server_lr * first, Moments(first)
        first = decay * before + (1 - decay) * delta
        second = self._second(moments.second, delta * delta)
        return server_lr * first / (second.sqrt() + self.adaptivity), Moments(first, second)

    def _second(self, before: Tensor | None, square: Tensor) -> Tensor:
        if before is None:
            before = torch.full_like(square, self.adaptivity**2)
        rest = 1 - self.server_beta2
        if self.server_optimiser == "adam":
            return self.server_beta2 * before + rest * square
        return before - rest * square * torch.sign(before - square)
