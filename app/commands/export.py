"""The command `persarank export`: rankings and features in the formats of other programs."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands import completion
from app.commands.options import Cutoff, Moved, one_of
from app.commands.paths import path
from app.commands.printing import Json, Out, show
from app.runs.signals import undisturbed


def export(
    place: Annotated[
        Path,
        typer.Argument(
            parser=path,
            help="A run; or a dataset, whose rankings are the yardsticks.",
            autocompletion=completion.runs,
        ),
    ],
    out: Out,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="{formats}; may be given several times. [default: all]",
            autocompletion=completion.listed("formats"),
        ),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Slates of {splits}; may be given several times. [default: test]",
            autocompletion=completion.listed("splits"),
        ),
    ] = None,
    data: Moved = None,
    yardsticks: Annotated[
        bool, typer.Option("--yardsticks", help="Export what a run is measured by as well, as rankings.")
    ] = False,
    cutoff: Cutoff = 10,
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
            one_of(option, name, known)
    chosen = dict.fromkeys(splits or ["test"])
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        result = write(place, out, tuple(chosen), formats or FORMATS, data, yardsticks, cutoff, bars.tell)
    with undisturbed():
        show(tables.export, {"out": str(out), **result}, as_json)
