"""Ctrl-C and SIGTERM as a polite request: the work at hand is finished and saved first."""

import signal
from types import FrameType, TracebackType
from typing import Any

from app.runs.phases import Phases
from ranking.building import FEATURES


class Stop:
    """While open, the first SIGINT or SIGTERM sets a flag; a second one acts as it always does.

    Outside the main thread signals cannot be caught; there the flag stays down.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._asked

    def __enter__(self) -> "Stop":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._notice)
        except ValueError:  # not the main thread
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Patience:
    """Passes on how far the work is, and ends what comes before and after training if the user wishes."""

    def __init__(self, stop: Stop, phases: Phases) -> None:
        self._stop, self._phases = stop, phases
        self._waits = False

    def trained(self, updates: int) -> None:
        """Training has ended. Who ended it early gets the model so far, if any, and may ask again."""
        if not updates and self._stop.asked():
            raise KeyboardInterrupt
        self._waits = not self._stop.asked()

    def tell(self, phase: str, done: int, total: int) -> None:
        """See `data.progress.Tell`."""
        self._phases.tell(phase, done, total)
        if self._stop.asked() and (self._waits or phase == FEATURES):
            raise KeyboardInterrupt
