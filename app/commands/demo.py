"""The command `persarank demo`: prepare the demo once, and open the app on it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from app.commands.app import Folder, Headless, Host, Port, folder_of, serve_app, shown
from app.commands.leaving import Leaving

if TYPE_CHECKING:
    from app.runs.following import Watch
    from app.runs.phases import Phases


def demo(
    folder: Folder = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    headless: Headless = False,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Train, but do not serve.")] = False,
) -> None:
    """Prepare two runs of 200 simulated users once, and open the app on them."""
    from app.suggestions.demo import home, ready

    try:
        directory = home()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    folder = folder_of(folder)
    if not ready(directory):
        with Leaving("stopped; what is finished is kept, and the same command goes on.") as leaving:
            _prepare(directory, leaving)
    if not prepare_only:
        serve_app(folder, shown(directory), True, host, port, headless)


def _prepare(directory: Path, leaving: Leaving) -> None:
    """Make what is missing of the demo, with a sentence and a progress bar for each part."""
    from app.commands.training_progress import TrainingBars
    from app.runs.phases import Phases
    from app.runs.training import UnfinishedError
    from app.suggestions.preparation import prepare

    leaving.begun()

    def tell(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    @contextmanager
    def watching(title: str, updates: int) -> "Iterator[tuple[Watch, Phases]]":
        with TrainingBars(title, updates) as bars:
            yield bars.see, Phases(bars.tell, tell)

    try:
        prepare(directory, tell=tell, watching=watching)
    except UnfinishedError as stopped:  # whose run the demo makes anew: `resume`, which it names, is no help
        raise stopped.__cause__ if isinstance(stopped.__cause__, OSError) else KeyboardInterrupt from stopped
