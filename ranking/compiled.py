"""Whether a network's derivatives are compiled, and tensors for the kernels that compute them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranking.slates import StoredSlates

TOGETHER = 20_000
"""Slates, at most, that are looked at before it is asked whether anybody still waits: part of a second."""


class Architecture(NamedTuple):
    """A network as kernels see it: dense layers with ReLU between them, perhaps behind a character CNN.

    Attributes:
        sizes: inputs, hidden units of each layer, 1.
        codes: (V, characters) of every query's text; None without a CNN.
        alphabet, embedding, width, filters: of the CNN, whose parameters come first.
    """

    sizes: tuple[int, ...]
    codes: Tensor | None = None
    alphabet: int = 0
    embedding: int = 0
    width: int = 0
    filters: int = 0


@dataclass(frozen=True)
class Compiled:
    """Derivatives of a loss of stored slates, client by client; what is returned is new.

    Everywhere w is (C, P), ``index`` (C, B) are numbers of slates, and ``weight`` (C, B) is what each counts
    in its client's loss.
    """

    slates: StoredSlates
    architecture: Architecture
    loss: int

    @classmethod
    def of(cls, slates: Any, architecture: Architecture | None, loss: str) -> "Compiled | None":
        """None where this network, this loss or this machine has none: then there is autograd."""
        if architecture is None or not isinstance(slates, StoredSlates) or find_spec("numba") is None:
            return None
        if slates.features.device.type != "cpu":
            return None
        from ranking.kernels.losses import CODES

        return cls(slates, architecture, CODES[loss]) if loss in CODES else None

    def gradient(self, w: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """∇f_i(w) (C, P)."""
        w = w.detach().contiguous()
        slope = torch.empty_like(w)
        self._descend(w, w, slope, index[None], weight, 1, 0.0, 0.0, 0.0)
        return slope

    def hessian_times(self, w: Tensor, v: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """∇²f_i(w) v (C, P)."""
        from ranking.kernels.clients import curve

        w, v = w.detach().contiguous(), v.detach().contiguous()
        product = torch.empty_like(w)
        arrays = (self._store, index.contiguous().numpy(), weight.to(w.dtype).contiguous().numpy())
        curve(w.numpy(), v.numpy(), *arrays, self._net, self.loss, product.numpy())
        return product

    def descend(
        self,
        w: Tensor,
        anchor: Tensor,
        index: Tensor,
        weight: Tensor,
        steps: int,
        lr: float,
        pull: float,
        tolerance: float,
        ask: Callable[[], None],
    ) -> Tensor:
        """Proximal gradient steps from w, step s on the slates index[s modulo K] (K, C, B)."""
        theta, anchor = w.detach().clone(memory_format=torch.contiguous_format), anchor.detach().contiguous()
        slope = torch.empty_like(theta)
        batches, clients, size = index.shape
        most = max(1, TOGETHER // max(1, clients * size))
        for begin in range(0, steps, most):
            ask()
            now = min(most, steps - begin)
            some = index if batches == 1 else index[torch.arange(begin, begin + now) % batches]
            self._descend(theta, anchor, slope, some, weight, now, lr, pull, tolerance)
        return theta

    def _descend(
        self,
        theta: Tensor,
        anchor: Tensor,
        slope: Tensor,
        index: Tensor,
        weight: Tensor,
        steps: int,
        lr: float,
        pull: float,
        tolerance: float,
    ) -> None:
        from ranking.kernels.clients import descend

        arrays = (theta.numpy(), anchor.numpy(), slope.numpy(), self._store, index.contiguous().numpy())
        counted = weight.to(theta.dtype).contiguous().numpy()
        real = arrays[0].dtype.type  # or products would be of 64 bits
        descend(*arrays, counted, self._net, self.loss, real(lr), real(pull), steps, real(tolerance))

    @cached_property
    def _store(self) -> Any:
        from ranking.kernels.gathering import Store

        slates = self.slates
        arrays = (slates.offsets, slates.features, slates.candidates, slates.position, slates.typed)
        return Store(*(tensor.numpy() for tensor in arrays))

    @cached_property
    def _net(self) -> Any:
        from ranking.kernels.characters import Reader
        from ranking.kernels.clients import Net

        shape = self.architecture
        codes = np.zeros((0, 0), np.uint8) if shape.codes is None else shape.codes.numpy()
        reader = Reader(codes, shape.alphabet, shape.embedding, shape.width, shape.filters)
        sizes = np.array(shape.sizes, np.int64)
        return Net(sizes, int(sizes.sum()), int(sizes.max()), reader)


def warm_up() -> None:
    """Have the kernels compiled that every training needs, so that the first one does not wait for them."""
    slates = StoredSlates.empty(torch.tensor([2]), 1)
    compiled = Compiled.of(slates, Architecture((1, 1)), "listmle")
    if compiled is not None:
        compiled.gradient(torch.zeros(1, 2), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1))
