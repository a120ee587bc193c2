"""Who is linked to whom: directed graphs that reach everybody; see `topology` for where they come from."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["complete", "ring", "cycle", "exponential", "regular", "random", "scale-free"]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Graph:
    """Directed links between n nodes, sorted by their target.

    Attributes:
        nodes: n.
        source: (L,) where each link begins.
        target: (L,) where it ends.
    """

    nodes: int
    source: Ints
    target: Ints

    @cached_property
    def out_degree(self) -> Ints:
        """(n,) links that leave each node; no node is its own neighbour."""
        return np.bincount(self.source, minlength=self.nodes)

    @property
    def checksum(self) -> int:
        """A number that another graph has hardly ever."""
        return zlib.crc32(np.array([self.source, self.target]).tobytes())

    @classmethod
    def side_by_side(cls, graphs: "list[Graph]") -> "Graph":
        """Independent networks as one, their nodes numbered one network after another."""
        first = np.cumsum([0, *(graph.nodes for graph in graphs)])
        source, target = (
            np.concatenate([getattr(g, end) + at for g, at in zip(graphs, first[:-1], strict=True)])
            for end in ("source", "target")
        )
        return cls(int(first[-1]), source, target)
