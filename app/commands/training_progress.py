"""Live progress of a training: its phases, and its loss, staleness and updates per second."""

import time
from collections import deque

from app.commands.progress import ProgressBars
from federated.events import Evaluated, Event, Finished, Merged

RECENT = 200
"""Updates over which staleness is averaged."""


class TrainingBars(ProgressBars):
    """Progress bars that also see the events of a training.

    Args:
        title: of the training.
        updates: that have to arrive.
        quiet: whether to draw nothing.
    """

    def __init__(self, title: str, updates: int, quiet: bool = False) -> None:
        super().__init__(quiet)
        self._title, self._updates = title, updates
        self._staleness: deque[int] = deque(maxlen=RECENT)
        self._figures = "loss –  NMRR –"
        self._busy, self._since = 0.0, 0.0
        self._before: int | None = None

    def see(self, event: Event) -> None:
        """Show one event."""
        now = time.perf_counter()
        if isinstance(event, Evaluated):
            self._figures = f"loss {event.metrics['loss']:.3f}  NMRR {event.metrics['nmrr']:.3f}"
        elif isinstance(event, Merged):
            self._staleness.extend(event.staleness)
            if self._before is None:
                self._before = event.updates
            else:  # what a validation takes is nobody's update
                self._busy += now - self._since
        self._since = now
        total = max(event.updates, 1) if isinstance(event, Finished) else self._updates
        self.tell(self._title, event.updates, total, self._detail(event.updates))

    def _detail(self, updates: int) -> str:
        stale = sum(self._staleness) / max(len(self._staleness), 1)
        speed = f"{(updates - (self._before or 0)) / self._busy:.0f}" if self._busy else "–"
        return f"{self._figures}  staleness {stale:.1f}  {speed} updates/s"
