"""Derivatives of a task's loss by autograd, all clients in one stacked program."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from federated.tasks import Ask, Batch, Descent, Loss, Rehearsal, nobody


def gradient_of(loss: Loss, w: Tensor, batch: Batch) -> Tensor:
    """∇f_i(w) (C, P) of every client: one backward pass through the sum of their losses."""
    w = w.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(w, batch).sum(), w)
    return gradient


class ByAutograd(ABC):
    """What a task needs to be learned, from its loss alone; see `Task` for the methods."""

    @property
    def stacked(self) -> bool:
        """See `Task.stacked`."""
        return True

    @abstractmethod
    def loss(self, w: Tensor, batch: Batch) -> Tensor:
        """See `Task.loss`."""

    def rehearsal(self) -> Rehearsal | None:
        """See `Task.rehearsal`: users judge nothing, unless a task says otherwise."""
        return None

    def gradient(self, w: Tensor, batch: Batch) -> Tensor:
        """See `Slopes.gradient`."""
        return gradient_of(self.loss, w, batch)

    def hessian_times(self, w: Tensor, v: Tensor, batch: Batch) -> Tensor:
        """See `Slopes.hessian_times`: double backward."""
        w = w.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.loss(w, batch).sum(), w, create_graph=True)
            (product,) = torch.autograd.grad((gradient * v).sum(), w)
        return product

    def descend(
        self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent, ask: Ask = nobody
    ) -> Tensor:
        """See `Task.descend`."""
        each = len(batches) // how.laps if how.laps else 0
        for lap in range(how.laps):
            part = batches[lap * each : (lap + 1) * each]
            w = w + how.way * (self._steps(w, w, part, how, ask) - w)
        return w if how.laps else self._steps(w, anchor, batches, how, ask)

    def _steps(self, w: Tensor, anchor: Tensor, batches: Sequence[Batch], how: Descent, ask: Ask) -> Tensor:
        theta = w.clone()  # a copy, so that what follows may work in place, which is faster
        for step in range(how.steps):
            ask()
            slope = self.gradient(theta, batches[step % len(batches)])
            if how.pull:
                slope.add_(theta - anchor, alpha=how.pull)
            if how.tolerance:
                moving = slope.norm(dim=1, keepdim=True) > how.tolerance
                if not moving.any() and len(batches) == 1:
                    break
                theta.addcmul_(slope, moving.to(theta.dtype), value=-how.lr)
            else:
                theta.add_(slope, alpha=-how.lr)
        return theta
