"""`Coder`: messages of push-sum in 8 or 4 bits a parameter, from which no mass is ever missing.

The parameters' running sum φ is sent modulo 2^bits steps of a grid; y, whose error would be an error of every
parameter, as it is. Who last heard ρ takes the one sum with this code that is less than half of 2^bits steps
from ρ: a code need not tell how large φ is, only what is new (modular coding, as in Moniqua, Lu and De Sa
2020).

- *Always decoded.* Whoever uses a message has heard nothing of Γs − 1 rounds at most (`Faults.silence`). The
  sender adds up the greatest increments of these rounds, and takes a grid on which their sum fits.
- *Exact sums.* Grids are powers of two, one for each ``bucket`` parameters, and so nest.
- *Few levels suffice*, since x − y w(0) is coded: how far a node has come from the start that all know.
- *Nothing is lost.* What rounding takes off an increment is added to the next one (error feedback); until
  then it is under way on every link of the node. So Σx and Σy never change, whatever is lost or late.

NMRR of 200 simulated users after 20,000 updates, mean of three seeds: .8985 with 32 bits, .8984 with 8 (25 %
of the bytes), .8981 with 4 (13 %). Where Γs is 18: .8905, .8915 and .70, so 4 bits are for networks that lose
little.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from federated.compression import Compression, packed, unpacked
from federated.network.graphs import Bools

HEAD = struct.Struct("<qd")
"""Stamp, and the running sum of y."""

FINEST = 22
"""No grid is finer than 2^−22 of what is put on it: sums are exact for 2³¹ rounds, shares fit a float32."""

LEAST, GREATEST = -126, 127
"""Exponents of grids; they take one byte."""

TENSORS = ("origin", "sums", "rest", "spans", "exponents")


@dataclass
class Coder:
    """What the senders of a network of n nodes have to remember; P parameters in B buckets.

    Attributes:
        bits: of a parameter in a message.
        bucket: parameters that share a grid.
        origin: (P,) float64, w(0), known to all.
        sums: (n, P + 1) float64, of each node's increments of x − y w(0), which are on the grid, and of y.
        rest: (n, P) float64, what rounding has taken off, for the next increment.
        spans: (Γs − 1, n, B) float64, the greatest increment of each bucket in each of the last rounds.
        exponents: (n, B) int64, of the grids of each node's last message.
    """

    bits: int
    bucket: int
    origin: Tensor
    sums: Tensor
    rest: Tensor
    spans: Tensor
    exponents: Tensor

    @classmethod
    def start(cls, compression: Compression, nodes: int, silence: int, origin: Tensor) -> "Coder":
        """Before the first round.

        Args:
            compression: of which bits and bucket are used.
            nodes: n.
            silence: Γs.
            origin: (P,) w(0).
        """
        parameters = len(origin)
        buckets = -(-parameters // compression.bucket)
        origin = origin.double()
        return cls(
            bits=compression.bits,
            bucket=compression.bucket,
            origin=origin,
            sums=origin.new_zeros(nodes, parameters + 1),
            rest=origin.new_zeros(nodes, parameters),
            spans=origin.new_zeros(silence - 1, nodes, buckets),
            exponents=torch.full((nodes, buckets), LEAST),
        )

    @property
    def size(self) -> int:
        """Bytes of a message: the length of what `encode` returns."""
        parameters, buckets = len(self.origin), self.exponents.shape[1]
        return HEAD.size + buckets + -(-parameters * self.bits // 8)

    def share(self, now: int, due: Tensor, sending: Bools) -> Tensor:
        """What nodes share on each link in round ``now``.

        Args:
            now: the round.
            due: (n, P + 1) what they would share if every number could be sent.
            sending: (n,) who shares anything.

        Returns:
            (n, P + 1), of those who are sending what their messages say; of others ``due``.
        """
        self.spans[now % len(self.spans)] = 0
        rows = torch.from_numpy(np.flatnonzero(sending))
        y = due[rows, -1:].double()
        wanted = due[rows, :-1].double() - self.origin * y + self.rest[rows]
        before, largest = self.spans[:, rows].sum(0), self._largest(wanted)
        exponents = _exponent((before + largest) / (2 ** (self.bits - 1) - 1))
        exponents = torch.maximum(exponents, _exponent(largest) - FINEST).clamp(LEAST, GREATEST)
        grid = self._grid(exponents)
        sums = self.sums[rows, :-1]
        rounded = torch.round((sums + wanted) / grid) * grid
        increment = rounded - sums
        self.rest[rows] = wanted - increment
        self.spans[now % len(self.spans), rows] = self._largest(increment)
        self.sums[rows] = torch.cat([rounded, self.sums[rows, -1:] + y], dim=1)
        self.exponents[rows] = exponents
        sent = due.clone()
        sent[rows, :-1] = (increment + self.origin * y).to(due.dtype)
        return sent

    def encode(self, node: int, now: int) -> bytes:
        """The message of a node that has shared in round ``now``."""
        exponents = self.exponents[node]
        steps = (self.sums[node, :-1] / self._grid(exponents[None])[0]).numpy()
        codes = np.remainder(steps, 2**self.bits).astype(np.int64)
        head = HEAD.pack(now, float(self.sums[node, -1]))
        return head + exponents.numpy().astype(np.int8).tobytes() + packed(codes, self.bits)

    def decode(self, message: bytes, heard: Tensor) -> tuple[int, Tensor]:
        """Stamp and sums (P + 1,) float64 of a message, for whom sums (P + 1,) were the last ``heard``.

        Raises:
            ValueError: it has another length than it must.
        """
        if len(message) != self.size:
            raise ValueError(f"a message of {len(message)} bytes, not {self.size}")
        stamp, y = HEAD.unpack(message[: HEAD.size])
        buckets, parameters = self.exponents.shape[1], len(self.origin)
        exponents = np.frombuffer(message, np.int8, buckets, HEAD.size).astype(np.int64)
        grid = self._grid(torch.from_numpy(exponents)[None])[0]
        codes = unpacked(message[HEAD.size + buckets :], self.bits, parameters)
        levels = 2**self.bits
        start = heard[:-1] / grid
        news = torch.remainder(torch.from_numpy(codes) - start + levels / 2, levels) - levels / 2
        sums = torch.round(start + news) * grid
        return stamp, torch.cat([sums, sums.new_tensor([y])])

    def meaning(self, sums: Tensor) -> Tensor:
        """(P + 1,) of x and y, what is in sums (P + 1,) or in the difference of two."""
        return torch.cat([sums[:-1] + self.origin * sums[-1], sums[-1:]])

    def pack(self) -> dict[str, Tensor]:
        """As tensors of a `Snapshot`."""
        return {f"coder.{name}": getattr(self, name).clone() for name in TENSORS}

    @classmethod
    def unpack(cls, compression: Compression, tensors: Mapping[str, Tensor]) -> "Coder":
        """What `pack` packed, among other tensors."""
        own = (tensors[f"coder.{name}"].clone() for name in TENSORS)
        return cls(compression.bits, compression.bucket, *own)

    def _largest(self, values: Tensor) -> Tensor:
        """(C, B) the greatest magnitude in each bucket of values (C, P)."""
        parts = [part.abs().amax(1) for part in values.split(self.bucket, dim=1)]
        return torch.stack(parts, dim=1)

    def _grid(self, exponents: Tensor) -> Tensor:
        """(C, P) the step of each parameter's grid, for exponents (C, B)."""
        steps = torch.ldexp(torch.ones_like(exponents, dtype=torch.float64), exponents)
        return steps.repeat_interleave(self.bucket, dim=1)[:, : len(self.origin)]


def _exponent(values: Tensor) -> Tensor:
    """The least e with value < 2^e, of each."""
    exponents: Tensor = torch.frexp(values).exponent.long()
    return exponents
