"""What an asynchronous server has merged and what it holds: the same in simulation and over real messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from federated.server.intake import Intake
from federated.server.optimisers import Moments


class Arrival(NamedTuple):
    """An update that has reached the server.

    Attributes:
        user: whose.
        version: of the model that was read.
        read: (P,) that model.
        delta: (P,) the update; anything where it is refused.
        why: it must not be merged, see `admission`; None if it may.
    """

    user: int
    version: int
    read: Tensor
    delta: Tensor
    why: str | None


class Taken(NamedTuple):
    """What became of arrivals: whose updates were merged, how stale they were, and why others were not."""

    users: tuple[int, ...]
    staleness: tuple[int, ...]
    refused: tuple[str, ...]


@dataclass
class Merging:
    """The state of a server that merges arrivals.

    Attributes:
        w: (P,) the present model.
        version: how often it has changed.
        buffer: sum (P,) of the weighted updates that wait to be merged.
        held: (user, staleness) of each of them.
        moments: the state of the server's optimiser.
        intake: what it does beside the plain mean, whose ``pending`` stands in the place of the buffer; None:
            nothing.
    """

    w: Tensor
    version: int = 0
    buffer: Tensor | None = None
    held: list[tuple[int, int]] = field(default_factory=list)
    moments: Moments = field(default_factory=Moments)
    intake: Intake | None = None

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As tensors and JSON values of a `Snapshot`."""
        tensors = {"w": self.w} | self.moments.pack()
        if self.buffer is not None:
            tensors["buffer"] = self.buffer
        plain: dict[str, Any] = {"version": self.version, "held": self.held}
        if self.intake is not None:
            more, plain["intake"] = self.intake.pack()
            tensors |= more
        return tensors, plain

    @classmethod
    def unpack(
        cls, tensors: Mapping[str, Tensor], plain: Mapping[str, Any], intake: Intake | None = None
    ) -> "Merging":
        """What `pack` packed, among others; ``intake`` is at its start."""
        if intake is not None:
            intake.unpack(tensors, plain["intake"])
        return cls(
            w=tensors["w"],
            version=plain["version"],
            buffer=tensors.get("buffer"),
            held=[(user, staleness) for user, staleness in plain["held"]],
            moments=Moments.unpack(tensors),
            intake=intake,
        )
