"""The command `persarank export`: rankings in the formats of other programs, and models that leave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from app.commands import completion
from app.commands.options import Cutoff, Moved, SharedBy, one_of
from app.commands.paths import path
from app.commands.printing import Json, Out, show
from app.runs.signals import undisturbed

RANKINGS_ONLY = {"splits": "--split", "yardsticks": "--yardsticks", "cutoff": "--cutoff"}
MODELS_ONLY = {"users": "--user", "everyone": "--all", "shared_by": "--shared-by"}
"""Options that say something about one kind of export alone, by the names of their parameters."""

OF_MODELS, OF_RANKINGS = "Models: --format onnx or web", "Rankings: the other formats"


def export(
    context: typer.Context,
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
            help="{formats}; rankings' formats may be given several times. [default: all of rankings]",
            autocompletion=completion.listed("formats"),
        ),
    ] = None,
    data: Moved = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Slates of {splits}; may be given several times. [default: test]",
            autocompletion=completion.listed("splits"),
            rich_help_panel=OF_RANKINGS,
        ),
    ] = None,
    yardsticks: Annotated[
        bool,
        typer.Option(
            "--yardsticks",
            help="Export what a run is measured by as well, as rankings.",
            rich_help_panel=OF_RANKINGS,
        ),
    ] = False,
    cutoff: Cutoff = 10,
    users: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="NAME",
            help="Whose model; may be given several times. [default: the one that all share]",
            rich_help_panel=OF_MODELS,
        ),
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="The shared model and all users'.", rich_help_panel=OF_MODELS)
    ] = False,
    shared_by: SharedBy = 2,
    as_json: Json = False,
) -> None:
    """Write what other programs read: a run's rankings, or its models.

    Rankings are TREC runs and qrels, features in SVMlight, and a table of slates; of a dataset they are
    those of the yardsticks. Models come with all that another program needs to suggest as the run does:
    as ONNX, or as a page that suggests in the browser.
    """
    from app.devices.export import KINDS
    from app.reports.exports.export import FORMATS
    from data.schema import SPLITS

    for option, given, known in (("--format", formats, (*FORMATS, *KINDS)), ("--split", splits, SPLITS)):
        for name in given or ():
            one_of(option, name, known)
    models = set(formats or ()) & set(KINDS)
    _require_belonging(bool(models), formats or (), context)
    if models:
        _models(place, out, models.pop(), users or (), everyone, shared_by, data, as_json)
    else:
        chosen = tuple(dict.fromkeys(splits or ["test"]))
        _rankings(place, out, chosen, formats or FORMATS, data, yardsticks, cutoff, as_json)


def _require_belonging(models: bool, formats: Sequence[str], context: click.Context) -> None:
    """Raise UsageError if options are given that say nothing about what is exported."""
    if models and len(set(formats)) > 1:
        raise click.UsageError("--format onnx or web goes into a folder of its own: leave other formats out.")
    others = RANKINGS_ONLY if models else MODELS_ONLY
    for name, option in others.items():
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            kind = "rankings, and --format is of models" if models else "models: add --format onnx or web"
            raise click.UsageError(f"{option} is of {kind}.")


def _models(
    place: Path,
    out: Path,
    kind: str,
    users: Sequence[str],
    everyone: bool,
    shared_by: int,
    data: Path | None,
    as_json: bool,
) -> None:
    from app.commands.progress import ProgressBars
    from app.devices.export import export_models
    from app.reports import tables
    from app.suggestions.suggester import of_run
    from data.storage import fresh

    if users and everyone:
        raise click.UsageError("--all has everybody's model: leave --user out.")
    suggester = of_run(place, data, shared_by)
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        said = export_models(suggester, out, kind, users, everyone, bars.tell)
    with undisturbed():
        show(tables.models, {"out": str(out), **said}, as_json)


def _rankings(
    place: Path,
    out: Path,
    splits: tuple[str, ...],
    formats: Sequence[str],
    data: Path | None,
    yardsticks: bool,
    cutoff: int,
    as_json: bool,
) -> None:
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from app.reports.exports.export import export as write
    from data.storage import fresh

    with fresh(out), ProgressBars(quiet=as_json) as bars:
        result: dict[str, Any] = write(place, out, splits, formats, data, yardsticks, cutoff, bars.tell)
    with undisturbed():
        show(tables.export, {"out": str(out), **result}, as_json)
