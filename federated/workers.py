"""Independent pieces of tensor work, one thread each.

Threads take whole pieces instead of sharing the work inside one operation. So a piece is computed by the
same instructions in the same order whatever the number of threads, and gives the same bits; and small
operations do not wait for each other a thousand times a second. Nor do threads that share operations wait
for the next one by spinning, which would take the cores from those that work.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from importlib import import_module
from itertools import pairwise
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")
_state = threading.local()

MANY = 8
"""Things that a thread takes, for which it is worth its trouble to come twice."""


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
    results = []
    with one_thread() as threads, closing(_mapped(function, pieces, threads)) as coming:
        for result in coming:
            results.append(result)
            done(len(results))
    return results


def shared(function: Callable[[range], None], number: int) -> None:
    """Call a function for all of so many things, in ranges: one for each thread, or two if they are many."""
    with one_thread() as threads:
        parts = min(threads if number < MANY * threads else 2 * threads, number)
        edges = [number * part // parts for part in range(parts + 1)]
        in_parallel(lambda edge: function(range(*edge)), list(pairwise(edges)))


def _mapped(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], threads: int
) -> Generator[Result, None, None]:
    """The results in order. Pieces that are not begun when the asking ends are never computed."""
    if threads == 1 or len(pieces) == 1:
        for piece in pieces:
            yield function(piece)
        return
    coming = [_pool(threads).submit(function, piece) for piece in pieces]
    try:
        for future in coming:
            yield future.result()
    finally:
        for future in coming:
            future.cancel()


@contextmanager
def one_thread() -> Iterator[int]:
    """No sharing of work inside operations: what is computed has the same bits on every machine's setting.

    Gives the number of threads among which pieces are shared meanwhile: as many as torch was allowed before.
    Inside itself it costs nothing, so whoever has many pieces in a row stays in it.
    """
    if (outer := getattr(_state, "threads", None)) is not None:
        yield outer
        return
    _state.threads = threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas().limit(limits=1):
            yield threads
    finally:
        torch.set_num_threads(threads)
        _state.threads = None


@cache
def _blas() -> ThreadpoolController:
    """The libraries that compiled kernels multiply matrices by."""
    import_module("scipy.linalg.cython_blas")  # only what has been loaded can be found
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    # Each thread has its own setting of how many threads its operations may use.
    return ThreadPoolExecutor(threads, "stack", initializer=torch.set_num_threads, initargs=(1,))
