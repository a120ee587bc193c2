"""The command `persarank data import-features`: others' features become a dataset."""

from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.paths import path
from app.commands.printing import Json, Out, show, warn
from app.runs.signals import undisturbed


def data_import_features(
    files: Annotated[
        list[Path],
        typer.Argument(
            parser=path,
            help="SVMlight files, perhaps .gz, .zst, .bz2 or .xz: one; or training, validation and test.",
        ),
    ],
    out: Out,
    users: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="A file with a line for each query: its number and its user. [default: user:NAME in "
            "comments, or one user for all]",
        ),
    ] = None,
    log1p: Annotated[
        bool, typer.Option("--log1p", help="Take sign(x)·ln(1 + |x|) of all features: networks want it.")
    ] = False,
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of all these files, e.g. windows-1252. [default: UTF-8, or a byte order mark's]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn others' features into a dataset that rankers can be trained and judged on.

    Files are SVMlight with qid:, as LETOR has them: one, which is split 60/20/20 inside each user, or three:
    training, validation and test.
    """
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from data.feature_import import read_features
    from data.feature_sets import card, fill, read_set
    from data.reading.rows import Reading
    from data.reading.svmlight import read_users
    from data.schema import DataError
    from data.storage import fresh

    if len(files) not in (1, 3):
        raise click.UsageError(f"give one file, or three: training, validation and test; not {len(files)}.")
    try:
        Reading(encoding=encoding)
    except DataError as error:
        raise click.UsageError(str(error)) from error
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        whose = read_users(users, encoding) if users else None
        coming = read_features(files, whose, log1p, encoding, bars.tell)
        fill(coming.found, coming.candidates(), coming.manifest(), out)
        found = read_set(out)
    for doubt in coming.repeated:
        warn(str(doubt))
    with undisturbed():
        show(tables.card, card(found), as_json)
