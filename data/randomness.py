"""Random draws keyed by (seed, purpose, counters…), never taken from a shared stream.

A draw depends on its key alone, so results do not change with the number of workers, with how often
a model is evaluated, or with a restart; and PYTHONHASHSEED has no part in it.
"""

import zlib

import numpy as np


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """The stream of random numbers that belongs to this key and to no other.

    Args:
        seed: the run's seed, ≥ 0.
        purpose: what the draw is for, e.g. ``"batch"``; two purposes never share a stream.
        counters: whole numbers ≥ 0 that place the draw, e.g. user and local step.
    """
    key = (seed, zlib.crc32(purpose.encode()), *counters)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
