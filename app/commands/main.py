"""The command `persarank`. Every command prints a table for people, or with --json one line for programs.

Exit codes: 0 ok · 1 interrupted but saved · 2 usage · 3 bad data · 4 bad config · 5 broken run
directory · 6 untrusted model.
"""

import io
import os
import sys
from typing import Annotated

import click
import typer

from app.commands.datasets import data_commands
from app.commands.demo import demo
from app.commands.evaluate import evaluate
from app.commands.exits import INTERRUPTED, OK, SIGNALLED, USAGE, code_of
from app.commands.listing import list_tables
from app.commands.printing import warn
from app.commands.reproduce import reproduce
from app.commands.train import resume, train

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
commands.command("list")(list_tables)
commands.command()(reproduce)
commands.command()(demo)


@commands.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options before the command."""
    if debug:
        os.environ["PERSARANK_DEBUG"] = "1"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every known failure is one sentence on stderr and a documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows another
    try:
        code = commands(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        code = SIGNALLED
    except Exception as error:
        if os.environ.get("PERSARANK_DEBUG"):
            raise
        known = code_of(error)
        if isinstance(error, OSError) and error.strerror:
            error = RuntimeError(f"{error.filename or 'a file'}: {error.strerror}.")
        elif known is None:
            error = RuntimeError(f"unexpected {type(error).__name__}: {error}; run with --debug for details.")
        warn(str(error))
        sys.exit(USAGE if known is None else known)
    if code == SIGNALLED:
        print("persarank: interrupted before there was anything to save.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(code or OK)
