"""Derivatives of a task's loss by autograd, all clients in one stacked program."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from federated.tasks import Batch, Loss


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

    def held_back(self) -> Any:
        """See `Task.held_back`."""
        return None

    def judges(self) -> Tensor:
        """See `Task.judges`: nothing."""
        raise NotImplementedError("users of this task judge no models of their own.")

    def judged(self, users: Tensor, w: Tensor) -> Tensor:
        """See `Task.judged`."""
        raise NotImplementedError("users of this task judge no models of their own.")

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
        self,
        w: Tensor,
        anchor: Tensor,
        batches: Sequence[Batch],
        steps: int,
        lr: float,
        pull: float = 0.0,
        tolerance: float = 0.0,
        ask: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """See `Slopes.descend`."""
        theta = w.clone()  # a copy, so that what follows may work in place, which is faster
        for step in range(steps):
            ask()
            slope = self.gradient(theta, batches[step % len(batches)])
            if pull:
                slope.add_(theta - anchor, alpha=pull)
            if tolerance:
                moving = slope.norm(dim=1, keepdim=True) > tolerance
                if not moving.any() and len(batches) == 1:
                    break
                theta.addcmul_(slope, moving.to(theta.dtype), value=-lr)
            else:
                theta.add_(slope, alpha=-lr)
        return theta
