"""Live progress: a bar for each phase, with the time that is left. Drawn on a terminal only.

Whoever starts a command may ask for the same in a file, see `app.runs.progress_file`.
"""

from collections.abc import Iterable
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from app.runs.progress_file import named_file

GAP = "  "
"""Between the figures of a detail."""

BARS = (40, 20, 10)
"""How many characters long a bar may be, as the terminal has room."""

ENDLESS = 1000
"""Characters in a line that is longer than any."""


class _Fitting(Progress):
    """Draws shorter bars, then none, then fewer figures, until the terminal is wide enough: none is cut."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """A line for each task."""
        tasks = list(tasks)
        if not tasks:  # the console is not yet known
            return Table.grid()
        most = max(len(task.fields["detail"].split(GAP)) for task in tasks)
        forms = [(bar, most) for bar in BARS] + [(0, figures) for figures in range(most, -1, -1)]
        for bar, figures in forms:
            table = _table(tasks, bar, figures)
            unbounded = self.console.options.update(max_width=ENDLESS)
            if self.console.measure(table, options=unbounded).maximum <= self.console.width:
                break
        return table


def _table(tasks: list[Task], bar: int, figures: int) -> Table:
    """Tasks, with bars of a length and so many figures of their details; without any, no time either."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(overflow="ellipsis"))
    ]
    columns += [BarColumn(bar)] if bar else []
    columns += [TaskProgressColumn()]
    columns += [TimeRemainingColumn()] if figures else []
    table = Table.grid(*(column.get_table_column().copy() for column in columns), padding=(0, 1))
    table.add_column(no_wrap=True)
    for task in tasks:
        if task.visible:
            detail = GAP.join(task.fields["detail"].split(GAP)[:figures])
            table.add_row(*(column(task) for column in columns), detail)
    return table


class ProgressBars:
    """Use as a context manager; `tell` is told how far phases are.

    Args:
        quiet: whether to draw nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._tasks: dict[str, TaskID] = {}
        self._progress = _Fitting(console=console, disable=quiet or not console.is_terminal)
        self._file = named_file()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def tell(self, phase: str, done: int, total: int, detail: str = "") -> None:
        """Show how far a phase is; one that happens again and again begins anew each time."""
        if self._file is not None:
            self._file.tell(phase, done, total, detail)
        known = total or None  # a bar without a total moves to and fro
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=known, detail="")
        task = self._tasks[phase]
        if done == 0:
            self._progress.reset(task, total=known)
        self._progress.update(task, completed=done, total=known, detail=detail)
