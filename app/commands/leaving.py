"""Ctrl-C, SIGTERM and SIGHUP as one wish to leave, for commands that do many things in turn."""

import os
import signal
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from app.commands.exits import INTERRUPTED
from app.commands.printing import warn

SAME = 1.0
"""Seconds in which further signals say the same: `timeout` sends two, and a shell repeats a terminal's."""


class Leaving:
    """While open, a signal raises KeyboardInterrupt, and so does one that comes later than SAME.

    Before `begun` it ends the program, since imports take an exception for a broken library. A signal that
    was ignored when the process began, as under nohup, stays ignored.

    Args:
        sentence: says what is kept.
    """

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._begun = False
        self._asked: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def begun(self) -> None:
        """Everything is imported."""
        self._begun = True

    def __enter__(self) -> "Leaving":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whoever was interrupted says so and ends, and nothing that comes meanwhile changes that."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if interrupted else handler)
        if interrupted:
            self._say()
            raise SystemExit(INTERRUPTED)

    def _say(self) -> None:
        with suppress(OSError):  # the terminal may be gone
            warn(self._sentence)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._begun:
            self._say()
            os._exit(INTERRUPTED)
        if self._asked is None or now - self._asked > SAME:
            self._asked = now
            raise KeyboardInterrupt
