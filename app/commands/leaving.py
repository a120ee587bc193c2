"""Ctrl-C, SIGTERM and SIGHUP as one wish to leave, for commands that do many things in turn."""

import os
import signal
from types import FrameType, TracebackType

from app.commands.exits import INTERRUPTED
from app.commands.printing import warn
from app.runs.signals import Before, Interrupt, give_back, take


class Leaving:
    """While open, signals are heard as by `Interrupt`; who was interrupted gets a sentence, and exit code 1.

    Before `begun` a signal ends the program at once, since imports take an exception for a broken library.

    Args:
        sentence: says what is kept.
    """

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._begun = False
        self._interrupt = Interrupt()
        self._before: Before = {}

    def begun(self) -> None:
        """Everything is imported."""
        self._begun = True

    def __enter__(self) -> "Leaving":
        self._before = take(self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whoever was interrupted says so and ends, and nothing that comes meanwhile changes that."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        give_back(dict.fromkeys(self._before, signal.SIG_IGN) if interrupted else self._before)
        if interrupted:
            warn(self._sentence)
            raise SystemExit(INTERRUPTED)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            warn(self._sentence)
            os._exit(INTERRUPTED)
        self._interrupt(number, frame)
