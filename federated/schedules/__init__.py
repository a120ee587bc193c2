"""Who computes when, and how it is merged. Each schedule is one file with one loop to read.

A schedule's whole situation is a `State` that can be packed into tensors and JSON and unpacked again:
whoever goes on from an unpacked state sees what the one who packed it would have seen, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from federated.clients import Clients
from federated.state import Snapshot, State


@dataclass(frozen=True)
class Merge:
    """What a schedule reports each time updates have reached the server.

    Attributes:
        w: (P,) the common model, or (U, P) where every user keeps one.
        users: whose updates were merged, in the order of their arrival; nobody's if all were refused.
        staleness: for each, how many versions passed between its read and its arrival.
        refused: reasons why other updates that arrived were not merged, see `admission`.
        in_flight: how many users were computing or sending just before.
        time: virtual time, in units of the mean one-way delay.
        held: how many other updates wait to be merged.
        network: without a server, how the network is: ``consensus_error``, the mean of ‖z_i − z̄‖²; ``mass``,
            of all push-sum weights, by which nothing was lost if it is 1; ``smallest_weight``, of a node;
            ``oldest_stamp`` and ``oldest_model``, rounds since the quietest neighbour was heard and since the
            last of all nodes made its z; and, until now, ``messages`` and ``bytes`` sent, messages ``lost``,
            and how often nodes were ``guarded`` against a tiny weight. Where neighbours are clipped, also how
            many messages were ``clipped``, and ``cut_off``, how far that has moved the mean of all models
            (a norm). Over real messages also ``restarts``,
            how often groups of nodes went on from their disks.
    """

    w: Tensor
    users: tuple[int, ...]
    staleness: tuple[int, ...]
    refused: tuple[str, ...]
    in_flight: int
    time: float
    held: int = 0
    network: dict[str, float] | None = None


S = TypeVar("S", bound=State)


class Schedule(Protocol[S]):
    """What every schedule offers."""

    @property
    def pools(self) -> bool:
        """Whether all data is brought to one place first (no privacy: a yardstick)."""
        ...

    def start(self, clients: Clients, w: Tensor) -> S:
        """The state before the first update, all users holding w (P,)."""
        ...

    def unpack(self, clients: Clients, snapshot: Snapshot) -> S:
        """The state that was packed."""
        ...

    def run(self, clients: Clients, state: S) -> Iterator[Merge]:
        """Train for ever; ``state`` is changed in place and can be packed whenever a merge is reported.

        Also if the clients' patience ends: whoever goes on from there computes the same updates anew.
        """
        ...
