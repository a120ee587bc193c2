"""Linear classification, strongly convex: users hold points and want to tell two classes apart.

f_i(w) = (μ/2)‖w‖² + C · mean over the user's points of h(b (a·v + γ)), w = (v, γ), labels b = ±1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from federated.tasks import Chance
from federated.tasks.autograd import ByAutograd


def smoothed_hinge(s: Tensor) -> Tensor:
    """h(s) with slope −1 for s ≤ 0, s − 1 between 0 and 1, and 0 from there (Spiridonoff 2020)."""
    return torch.where(s <= 0, 0.5 - s, (1 - s).clamp(min=0) ** 2 / 2)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "smoothed-hinge": smoothed_hinge,
    "logistic": lambda s: softplus(-s),
}
"""h, of the margin: how far on the right side of the line a point is."""


@dataclass(frozen=True)
class Linear(ByAutograd):
    """U users with S points each in D dimensions; a batch is (points, labels).

    Attributes:
        points: (U, S, D).
        labels: (U, S) of ±1.
        held_out: points (U, T, D) and labels (U, T) for `evaluate`.
        loss_name: a key of LOSSES.
        regularisation: μ.
        weight: C.
    """

    points: Tensor
    labels: Tensor
    held_out: tuple[Tensor, Tensor]
    loss_name: str = "logistic"
    regularisation: float = 1.0
    weight: float = 1.0

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`."""
        return torch.full((self.points.shape[0],), self.points.shape[1])

    def initial(self, seed: int) -> Tensor:
        """Zeros, whatever the seed."""
        return self.points.new_zeros(self.points.shape[2] + 1)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[tuple[Tensor, Tensor]]:
        """See `Task.batches`."""
        points, labels = self.points[users[:, None], index], self.labels[users[:, None], index]
        return list(zip(points, labels, strict=True))

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """See `Task.everything`."""
        first = 0 if most is None else max(0, self.points.shape[1] - most)
        return [(self.points[users, first:], self.labels[users, first:])]

    def loss(self, w: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        """See `Task.loss`."""
        return self.regularisation / 2 * (w * w).sum(1) + self.weight * self._misfit(w, batch).mean(1)

    def judge(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Mean h and accuracy (U,) on each user's held-out points, of w (P,) or one each (U, P)."""
        w = w.expand(len(self.points), -1)
        right = self._margin(w, self.held_out) > 0
        return self._misfit(w, self.held_out).mean(1), right.to(w.dtype).mean(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """See `Task.evaluate`: mean h and accuracy on held-out points, over users."""
        loss, accuracy = self.judge(w)
        return {"loss": float(loss.mean()), "accuracy": float(accuracy.mean())}

    def flipped(self, users: Tensor) -> "Linear":
        """See `Labelled.flipped`."""
        return replace(self, labels=torch.where(users[:, None], -self.labels, self.labels))

    def pooled(self) -> "Linear":
        """See `Task.pooled`."""
        rest = (self.loss_name, self.regularisation, self.weight)
        together = [t.flatten(0, 1)[None] for t in (self.points, self.labels, *self.held_out)]
        return Linear(together[0], together[1], (together[2], together[3]), *rest)

    def _margin(self, w: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        points, labels = batch
        return labels * (torch.einsum("csd,cd->cs", points, w[:, :-1]) + w[:, -1:])

    def _misfit(self, w: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        return LOSSES[self.loss_name](self._margin(w, batch))
