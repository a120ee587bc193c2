"""`Local` and `Pooled`: the two ends without federation, yardsticks for all that lies between."""

from collections.abc import Iterator

from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.schedules import Merge


@dataclass(frozen=True)
class Local:
    """Every user trains alone, from the same start, and never sends anything."""

    pools = False

    def run(self, clients: Clients, w: Tensor, updates: int) -> Iterator[Merge]:
        """See `Schedule.run`; w becomes (U, P), and each turn is one update of every user."""
        everyone = list(range(clients.number))
        w = w.expand(len(everyone), -1)
        for turn in range(-(-updates // len(everyone))):
            w = w - clients.deltas(everyone, [turn] * len(everyone), w)
            yield Merge(w, tuple(everyone), (0,) * len(everyone), len(everyone), float(turn + 1))


@dataclass(frozen=True)
class Pooled:
    """Everyone's data on one machine: what federated training avoids, and ordinary SGD."""

    pools = True

    def run(self, clients: Clients, w: Tensor, updates: int) -> Iterator[Merge]:
        """See `Schedule.run`; ``clients`` holds the single user of a pooled task."""
        for turn in range(updates):
            w = w - clients.deltas([0], [turn], w[None])[0]
            yield Merge(w, (0,), (0,), 1, float(turn + 1))
