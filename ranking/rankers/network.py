"""What neural rankers share: one flat vector of parameters per client, and layers with a client axis.

Scoring C clients' batches, each with its own parameters, is one batched matrix product per layer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ranking.compiled import Architecture
from ranking.slates import Rows


class Network(Protocol):
    """A neural ranker with its input sizes fixed: a pure function of parameters and candidates."""

    @property
    def layout(self) -> "Layout":
        """Names and shapes of the P parameters."""
        ...

    @property
    def architecture(self) -> Architecture | None:
        """What compiled derivatives need to know of it; None: there are none, and autograd serves."""
        ...

    def scores(self, w: Tensor, rows: Rows) -> Tensor:
        """Scores (C, R) of C clients' rows, client c's by its own parameters w[c] (C, P)."""
        ...

    def inputs(self, w: Tensor, rows: Rows) -> Tensor:
        """(C, R, I) what goes into the dense layers: the features, then what else the network reads."""
        ...

    def head(self, w: Tensor, inputs: Tensor) -> Tensor:
        """Scores (C, R) of what goes into the dense layers (C, R, I)."""
        ...

    def beside(self, texts: Sequence[str]) -> "Network":
        """The same network for further queries, whose numbers follow those that it knows."""
        ...


@dataclass(frozen=True)
class Layout:
    """Where each named parameter lies in a flat vector of ``size`` numbers."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, w: Tensor) -> dict[str, Tensor]:
        """Views of flat parameters (C, P) as named tensors (C, *shape)."""
        parts = w.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {n: p.unflatten(1, s) for (n, s), p in zip(self.shapes.items(), parts, strict=True)}

    def initial(self, generator: torch.Generator) -> Tensor:
        """Start parameters (P,): uniform in ±1/√fan-in, a bias like the weight before it."""
        parts, bound = [], 1.0
        for shape in self.shapes.values():
            if len(shape) > 1:
                bound = 1 / math.sqrt(shape[0])
            parts.append((2 * torch.rand(math.prod(shape), generator=generator) - 1) * bound)
        return torch.cat(parts)


def dense_shapes(sizes: list[int]) -> dict[str, tuple[int, ...]]:
    """Shapes of fully connected layers from sizes[0] inputs to sizes[-1] outputs."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes |= {f"dense{i}.weight": (inputs, outputs), f"dense{i}.bias": (outputs,)}
    return shapes


def dense(named: Mapping[str, Tensor], x: Tensor, layers: int) -> Tensor:
    """Fully connected layers with ReLU between them; x is (C, R, inputs), the result (C, R, outputs)."""
    for i in range(layers):
        x = torch.baddbmm(named[f"dense{i}.bias"][:, None], x, named[f"dense{i}.weight"])
        if i + 1 < layers:
            x = x.relu()
    return x
