"""Buffers of BASGD, buffered asynchronous SGD (Yang & Li 2021): f hostile users spoil at most f of them.

Updates that arrive one by one cannot be compared with each other; means of buffers can. User u always goes to
buffer u mod B, so one user, however often they send, reaches one buffer. As soon as every buffer holds
something, the median of the buffers' means is the update, and all begin anew. It survives f < B/2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from federated.server.aggregation import median

SUMS, COUNTS = "basgd.sums", "basgd.counts"


@dataclass
class Buffers:
    """The state of BASGD's server.

    Attributes:
        number: B; the buffers can only all fill if there are as many users.
        sums: (B, P) of the updates in each buffer; None until the first.
        counts: (B,) how many these are.
    """

    number: int
    sums: Tensor | None = None
    counts: Tensor | None = None

    def add(self, user: int, update: Tensor) -> None:
        """Put the update (P,) of a user, who is numbered from 0, into their buffer."""
        if self.sums is None or self.counts is None:
            self.sums = update.new_zeros(self.number, len(update))
            self.counts = torch.zeros(self.number, dtype=torch.int64)
        self.sums[user % self.number] += update
        self.counts[user % self.number] += 1

    @property
    def full(self) -> bool:
        """Whether every buffer holds something."""
        return self.counts is not None and bool((self.counts > 0).all())

    def means(self) -> Tensor:
        """(B, P) the mean update of each buffer; ValueError while one is empty."""
        if self.sums is None or self.counts is None or not self.full:
            raise ValueError("a buffer is still empty, so there is nothing to aggregate yet")
        return self.sums / self.counts[:, None].to(self.sums.dtype)

    def aggregate(self) -> Tensor:
        """(P,) the coordinate-wise median of the means, and empty all; ValueError while one is empty."""
        aggregated = median(self.means())
        self.sums = self.counts = None
        return aggregated

    def pack(self) -> dict[str, Tensor]:
        """As tensors of a `Snapshot`; none where all buffers are empty."""
        if self.sums is None or self.counts is None:
            return {}
        return {SUMS: self.sums.clone(), COUNTS: self.counts.clone()}

    @classmethod
    def unpack(cls, number: int, tensors: Mapping[str, Tensor]) -> "Buffers":
        """What `pack` packed, among other tensors.

        Args:
            number: B.
            tensors: of the snapshot; they stay as they are.
        """
        if SUMS not in tensors:
            return cls(number)
        return cls(number, tensors[SUMS].clone(), tensors[COUNTS].clone())
