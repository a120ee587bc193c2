"""Who computes when, and how it is merged. Each schedule is one file with one loop to read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from federated.clients import Clients


@dataclass(frozen=True)
class Merge:
    """What a schedule reports each time the model has changed.

    Attributes:
        w: (P,) the common model, or (U, P) where every user keeps one.
        users: whose updates were merged, in the order of their arrival.
        staleness: for each, how many versions passed between its read and its arrival.
        in_flight: how many users were computing or sending just before the merge.
        time: virtual time, in units of the mean one-way delay.
    """

    w: Tensor
    users: tuple[int, ...]
    staleness: tuple[int, ...]
    in_flight: int
    time: float


class Schedule(Protocol):
    """What every schedule offers."""

    @property
    def pools(self) -> bool:
        """Whether all data is brought to one place first (no privacy: a yardstick)."""
        ...

    def run(self, clients: Clients, w: Tensor, updates: int) -> Iterator[Merge]:
        """Train from w (P,) until at least ``updates`` client updates are merged."""
        ...
