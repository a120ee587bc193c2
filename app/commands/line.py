"""The command line: all commands, and the options before them."""

import os
from typing import Annotated

import typer

from app.commands.app import app
from app.commands.datasets import data_commands
from app.commands.demo import demo
from app.commands.evaluate import evaluate
from app.commands.export import export
from app.commands.listing import list_tables
from app.commands.report import compare, report
from app.commands.reproduce import reproduce
from app.commands.suggest import suggest
from app.commands.train import resume, train
from app.commands.tune import tune

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Personal autocomplete rankers, trained without collecting anyone's searches.",
    epilog="Exit codes: 0 ok, 1 interrupted but saved, 2 usage, 3 bad data, 4 bad config, "
    "5 broken run directory, 6 untrusted model.",
)
commands.add_typer(data_commands, name="data")
commands.command()(train)
commands.command()(resume)
commands.command()(evaluate)
commands.command()(suggest)
commands.command()(report)
commands.command()(compare)
commands.command()(export)
commands.command()(tune)
commands.command("list")(list_tables)
commands.command()(reproduce)
commands.command("app")(app)
commands.command()(demo)


@commands.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options before the command."""
    if debug:
        os.environ["PERSARANK_DEBUG"] = "1"
