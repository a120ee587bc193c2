"""The command `persarank export`: rankings and features in the formats of other programs."""

from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.paths import path
from app.commands.printing import Json, Out, show
from app.runs.signals import undisturbed


def export(
    place: Annotated[
        Path, typer.Argument(parser=path, help="A run; or a dataset, whose rankings are the yardsticks.")
    ],
    out: Out,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="trec, svmlight or parquet. [default: all]")
    ] = None,
    splits: Annotated[
        list[str] | None, typer.Option("--split", help="train, validation or test. [default: test]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(parser=path, help="The dataset, if it has moved since training.")
    ] = None,
    yardsticks: Annotated[
        bool, typer.Option("--yardsticks", help="Export what a run is measured by as well, as rankings.")
    ] = False,
    cutoff: Annotated[
        int, typer.Option(min=1, max=1000, help="Places that accuracy@k, MRR@k and Success@k look at.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Write TREC runs and qrels, features in SVMlight, and a table of slates.

    Of a run they are its rankings; of a dataset those of the yardsticks.
    """
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from app.reports.exports.export import FORMATS
    from app.reports.exports.export import export as write
    from data.schema import SPLITS
    from data.storage import fresh

    for option, given, known in (("--format", formats, FORMATS), ("--split", splits, SPLITS)):
        for name in given or ():
            if name not in known:
                raise click.UsageError(f"{option} is one of {', '.join(known)}, not {name!r}.")
    chosen = dict.fromkeys(splits or ["test"])
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        result = write(place, out, tuple(chosen), formats or FORMATS, data, yardsticks, cutoff, bars.tell)
    with undisturbed():
        show(tables.export, {"out": str(out), **result}, as_json)
