"""Quadratics f_i(w) = ½ (w − c_i)ᵀ H_i (w − c_i): closed forms that every algorithm is tested on."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from federated.tasks import Chance
from federated.tasks.autograd import ByAutograd

Exact = tuple[Tensor, Tensor, Tensor]
"""H (C, P, P), c and noise (C, P)."""


@dataclass(frozen=True)
class Quadratics(ByAutograd):
    """U users in P dimensions; a batch is (H, c, noise), its loss exact, its gradient H (w − c) + noise.

    Attributes:
        curvature: (U, P, P) symmetric H_i.
        centre: (U, P) c_i.
        noise: (U, S, P) gradient noise of each of S samples; zeros make every batch exact.
    """

    curvature: Tensor
    centre: Tensor
    noise: Tensor

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`."""
        return torch.full((self.noise.shape[0],), self.noise.shape[1])

    def initial(self, seed: int) -> Tensor:
        """Zeros, whatever the seed."""
        return torch.zeros_like(self.centre[0])

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[Exact]:
        """See `Task.batches`."""
        noise = self.noise[users[:, None], index].mean(2)
        return [(self.curvature[users], self.centre[users], draw) for draw in noise]

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> list[Exact]:
        """See `Task.everything`."""
        first = 0 if most is None else max(0, self.noise.shape[1] - most)
        return [(self.curvature[users], self.centre[users], self.noise[users, first:].mean(1))]

    def loss(self, w: Tensor, batch: Exact) -> Tensor:
        """See `Task.loss`."""
        curvature, centre, noise = batch
        away = w - centre
        return torch.einsum("cp,cpq,cq->c", away, curvature, away) / 2 + (noise * w).sum(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """The mean loss over users without noise."""
        everyone = torch.arange(len(self.centre))
        quiet = (self.curvature, self.centre, torch.zeros_like(self.centre))
        return {"loss": float(self.loss(w.expand(len(everyone), -1), quiet).mean())}

    def flipped(self, users: Tensor) -> "Quadratics":
        """See `Labelled.flipped`: these users' centres are on the other side of 0."""
        return replace(self, centre=torch.where(users[:, None], -self.centre, self.centre))

    def pooled(self) -> "Quadratics":
        """The mean of all users' quadratics, up to a constant; each sample's noise is the users' mean."""
        curvature = self.curvature.mean(0)
        pull = torch.einsum("upq,uq->p", self.curvature, self.centre) / len(self.centre)
        centre = torch.linalg.solve(curvature, pull)
        return Quadratics(curvature[None], centre[None], self.noise.mean(0, keepdim=True))
