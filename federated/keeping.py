"""The model that was best on validation until now, for trainings that end with it instead of the last one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from federated.state import Snapshot

LAST, BEST = "last", "best"
"""Which model a training can end with."""


@dataclass(frozen=True)
class Best:
    """A model and where it stood.

    Attributes:
        w: (P,) parameters for everyone, or (U, P) of all users' models as a whole, where none is common.
        updates: after how many client updates it was judged.
        figure: the validation figure that it was chosen by; greater is better.
    """

    w: Tensor
    updates: int
    figure: float

    def pack(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot of a training, with this beside it."""
        own = {"updates": self.updates, "figure": self.figure}
        return Snapshot(snapshot.tensors | {BEST: self.w}, snapshot.plain | {BEST: own})

    @classmethod
    def unpack(cls, snapshot: Snapshot) -> "Best | None":
        """What `pack` packed; None where nothing was."""
        own: dict[str, Any] | None = snapshot.plain.get(BEST)
        return None if own is None else cls(snapshot.tensors[BEST], **own)


def better(best: Best | None, w: Tensor, updates: int, metrics: Mapping[str, float], by: str) -> Best | None:
    """The better one of the best until now and a model that has just been judged; of equals the earlier.

    Args:
        best: the best until now.
        w, updates: see `Best`.
        metrics: how the model was judged.
        by: which figure decides; if it is NaN, the model is not better.
    """
    figure = metrics[by]
    if math.isnan(figure) or (best is not None and figure <= best.figure):
        return best
    return Best(w, updates, figure)
