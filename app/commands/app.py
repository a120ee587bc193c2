"""The command `persarank app`: runs in a browser."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands import completion
from app.commands.paths import path
from app.commands.printing import warn

Folder = Annotated[
    Path | None,
    typer.Option(
        parser=path,
        help="Where new runs and imported logs are kept. [default: the working directory]",
    ),
]
Host = Annotated[str, typer.Option(help="The address to serve on; any but this machine's own is public.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="[default: 8501 or a free one]")]
Headless = Annotated[bool, typer.Option("--headless", help="Do not open a browser.")]


def app(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=path,
            help="Run directories. [default: those in runs/, or else the prepared demo]",
            autocompletion=completion.runs,
        ),
    ] = None,
    folder: Folder = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            parser=path,
            metavar="DIR",
            help="A dataset that has moved since training; may be given several times.",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    headless: Headless = False,
) -> None:
    """Open runs in the browser: type and see what the models suggest, compare runs, train new ones."""
    folder, moved = folder_of(folder), _datasets(data or ())
    if runs:
        serve_app(folder, _with_models(runs), False, host, port, headless, moved)
        return
    from app.suggestions.demo import home, ready

    prepared: Sequence[Path] = ()
    if not any(folder.glob("runs/*/summary.json")):
        with suppress(ValueError):  # there is no place for a demo, so there is none
            prepared = shown(home()) if ready(home()) else ()
    serve_app(folder, prepared, bool(prepared), host, port, headless, moved)


def folder_of(given: Path | None) -> Path:
    """The app's folder; one that is not there yet is made when something is written."""
    folder = (given or Path()).absolute()
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{folder} is no folder: choose another --folder.")
    return folder


def _with_models(runs: Sequence[Path]) -> list[Path]:
    """Those that can be opened; what is wrong with the others is said.

    Raises:
        RunError: none can.
    """
    from app.runs.directory import RunError, open_run

    found = []
    for run in runs:
        try:
            open_run(run)
            found.append(run)
        except RunError as error:
            if len(runs) == 1:
                raise
            warn(f"left out: {error}")
    if not found:
        raise RunError("none of the runs can be opened.")
    return found


def _datasets(places: Sequence[Path]) -> Sequence[Path]:
    """Datasets that have moved.

    Raises:
        DataError: one is none.
    """
    if places:
        from data.storage import read_manifest

        for place in places:
            read_manifest(place)
    return places


def shown(demo: Path) -> tuple[Path, ...]:
    """The demo's runs, the one that is opened first at the front."""
    from app.suggestions.demo import RUNS

    return tuple(demo / name for name in reversed(RUNS))


def serve_app(
    folder: Path,
    runs: Sequence[Path],
    demo: bool,
    host: str,
    port: int | None,
    headless: bool,
    moved: Sequence[Path] = (),
) -> None:
    """Serve the app; who can then see it is said, unless only this machine can."""
    from app.web.server import PortError, is_private, serve

    if not is_private(host):
        warn(
            f"whoever can reach {host} can see every user's searches and start trainings here: there is no "
            "password. Without --host the app is for this machine only."
        )
    try:
        serve(folder, runs, demo, moved, host, port, headless)
    except PortError as error:
        raise click.UsageError(str(error)) from error
