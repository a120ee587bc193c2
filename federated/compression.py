"""Few bytes: what a user sends instead of an update of 32-bit numbers.

Only the largest entries (top-k, Stich 2018), and each of them in 8 or 4 bits, rounded at random so that it is
right on average (QSGD, Alistarh 2017). What is lost is kept by the user and sent with the next update (error
feedback, Karimireddy 2019, alg. 2): late, but not lost. Clipping only scales what is sent, and costs no bits.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from data.randomness import generator

FLOAT = 4
"""Bytes of a number that is sent as it is, and of a bucket's scale."""

Codes = NDArray[np.int8]


@dataclass(frozen=True)
class Compression:
    """How updates are made small.

    Attributes:
        bits: of each entry that is sent; 32: as it is.
        top_k: the part of the entries that is sent, the largest ones.
        error_feedback: whether what an update has lost is added to the user's next one.
        bucket: entries that share a scale, the largest of them; a 32-bit number more each.
    """

    bits: Literal[4, 8, 32] = 32
    top_k: Annotated[float, Field(gt=0, le=1)] = 1.0
    error_feedback: bool = True
    bucket: Annotated[int, Field(ge=1, le=1_000_000)] = 256

    def __post_init__(self) -> None:
        if self.bits == 32 and self.top_k == 1:
            raise ValueError("nothing would be smaller: set bits to 8 or 4, or top_k below 1")

    def kept(self, parameters: int) -> int:
        """How many of P entries are sent, at least one."""
        return max(1, round(self.top_k * parameters))

    def size(self, parameters: int) -> int:
        """Bytes of an update of P parameters: the length of what `encode` returns."""
        kept = self.kept(parameters)
        values = kept * FLOAT if self.bits == 32 else -(-kept * self.bits // 8) + FLOAT * self._buckets(kept)
        places = 0 if kept == parameters else -(-kept * _width(parameters) // 8)
        return values + places

    def sent(self, updates: Tensor, seed: int, users: Sequence[int], counters: Sequence[int]) -> Tensor:
        """What a server reads of updates (C, P); user and counter of each key how it is rounded."""
        found = torch.zeros_like(updates)
        for row, (update, user, counter) in enumerate(zip(updates, users, counters, strict=True)):
            places = self._places(update)
            values = update if places is None else update[places]
            if self.bits < 32:
                values = self._rounded(values, seed, user, counter)
            if places is None:
                found[row] = values
            else:
                found[row, places] = values
        return found

    def encode(self, update: Tensor, seed: int, user: int, counter: int) -> bytes:
        """An update (P,) as a message: the places of what is kept, then scales and codes, or the numbers."""
        places = self._places(update)
        values = update if places is None else update[places]
        head = b"" if places is None else packed(places.numpy(), _width(len(update)))
        if self.bits == 32:
            return head + values.numpy().astype("<f4").tobytes()
        codes, scales = self._codes(values, seed, user, counter)
        shifted = codes.astype(np.int64) + self._levels
        return head + scales.astype("<f4").tobytes() + packed(shifted, self.bits)

    def decode(self, message: bytes, parameters: int) -> Tensor:
        """The update (P,) float32 of a message; ValueError where it has another length than it must."""
        if len(message) != self.size(parameters):
            raise ValueError(f"a message of {len(message)} bytes, not {self.size(parameters)}")
        kept = self.kept(parameters)
        places: NDArray[np.int64] | None = None
        if kept < parameters:
            width = _width(parameters)
            head = -(-kept * width // 8)
            places, message = unpacked(message[:head], width, kept), message[head:]
            if places.max(initial=0) >= parameters:
                raise ValueError("an entry beyond the last parameter")
        if self.bits == 32:
            values = np.frombuffer(message, "<f4").astype(np.float32)
        else:
            head = FLOAT * self._buckets(kept)
            scales = np.frombuffer(message[:head], "<f4").astype(np.float32)
            codes = unpacked(message[head:], self.bits, kept) - self._levels
            values = codes.astype(np.float32) * np.repeat(scales, self.bucket)[:kept]
        found = np.zeros(parameters, np.float32)
        found[slice(None) if places is None else places] = values
        return torch.from_numpy(found)

    @property
    def _levels(self) -> int:
        """Codes go from minus this to this."""
        return int(2 ** (self.bits - 1) - 1)

    def _buckets(self, kept: int) -> int:
        return -(-kept // self.bucket)

    def _places(self, update: Tensor) -> Tensor | None:
        """(k,) int64, ascending, of the largest entries; None where all are sent."""
        kept = self.kept(len(update))
        if kept == len(update):
            return None
        return update.abs().topk(kept, sorted=False).indices.sort().values

    def _rounded(self, values: Tensor, seed: int, user: int, counter: int) -> Tensor:
        codes, scales = self._codes(values, seed, user, counter)
        decoded = codes.astype(np.float32) * np.repeat(scales, self.bucket)[: len(codes)]
        return torch.from_numpy(decoded).to(values.dtype)

    def _codes(self, values: Tensor, seed: int, user: int, counter: int) -> tuple[Codes, NDArray[np.float32]]:
        """Codes (k,) and the scales of their buckets: value ≈ code · scale, and equal on average."""
        numbers = values.numpy().astype(np.float32)
        starts = np.arange(0, len(numbers), self.bucket)
        scales = np.maximum.reduceat(np.abs(numbers), starts) / np.float32(self._levels)
        each = np.repeat(scales, self.bucket)[: len(numbers)]
        steps = np.divide(numbers, each, out=np.zeros_like(numbers), where=each > 0)
        chance = generator(seed, "quantise", user, counter).random(len(numbers), np.float32)
        codes = np.clip(np.floor(steps + chance), -self._levels, self._levels)
        return codes.astype(np.int8), scales.astype(np.float32)


def _width(parameters: int) -> int:
    """Bits that the place of one of P entries needs."""
    return max(1, (parameters - 1).bit_length())


def packed(numbers: NDArray[np.int64], width: int) -> bytes:
    """Numbers from 0 to 2^width − 1, one behind the other, the highest bit first."""
    bits = numbers[:, None] >> np.arange(width - 1, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def unpacked(message: bytes, width: int, number: int) -> NDArray[np.int64]:
    """The numbers, ``number`` of them, that `packed` packed."""
    bits = np.unpackbits(np.frombuffer(message, np.uint8), count=number * width).reshape(number, width)
    found: NDArray[np.int64] = bits.astype(np.int64) @ (1 << np.arange(width - 1, -1, -1))
    return found
