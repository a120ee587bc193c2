"""The phases of a command, one after the other: which one it is in, and how long each has taken."""

import time
from collections.abc import Callable

from data.progress import Tell, silent

COMPILING, TRAINING, SAVING = "compiling", "training", "saving"


class Phases:
    """A stopwatch with names, that passes on how far a phase is.

    Args:
        listener: is told every phase, how much of it is done, and how much there is.
        warn: is told a sentence for people, beside the result.
    """

    def __init__(self, listener: Tell = silent, warn: Callable[[str], None] = lambda sentence: None) -> None:
        self._listener = listener
        self.warn = warn
        self._seconds: dict[str, float] = {}
        self._present: str | None = None
        self._since = time.perf_counter()

    def enter(self, phase: str) -> None:
        """What follows belongs to this phase, until another one is entered."""
        now = time.perf_counter()
        if self._present is not None:
            self._seconds[self._present] = self._seconds.get(self._present, 0.0) + now - self._since
        self._present, self._since = phase, now

    def tell(self, phase: str, done: int, total: int) -> None:
        """A phase goes on; a `data.progress.Tell`."""
        if phase != self._present:
            self.enter(phase)
        self._listener(phase, done, total)

    def seconds(self) -> dict[str, float]:
        """Wall seconds of every phase until now, by name, in the order in which they were first entered."""
        if self._present is not None:
            self.enter(self._present)
        return {phase: round(seconds, 3) for phase, seconds in self._seconds.items()}
