"""`Local` and `Pooled`: the two ends without federation, yardsticks for all that lies between."""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass

from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.schedules import Merge
from federated.state import Snapshot


@plain_dataclass
class Turns:
    """The state of either: parameters, (U, P) or (P,), and how many turns there were."""

    w: Tensor
    turn: int = 0

    def pack(self) -> Snapshot:
        """See `State.pack`."""
        return Snapshot({"w": self.w}, {"turn": self.turn})


@dataclass(frozen=True)
class Local:
    """Every user trains alone, from the same start, and never sends anything."""

    pools = False

    def start(self, clients: Clients, w: Tensor) -> Turns:
        """See `Schedule.start`; w becomes (U, P)."""
        return Turns(w.expand(clients.number, -1))

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Turns:
        """See `Schedule.unpack`."""
        return Turns(snapshot.tensors["w"], snapshot.plain["turn"])

    def run(self, clients: Clients, state: Turns) -> Iterator[Merge]:
        """See `Schedule.run`; each turn is one update of every user."""
        everyone = list(range(clients.number))
        while True:
            deltas = clients.deltas(everyone, [state.turn] * len(everyone), state.w)
            state.w, state.turn = state.w - deltas, state.turn + 1
            zeros = (0,) * len(everyone)
            yield Merge(state.w, tuple(everyone), zeros, (), len(everyone), float(state.turn))


@dataclass(frozen=True)
class Pooled:
    """Everyone's data on one machine: what federated training avoids, and ordinary SGD."""

    pools = True

    def start(self, clients: Clients, w: Tensor) -> Turns:
        """See `Schedule.start`; ``clients`` holds the single user of a pooled task."""
        return Turns(w)

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Turns:
        """See `Schedule.unpack`."""
        return Turns(snapshot.tensors["w"], snapshot.plain["turn"])

    def run(self, clients: Clients, state: Turns) -> Iterator[Merge]:
        """See `Schedule.run`."""
        while True:
            state.w = state.w - clients.deltas([0], [state.turn], state.w[None])[0]
            state.turn += 1
            yield Merge(state.w, (0,), (0,), (), 1, float(state.turn))
