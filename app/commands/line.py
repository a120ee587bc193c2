"""The command line: all commands, and the options before them."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from app.commands.app import app
from app.commands.datasets import data_commands
from app.commands.demo import demo
from app.commands.evaluate import evaluate
from app.commands.export import export
from app.commands.flower import flower_commands
from app.commands.listing import list_tables
from app.commands.privacy import privacy
from app.commands.report import compare, report
from app.commands.reproduce import reproduce
from app.commands.serve import serve
from app.commands.suggest import suggest
from app.commands.telling import Telling
from app.commands.train import resume, train
from app.commands.tune import tune

commands = typer.Typer(
    suggest_commands=False,  # click itself does, and once is enough
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Personal autocomplete rankers, trained without collecting anyone's searches.",
    epilog="Exit codes: 0 ok, 1 interrupted but saved, 2 usage, 3 bad data, 4 bad config, "
    "5 broken run directory, 6 untrusted model.",
)
commands.add_typer(data_commands, name="data", rich_help_panel="Data and training")
commands.add_typer(flower_commands, name="flower", rich_help_panel="Data and training")
GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Data and training": (train, resume, tune),
    "What came of it": (suggest, evaluate, privacy, report, compare, export),
    "To look at": (app, demo, serve, reproduce),
}
"""The commands, in the groups in which help shows them."""

for group, members in GROUPS.items():
    for member in members:
        commands.command(cls=Telling, rich_help_panel=group)(member)
commands.command("list", cls=Telling, rich_help_panel="To look at")(list_tables)


def _show_version(asked: bool) -> None:
    if asked:
        parts = f"Python {platform.python_version()}, torch {version('torch')}"
        print(f"persarank {version('persarank')} ({parts})")
        raise typer.Exit


@commands.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    shown: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the versions of PersaRank, Python and torch, and exit.",
        ),
    ] = False,
) -> None:
    """Options before the command."""
    if debug:
        os.environ["PERSARANK_DEBUG"] = "1"
