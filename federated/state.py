"""What a schedule knows between two merges, and how that is packed to be kept or sent elsewhere."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """A state at rest: named tensors, and all else as JSON values."""

    tensors: dict[str, Tensor]
    plain: dict[str, Any]


class State(Protocol):
    """All that a schedule knows between two merges."""

    def pack(self) -> Snapshot:
        """This state at rest."""
        ...
