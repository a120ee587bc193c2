"""Ctrl-C, SIGTERM and SIGHUP as a polite request: the work at hand is finished and saved first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from app.runs.phases import Phases
from app.runs.signals import Before, give_back, take
from federated.patience import Interrupted

SOON = 0.5
"""Seconds that an update may still take once somebody wants the work to end."""


class Stop:
    """While open, signals are requests: one to end soon, two to end now; a third acts as it always does.

    Outside the main thread signals cannot be caught; there nobody ever asks.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._since = 0.0
        self._at_once = False
        self._before: Before = {}

    def asked(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._asked > 0

    def asked_again(self) -> bool:
        """Whether somebody wants it to end now."""
        return self._asked > 1

    def overdue(self) -> bool:
        """Whether somebody has wanted it for longer than SOON."""
        return self._asked > 0 and time.monotonic() - self._since > SOON

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, where nothing can be saved and nothing is spoiled, the first request raises Interrupted."""
        before, self._at_once = self._at_once, True
        try:
            if self._asked:
                raise Interrupted
            yield
        finally:
            self._at_once = before

    def __enter__(self) -> "Stop":
        self._before = take(self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        give_back(self._before)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self._since = self._since if self._asked else time.monotonic()
        self._asked += 1
        if self._asked > 1:
            give_back(self._before)
        if self._at_once:
            raise Interrupted


class Patience:
    """Passes on how far a training is, and ends it, or the finding of users' own models, if the user wishes.

    Long work asks it from time to time, in any thread: see `federated.patience.Patience`.
    """

    def __init__(self, stop: Stop, phases: Phases) -> None:
        self._stop, self._phases = stop, phases
        self._learning, self._whole, self._said = True, False, False

    def trained(self, updates: int) -> None:
        """Training has ended. Who ended it early gets the model so far, if any, and may ask again."""
        if not updates and self._stop.asked():
            raise Interrupted
        self._learning, self._whole = False, not self._stop.asked()
        self()

    def tell(self, phase: str, done: int, total: int) -> None:
        """See `data.progress.Tell`."""
        self._phases.tell(phase, done, total)
        self()

    def __call__(self) -> None:
        """Raise Interrupted if the user will not wait for what is being computed."""
        if not self._stop.asked():
            return
        if self._stop.asked_again() or self._whole or (self._learning and self._stop.overdue()):
            raise Interrupted
        if not self._learning and not self._said and self._stop.overdue():
            self._said = True
            self._phases.warn("stopping; users' own models are found first: a second signal leaves them out.")
