"""The command `persarank`. Every command prints a table for people, or with --json one line for programs.

Exit codes: 0 ok · 1 interrupted but saved · 2 usage · 3 bad data · 4 bad config · 5 broken run
directory · 6 untrusted model. Little is imported before signals are heard.
"""

import gc
import io
import os
import signal
import sys

from app.commands.exits import INTERRUPTED, OK, SIGNALLED, USAGE, code_of
from app.runs.signals import Interrupt, give_back, take

NEW_OBJECTS = 10_000
"""After so many, garbage is looked for. Modules make hundreds of thousands, which all stay: looking after
every 700, as Python does, a command begins half a second later."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every known failure is one sentence on stderr and a documented exit code.

    Args:
        arguments: of a command; None: this process's own, which then ends undisturbed by further signals.
    """
    interrupt = Interrupt()
    before, thresholds = take(interrupt), gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *thresholds[1:])
    try:
        code = _code(arguments)
    finally:
        interrupt.over = True
        gc.set_threshold(*thresholds)
        # What Python hears it no longer hears while it ends: a signal would kill it, with all said and done.
        give_back(before if arguments is not None else dict.fromkeys(before, signal.SIG_IGN))
    sys.exit(code)


def _code(arguments: list[str] | None) -> int:
    """Run a command, say what was wrong, and tell the exit code."""
    try:
        import click
        from typer.main import get_command

        from app.commands import completion
        from app.commands.line import commands

        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows another
        try:
            command = get_command(commands)
            completion.register(command)
            code = command.main(arguments, standalone_mode=False) or OK
        except click.ClickException as error:
            error.show()
            return USAGE
        except click.Abort:
            code = SIGNALLED
    except KeyboardInterrupt:
        code = SIGNALLED
    except Exception as error:
        if os.environ.get("PERSARANK_DEBUG"):
            raise
        return _told(error)
    if code == SIGNALLED:
        print("persarank: interrupted before there was anything to save.", file=sys.stderr)
        return INTERRUPTED
    return int(code)


def _told(error: Exception) -> int:
    """Say what was wrong in a sentence, and tell the exit code."""
    from app.commands.printing import warn
    from data.files import what_is_wrong

    known = code_of(error)
    told = what_is_wrong(error)
    if known is None and not getattr(error, "strerror", None):
        told = f"unexpected {type(error).__name__}: {error}; run with --debug for details."
    warn(told)
    return USAGE if known is None else known
