"""Live progress: a bar for each phase, for training with its figures. Drawn on a terminal only."""

from collections import deque

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from federated.training import Evaluated, Event, Finished, Merged

RECENT = 200
"""Updates over which staleness is averaged."""


class ProgressBars:
    """Use as a context manager; `tell` is told how far phases are, `see` sees the events of a training.

    Args:
        title: of the training, if there is one.
        updates: that have to arrive in it.
        quiet: whether to draw nothing.
    """

    def __init__(self, title: str = "", updates: int = 0, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._title, self._updates = title, updates
        self._staleness: deque[int] = deque(maxlen=RECENT)
        self._figures = {"loss": "–", "NMRR": "–"}
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            disable=quiet or not console.is_terminal,
        )

    def __enter__(self) -> "ProgressBars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def tell(self, phase: str, done: int, total: int) -> None:
        """Show how far a phase is; one that happens again and again starts anew each time."""
        self._progress.update(self._task(phase, total), completed=done, total=total)

    def see(self, event: Event) -> None:
        """Show one event of a training."""
        if isinstance(event, Evaluated):
            self._figures = {"loss": f"{event.metrics['loss']:.3f}", "NMRR": f"{event.metrics['nmrr']:.3f}"}
        elif isinstance(event, Merged):
            self._staleness.extend(event.staleness)
        elif isinstance(event, Finished):
            self.tell(self._title, event.updates, max(event.updates, 1))
            return
        task = self._task(self._title, self._updates)
        self._progress.update(task, completed=event.updates, detail=self._detail(task))

    def _task(self, phase: str, total: int) -> TaskID:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total, detail="")
        return self._tasks[phase]

    def _detail(self, task: TaskID) -> str:
        speed = next(t.speed for t in self._progress.tasks if t.id == task)
        stale = sum(self._staleness) / max(len(self._staleness), 1)
        figures = "  ".join(f"{name} {value}" for name, value in self._figures.items())
        return f"{figures}  staleness {stale:.1f}  {f'{speed:.0f}' if speed else '–'} updates/s"
