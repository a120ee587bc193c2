"""Independent pieces of tensor work, one thread each.

Threads take whole pieces instead of sharing the work inside one operation. So a piece is computed by the
same instructions in the same order whatever the number of threads, and gives the same bits; and small
operations do not wait for each other a thousand times a second.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from importlib import import_module
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    done: Callable[[int], None] = lambda number: None,
) -> list[Result]:
    """function(piece) of every piece, in order, by as many threads as torch is allowed.

    Args:
        function: of one piece.
        pieces: all of them.
        done: is told, in this thread, how many have their result; if it raises, no further piece is begun.
    """
    threads = torch.get_num_threads()
    results = []
    with one_thread():
        alone = len(pieces) == 1 or threads == 1
        if alone:
            for piece in pieces:
                results.append(function(piece))
                done(len(results))
            return results
        with closing(_mapped(function, pieces, threads)) as coming:
            for result in coming:
                results.append(result)
                done(len(results))
    return results


def _mapped(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], threads: int
) -> Generator[Result, None, None]:
    """The results in order. Pieces that are not begun when the asking ends are never computed."""
    coming = [_pool(threads).submit(function, piece) for piece in pieces]
    try:
        for future in coming:
            yield future.result()
    finally:
        for future in coming:
            future.cancel()


@contextmanager
def one_thread() -> Iterator[None]:
    """No sharing of work inside operations: what is computed has the same bits on every machine's setting."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _blas() -> ThreadpoolController:
    """The libraries that compiled kernels multiply matrices by."""
    import_module("scipy.linalg.cython_blas")  # only what has been loaded can be found
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    # Each thread has its own setting of how many threads its operations may use.
    return ThreadPoolExecutor(threads, "stack", initializer=torch.set_num_threads, initargs=(1,))
