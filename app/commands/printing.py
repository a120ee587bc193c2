"""What all commands share: the options --json and --out, and how results and warnings are printed."""

import json
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.paths import path

if TYPE_CHECKING:
    from rich.console import Console

HIDDEN = ("Cc", "Cs")
"""Characters that are no letters but, in names of files, line ends or bytes that are not UTF-8."""

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")]
Out = Annotated[
    Path, typer.Option("--out", parser=path, metavar="DIR", help="A new or empty directory to write.")
]


def show(table: Callable[[dict[str, Any], "Console"], None], result: dict[str, Any], as_json: bool) -> None:
    """Print a result, by a function of `app.reports` that draws it."""
    if as_json:
        print(json.dumps(result, allow_nan=False), flush=True)
        return
    from rich.console import Console

    table(result, Console())


def warn(sentence: str) -> None:
    """One sentence for people, beside the result; if nobody is there to read it any more, work goes on."""
    visible = "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in sentence)
    with suppress(OSError):
        print(f"persarank: {visible}", file=sys.stderr, flush=True)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
