"""What all commands share: the options --json and --out, and how results and warnings are printed."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")]
Out = Annotated[Path, typer.Option("--out", help="A new or empty directory to write.")]


def show(table: str, result: dict[str, Any], as_json: bool) -> None:
    """Print a result, by the function of that name in `app.reports.tables`."""
    if as_json:
        print(json.dumps(result, allow_nan=False), flush=True)
        return
    from rich.console import Console

    from app.reports import tables

    getattr(tables, table)(result, Console())


def warn(sentence: str) -> None:
    """One sentence for people, beside the result."""
    print(f"persarank: {sentence}", file=sys.stderr)
