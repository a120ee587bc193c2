"""Whether a network's derivatives are compiled, and tensors for the kernels that compute them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranking.kernels import GRADIENT, Steps
from ranking.slates import StoredSlates

TOGETHER = 500_000
"""Rows, at most, that are looked at before it is asked whether anybody still waits: part of a second."""


Share = Callable[[Callable[[range], None], int], Any]
"""Calls a function for parts of so many things, as ranges."""


def alone(function: Callable[[range], None], number: int) -> None:
    """A `Share` among no more than this thread."""
    function(range(number))


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

    Attributes:
        share: calls a kernel, which holds no lock of Python's, for parts of the clients, in several threads.
    """

    slates: StoredSlates
    architecture: Architecture
    loss: int
    share: Share = alone

    @classmethod
    def of(
        cls, slates: Any, architecture: Architecture | None, loss: str, share: Share = alone
    ) -> "Compiled | None":
        """None where this network, this loss or this machine has none: then there is autograd."""
        if architecture is None or not isinstance(slates, StoredSlates) or find_spec("numba") is None:
            return None
        if slates.features.device.type != "cpu":
            return None
        from ranking.kernels.losses import CODES

        return cls(slates, architecture, CODES[loss], share) if loss in CODES else None

    def gradient(self, w: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """∇f_i(w) (C, P)."""
        w = w.detach().contiguous()
        slope = torch.empty_like(w)
        self._call(w, w[:0], slope, index[None], weight, GRADIENT)
        return slope

    def hessian_times(self, w: Tensor, v: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """∇²f_i(w) v (C, P)."""
        from ranking.kernels.clients import curve

        w, v = w.detach().contiguous(), v.detach().contiguous()
        product = torch.empty_like(w)
        arrays = (self._store, index.contiguous().numpy(), weight.to(w.dtype).contiguous().numpy())
        given = (w.numpy(), v.numpy(), *arrays, self._net, self.loss, product.numpy())
        self.share(lambda some: curve(some.start, some.stop, *given), len(w))
        return product

    def descend(
        self,
        w: Tensor,
        anchor: Tensor,
        index: Tensor,
        weight: Tensor,
        how: Steps,
        ask: Callable[[], None],
    ) -> Tensor:
        """Proximal gradient steps from w, step s on the slates index[s modulo K] (K, C, B)."""
        theta = w.detach().clone(memory_format=torch.contiguous_format)
        nothing = theta[:0]
        if theta.numel() == 0 or len(index) == 0:
            return theta
        if not how.laps:
            near = anchor.detach().contiguous() if how.pull else nothing
            self._in_parts(theta, near, index, weight, how, ask)
            return theta
        each, together = len(index) // how.laps, self._together // max(1, how.steps * index[0].numel())
        for laps in _parts(how.laps, max(1, together)):
            part = index[laps.start * each : laps.stop * each]
            if together:
                ask()
                self._call(theta, nothing, nothing, part, weight, how._replace(laps=len(laps)))
            else:
                near = theta.clone()
                self._in_parts(theta, near, part, weight, how, ask)
                theta.sub_(near).mul_(how.way).add_(near)
        return theta

    def _in_parts(
        self,
        theta: Tensor,
        near: Tensor,
        index: Tensor,
        weight: Tensor,
        how: Steps,
        ask: Callable[[], None],
    ) -> None:
        """The steps of one lap, in place, with asking in between."""
        for steps in _parts(how.steps, max(1, self._together // max(1, index[0].numel()))):
            ask()
            some = index if len(index) == 1 else index[torch.tensor(steps) % len(index)]
            self._call(theta, near, theta[:0], some, weight, how._replace(steps=len(steps), laps=0))

    def _call(
        self, theta: Tensor, anchor: Tensor, slope: Tensor, index: Tensor, weight: Tensor, how: Steps
    ) -> None:
        """The kernel, for all clients; see it for what may be empty."""
        from ranking.kernels import clients

        arrays = (theta.numpy(), anchor.numpy(), slope.numpy(), self._store, index.contiguous().numpy())
        counted = weight.to(theta.dtype).contiguous().numpy()
        real = arrays[0].dtype.type  # or products would be of 64 bits
        lr, pull, tolerance, way = map(real, (how.lr, how.pull, how.tolerance, how.way))
        how = Steps(how.steps, lr, pull, tolerance, way, how.laps)
        rest = (counted, self._net, self.loss, how)
        self.share(lambda some: clients.descend(some.start, some.stop, *arrays, *rest), len(theta))

    @cached_property
    def _together(self) -> int:
        """Slates of mean size that have `TOGETHER` rows."""
        return TOGETHER * len(self.slates) // max(1, len(self.slates.features))

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


def _parts(number: int, most: int) -> Iterator[range]:
    """0 … number − 1 in parts of at most so many."""
    return (range(begin, min(begin + most, number)) for begin in range(0, number, most))


def warm_up() -> None:
    """Have the kernels compiled that every training needs, so that the first one does not wait for them."""
    slates = StoredSlates.empty(torch.tensor([2]), 1)
    compiled = Compiled.of(slates, Architecture((1, 1)), "listmle")
    if compiled is not None:
        compiled.gradient(torch.zeros(1, 2), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1))
