"""Independent pieces of tensor work, one thread each.

Threads take whole pieces instead of sharing the work inside one operation. So a piece is computed by the
same instructions in the same order whatever the number of threads, and gives the same bits; and small
operations do not wait for each other a thousand times a second. Nor do threads that share operations wait
for the next one by spinning, which would take the cores from those that work.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")
_state = threading.local()

MANY = 8
"""Things for each thread from which on it takes them in two ranges, so that none waits long for another."""


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

    Raises:
        Exception: what the first failing piece or ``done`` raised, when all that was begun has ended.
    """
    results = []
    with one_thread() as threads, closing(_mapped(function, pieces, threads)) as coming:
        for result in coming:
            results.append(result)
            done(len(results))
    return results


def shared(function: Callable[[range], None], number: int) -> None:
    """Call a function for all of so many things, in ranges: one for each thread, or two if they are many."""
    if number == 0:
        return
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
        wait(coming)


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
    _blas().hold()
    try:
        yield threads
    finally:
        _blas().let_go()
        torch.set_num_threads(threads)
        _state.threads = None


class _BLAS:
    """The libraries that compiled kernels multiply matrices by, held at one thread while anybody wants it.

    Unlike torch's, their setting is the whole process's.
    """

    def __init__(self) -> None:
        import_module("scipy.linalg.cython_blas")  # only what has been loaded can be found
        self._libraries = ThreadpoolController().select(user_api="blas")
        self._lock, self._holders = threading.Lock(), 0
        self._limit: Any = None

    def hold(self) -> None:
        with self._lock:
            if self._holders == 0:
                self._take_over()
                self._limit = self._libraries.limit(limits=1)
            self._holders += 1

    def let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._take_over()
                self._limit.restore_original_limits()
                self._take_over()

    def _take_over(self) -> None:
        """threadpoolctl (from 3.8 on) hears only one thread, but who comes first need not leave last."""
        for library in self._libraries.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


@cache
def _blas() -> _BLAS:
    return _BLAS()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    # Each thread has its own setting of how many threads its operations may use.
    return ThreadPoolExecutor(threads, "stack", initializer=torch.set_num_threads, initargs=(1,))
