"""`Clip`: how far a neighbour can pull. A link brings a model, Δx/Δy, and a weight Δy; where the model is
farther than R from the receiver's own z, it is moved towards z until it is R away (clipped gossip, He,
Karimireddy and Jaggi 2022, here for push-sum). So one neighbour moves z by at most R Δy/y at a time.

**The price.** What is cut off is lost mass of x, but not of y: honest models that differ by more than R are
averaged wrongly. `cut` adds up what was lost, so that the books still close.

**Why it is not owed.** A debt that is added to what the link brings next would lose nothing, and is worse.
Behind an honest link it still pushes when the models have long met: where R was about as long as honest
models are apart, the consensus error was 5,700, against 0.27 with this and 0.37 without clipping. Behind a
hostile link it grows for ever, and pulls by R a round even when the attack is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Clip:
    """What clipping has done in a network; P parameters.

    Attributes:
        radius: R, a Euclidean norm.
        cut: (P,) float64, the mass of x that was cut off; of messages that are not finite, none.
        times: how often anything was.
    """

    radius: float
    cut: Tensor
    times: int = 0

    def take(self, heard: Tensor, z: Tensor) -> Tensor:
        """(K, P + 1) what is taken of what was heard (K, P + 1) on K links, by nodes that are at z (K, P)."""
        x, y = heard[:, :-1], heard[:, -1:]
        away = x - z * y
        length = torch.linalg.vector_norm(away.double(), dim=1, keepdim=True)
        finite, within = length.isfinite(), length <= self.radius * y
        scale = torch.where(within, 1.0, self.radius * y / length).to(x.dtype)
        near = z * y + scale * away
        taken = torch.where(within, x, torch.where(finite, near, z * y))
        self.cut += torch.where(finite, x - taken, 0).double().sum(0)
        self.times += int((~within).sum())
        return torch.cat([taken, y], dim=1)

    def figures(self, nodes: int) -> dict[str, float]:
        """What the metrics tell, see `Merge.network`, of n nodes."""
        return {"clipped": self.times, "cut_off": float(torch.linalg.vector_norm(self.cut)) / nodes}

    def pack(self) -> dict[str, Tensor]:
        """As tensors of a `Snapshot`."""
        return {"clip.cut": self.cut.clone(), "clip.times": torch.tensor(self.times)}

    @classmethod
    def unpack(cls, radius: float, tensors: Mapping[str, Tensor]) -> "Clip":
        """What `pack` packed, among other tensors."""
        return cls(radius, tensors["clip.cut"].clone(), int(tensors["clip.times"]))
