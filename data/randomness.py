"""Random draws keyed by (seed, purpose, counters…), never taken from a shared stream.

A draw depends on its key alone, so results do not change with the number of workers, with how often
a model is evaluated, or with a restart; and PYTHONHASHSEED has no part in it.
"""

import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

_U64 = np.uint64
_LOW = np.uint64(0xFFFFFFFF)
_Wide = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""128-bit numbers as their high and low halves."""
FEW = 24
"""Streams that are found sooner one by one."""

_MULTIPLIER = (0x2360ED051FC65DA4, 0x4385DF649FCCF645)
"""Of PCG64, high and low half."""


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """The stream of random numbers that belongs to this key; one with zeros behind it is the same key.

    Args:
        seed: the run's seed, ≥ 0.
        purpose: what the draw is for, e.g. ``"batch"``; purposes are told apart by their checksum (CRC32).
        counters: whole numbers ≥ 0 that place the draw, e.g. user and local step.
    """
    key: Any = (seed, zlib.crc32(purpose.encode()), *counters)
    with suppress(OverflowError):
        key = np.array(key, np.uint32)  # the same words, found in half the time
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def generators(seed: int, purpose: str, counters: NDArray[np.int64]) -> Iterable[np.random.Generator]:
    """The streams of many keys, ``generator(seed, purpose, *c)`` for each c, found all at once.

    It may be one object that goes from stream to stream, so draw from each before you take the next.

    Args:
        seed: the run's seed.
        purpose: see `generator`.
        counters: (N, 2) whole numbers from 0 to 2³² − 1.
    """
    if len(counters) < FEW or seed >> 32:
        yield from (generator(seed, purpose, *key) for key in counters.tolist())
        return
    words = counters.astype(np.uint64)
    fixed = [np.full(len(words), word, np.uint64) for word in (seed, zlib.crc32(purpose.encode()))]
    (high, low), (above, below) = _seeded(_seed_words([*fixed, words[:, 0], words[:, 1]]))
    bits = np.random.PCG64(0)
    stream = np.random.Generator(bits)
    for a, b, c, d in np.stack([high, low, above, below], axis=1).tolist():
        where: Any = {"state": a << 64 | b, "inc": c << 64 | d}
        bits.state = {"bit_generator": "PCG64", "state": where, "has_uint32": 0, "uinteger": 0}
        yield stream


def integers(
    seed: int, purpose: str, counters: NDArray[np.int64], low: int, high: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For every counter c the first number of its own stream, ``generator(seed, purpose, c)``, all at once.

    Args:
        seed: the run's seed, from 0 to 2³² − 1.
        purpose: see `generator`.
        counters: (N,) whole numbers from 0 to 2³² − 1.
        low: the least number that can be drawn.
        high: (N,) the greatest for each, at least ``low`` and less than ``low`` + 2³² − 1.

    Returns:
        (N,) what ``generator(seed, purpose, c).integers(low, high, endpoint=True)`` draws, to the bit.
    """
    spread = (high - low).astype(np.uint64)
    product = _first_half_words(seed, purpose, counters) * (spread + _U64(1))
    drawn = low + (product >> _U64(32)).astype(np.int64)
    # Lemire (2019): where the low half is small the draw may have to be repeated; numpy knows how.
    doubtful = ((product & _LOW) <= spread) & (spread > 0)
    for place in np.flatnonzero(doubtful).tolist():
        one = generator(seed, purpose, int(counters[place]))
        drawn[place] = one.integers(low, int(high[place]), endpoint=True)
    return drawn


def _first_half_words(seed: int, purpose: str, counters: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The low 32 bits of what PCG64 first gives after numpy's `SeedSequence` of each key."""
    last = counters.astype(np.uint64)
    fixed = [np.full_like(last, word) for word in (seed, zlib.crc32(purpose.encode()))]
    (high, low), increment = _seeded(_seed_words([*fixed, last, np.zeros_like(last)]))
    high, low = _add(_times_multiplier(high, low), increment)
    turned, by = high ^ low, high >> _U64(58)
    return ((turned >> by) | (turned << ((_U64(64) - by) & _U64(63)))) & _LOW


def _seeded(words: list[NDArray[np.uint64]]) -> tuple[_Wide, _Wide]:
    """State and increment of PCG64 (O'Neill 2014) that eight 32-bit words begin."""
    state = [(words[2 * i + 1] << _U64(32)) | words[2 * i] for i in range(4)]
    increment = ((state[2] << _U64(1)) | (state[3] >> _U64(63)), (state[3] << _U64(1)) | _U64(1))
    high, low = _add(increment, (state[0], state[1]))
    return _add(_times_multiplier(high, low), increment), increment


def _seed_words(entropy: list[NDArray[np.uint64]]) -> list[NDArray[np.uint64]]:
    """Eight 32-bit words for each key of four words, as `SeedSequence.generate_state` makes them.

    A key of three words has the same as one with a 0 behind them.
    """
    scale = 0x43B0D7E5

    def mixed_in(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
        nonlocal scale
        word = (word ^ _U64(scale)) & _LOW
        scale = scale * 0x931E8875 & 0xFFFFFFFF
        word = (word * _U64(scale)) & _LOW
        return word ^ (word >> _U64(16))

    pool = [mixed_in(word) for word in entropy]
    for source in range(4):
        for target in range(4):
            if source != target:
                word = (pool[target] * _U64(0xCA01F9DD) - mixed_in(pool[source]) * _U64(0x4973F715)) & _LOW
                pool[target] = word ^ (word >> _U64(16))
    scale, words = 0x8B51F9DD, []
    for number in range(8):
        word = pool[number % 4] ^ _U64(scale)
        scale = scale * 0x58F38DED & 0xFFFFFFFF
        word = (word * _U64(scale)) & _LOW
        words.append(word ^ (word >> _U64(16)))
    return words


def _times_multiplier(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> _Wide:
    """A 128-bit number times PCG64's multiplier, modulo 2¹²⁸."""
    a, b = low >> _U64(32), low & _LOW
    c, d = _U64(_MULTIPLIER[1] >> 32), _U64(_MULTIPLIER[1] & 0xFFFFFFFF)
    middle = a * d + ((b * d) >> _U64(32))
    carried = b * c + (middle & _LOW)
    above = a * c + (middle >> _U64(32)) + (carried >> _U64(32))
    return above + high * _U64(_MULTIPLIER[1]) + low * _U64(_MULTIPLIER[0]), low * _U64(_MULTIPLIER[1])


def _add(one: _Wide, other: _Wide) -> _Wide:
    low = one[1] + other[1]
    return one[0] + other[0] + (low < one[1]), low
