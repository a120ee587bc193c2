"""Live progress: a bar for each phase, with the time that is left. Drawn on a terminal only."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ProgressBars:
    """Use as a context manager; `tell` is told how far phases are.

    Args:
        quiet: whether to draw nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        console = Console(stderr=True)
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

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def tell(self, phase: str, done: int, total: int, detail: str = "") -> None:
        """Show how far a phase is; one that happens again and again begins anew each time."""
        known = total or None  # a bar without a total moves to and fro
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=known, detail="")
        task = self._tasks[phase]
        if done == 0:
            self._progress.reset(task, total=known)
        self._progress.update(task, completed=done, total=known, detail=detail)
