"""Independent pieces of tensor work, one thread each.

Threads take whole pieces instead of sharing the work inside one operation. So a piece is computed by the
same instructions in the same order whatever the number of threads, and gives the same bits; and small
operations do not wait for each other a thousand times a second.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """function(piece) of every piece, in order, by as many threads as torch is allowed."""
    threads = torch.get_num_threads()
    with one_thread():
        if len(pieces) == 1 or threads == 1:
            return [function(piece) for piece in pieces]
        return list(_pool(threads).map(function, pieces))


@contextmanager
def one_thread() -> Iterator[None]:
    """No sharing of work inside operations: what is computed has the same bits on every machine's setting."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    # Each thread has its own setting of how many threads its operations may use.
    return ThreadPoolExecutor(threads, "stack", initializer=torch.set_num_threads, initargs=(1,))
