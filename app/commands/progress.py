"""The live progress bar: loss, staleness, updates per second and time left. Drawn on a terminal only."""

from collections import deque

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from federated.training import Evaluated, Event, Finished, Merged

RECENT = 200
"""Updates over which staleness is averaged."""


class TrainingBar:
    """Consumes training events; use as a context manager and pass `see` as the watcher."""

    def __init__(self, title: str, updates: int, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._staleness: deque[int] = deque(maxlen=RECENT)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]}  NMRR {task.fields[nmrr]}  staleness {task.fields[stale]}"),
            TextColumn("{task.fields[speed]} updates/s"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=updates, loss="–", nmrr="–", stale="–", speed="–")

    def __enter__(self) -> "TrainingBar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def see(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Merged):
            self._staleness.extend(event.staleness)
            speed = self._progress.tasks[0].speed
            self._progress.update(
                self._task,
                completed=event.updates,
                stale=f"{sum(self._staleness) / max(len(self._staleness), 1):.1f}",
                speed=f"{speed:.0f}" if speed else "–",
            )
        elif isinstance(event, Evaluated):
            loss, nmrr = (f"{event.metrics[name]:.3f}" for name in ("loss", "nmrr"))
            self._progress.update(self._task, loss=loss, nmrr=nmrr)
        elif isinstance(event, Finished):
            self._progress.update(self._task, completed=event.updates)
