"""`Clip`: how far a neighbour can pull. What comes on a link is a model, Δx/Δy, and a weight Δy; where the model
is farther than R from the receiver's own z, only so much of it is taken now that it is R away.

The rest is owed: it is added to what comes next on the link. So clipping delays and loses nothing, as honest
neighbours need, and who lies without end is owed without end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from federated.network.graphs import Ints


@dataclass
class Clip:
    """What the receivers of a network with L links have to remember; P parameters.

    Attributes:
        radius: R, a Euclidean norm.
        debt: (L, P) what has been cut off on each link.
        cut: how often anything was.
    """

    radius: float
    debt: Tensor
    cut: int = 0

    def take(self, links: Ints, heard: Tensor, z: Tensor) -> Tensor:
        """(K, P + 1) what is taken of what was heard (K, P + 1) on K links, by nodes that are at z (K, P)."""
        rows = torch.from_numpy(links)
        x, y = heard[:, :-1] + self.debt[rows], heard[:, -1:]
        away = x - z * y
        length = torch.linalg.vector_norm(away.double(), dim=1, keepdim=True)
        within = length <= self.radius * y
        scale = torch.where(within, 1.0, self.radius * y / length).to(x.dtype)
        taken = torch.where(within, x, z * y + scale * away)
        self.debt[rows] = x - taken
        self.cut += int((~within).sum())
        return torch.cat([taken, y], dim=1)

    def pack(self) -> dict[str, Tensor]:
        """As tensors of a `Snapshot`."""
        return {"clip.debt": self.debt.clone(), "clip.cut": torch.tensor(self.cut)}

    @classmethod
    def unpack(cls, radius: float, tensors: Mapping[str, Tensor]) -> "Clip":
        """What `pack` packed, among other tensors."""
        return cls(radius, tensors["clip.debt"].clone(), int(tensors["clip.cut"]))
