"""What groups of nodes send each other, and where it waits until it is used.

Sums are cumulative and stamped, so only the newest of a link matters: letters may be lost, come late, twice
or in any order.
"""

import threading
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federated.network.graphs import Ints

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Letter:
    """The running sums of S nodes of one group, for C links.

    Attributes:
        stamp: the round of the sender's clock.
        links: (C,) numbers of links of the network.
        row: (C,) whose sums are for each link.
        sums: (S, P + 1) of those nodes that have anything to send, each but once.
    """

    stamp: int
    links: Ints
    row: Ints
    sums: Doubles

    @classmethod
    def of(cls, stamp: int, links: Ints, source: Ints, sums: Tensor) -> "Letter":
        """What goes out on C links, from the nodes with the numbers ``source`` (C,) in ``sums``; a copy."""
        senders, row = np.unique(source, return_inverse=True)
        return cls(stamp, links, row, sums[torch.from_numpy(senders)].numpy())

    def to(self, which: NDArray[np.bool_]) -> "Letter":
        """That part of it that is for some of the links, (C,)."""
        senders, row = np.unique(self.row[which], return_inverse=True)
        return replace(self, links=self.links[which], row=row, sums=self.sums[senders])

    @property
    def nbytes(self) -> int:
        """Bytes that travel, but for the envelope."""
        return self.links.nbytes + self.row.nbytes + self.sums.nbytes


class Letterbox:
    """The newest sums that have arrived on each of K links; any thread may put letters into it.

    It is lost in a restart, as messages under way are: what was in it is in the next letter, too.

    Args:
        links: (K,) numbers of the links in the network, ascending.
        width: P + 1.
    """

    def __init__(self, links: Ints, width: int) -> None:
        self._links = links
        self.newest: Ints = np.full(len(links), -1)
        self._sums = np.zeros((len(links), width))
        self._lock = threading.Lock()

    def put(self, letter: Letter) -> None:
        """Keep of a letter what is newer than what is here."""
        place = np.searchsorted(self._links, letter.links)
        with self._lock:
            newer = letter.stamp > self.newest[place]
            self.newest[place[newer]] = letter.stamp
            self._sums[place[newer]] = letter.sums[letter.row[newer]]

    def take(self, places: Ints) -> tuple[Ints, Tensor]:
        """Stamps and sums (C, P + 1) of C of the K links, as they are now; they stay here."""
        with self._lock:
            return self.newest[places].copy(), torch.from_numpy(self._sums[places])
