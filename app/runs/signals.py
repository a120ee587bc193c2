"""Who hears SIGINT, SIGTERM and SIGHUP. What was ignored when the program began, as under nohup, stays so."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Hear = Callable[[int, FrameType | None], None]
Before = dict[int, Any]
"""Who heard a signal before, by its number."""

AGAIN = 1.0
"""Seconds in which further signals are the same wish (`timeout` sends two): what is
tidied up meanwhile is not disturbed."""


class Interrupt:
    """A signal raises KeyboardInterrupt, which every command tidies up after; until ``over``."""

    def __init__(self) -> None:
        self.over = False
        self._last = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Hear a signal."""
        now = time.monotonic()
        repeated, self._last = now - self._last < AGAIN, now
        if not (self.over or repeated):
            raise KeyboardInterrupt


def take(hear: Hear) -> Before:
    """Hear signals from now on; outside the main thread nobody can."""
    before: Before = {}
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_IGN, None):
            continue
        try:
            before[number] = signal.signal(number, hear)
        except ValueError:  # not the main thread
            break
    return before


def give_back(before: Before) -> None:
    """Let those hear again who heard before."""
    for number, hear in before.items():
        signal.signal(number, hear)


@contextmanager
def undisturbed() -> Iterator[None]:
    """For what tells of a result that is saved already: signals come too late."""
    before = take(lambda number, frame: None)
    try:
        yield
    finally:
        give_back(before)
