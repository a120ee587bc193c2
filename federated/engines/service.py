"""What a server over real messages knows between two merges: its model, whose turn it is, what is away."""

import time
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from torch import Tensor

from federated.engines.fleet import Traffic
from federated.engines.places import Places
from federated.server.intake import Intake
from federated.server.merging import Merging
from federated.state import Snapshot


class Batch(NamedTuple):
    """What a node was asked to compute: the turns taken, and the model that it reads."""

    place: str
    turns: dict[int, int]
    version: int
    read: Tensor


@dataclass
class Service:
    """The state of a server over real messages.

    Attributes:
        server: what is merged.
        places: where the users live, and whose turn it is.
        before: seconds of the run in earlier processes.
        traffic: what the fleet has sent and heard.
        batches: under way.
        begun: when this process began, on its own clock.
    """

    server: Merging
    places: Places
    traffic: Traffic
    before: float = 0.0
    batches: list[Batch] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def w(self) -> Tensor:
        """(P,) the present model."""
        return self.server.w

    @property
    def intake(self) -> Intake | None:
        """See `Merging`."""
        return self.server.intake

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, without those in which no server was there."""
        return self.before + time.monotonic() - self.begun

    def pack(self) -> Snapshot:
        """See `State.pack`. What is under way is lost with the process: those turns are to be taken again."""
        tensors, plain = self.server.pack()
        under_way: dict[str, dict[int, int]] = {}
        for batch in self.batches:
            under_way.setdefault(batch.place, {}).update(batch.turns)
        plain |= {
            "places": self.places.pack(under_way),
            "time": self.elapsed,
            "traffic": asdict(self.traffic),
        }
        return Snapshot(tensors, plain)
