"""The command `persarank data import`: a search log becomes a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.options import one_of
from app.commands.paths import path
from app.commands.printing import Json, Out, show
from app.commands.public_options import (
    CENTRAL,
    LOG_NAMES,
    NODES,
    Delta,
    Epsilon,
    LogCounts,
    Things,
    Times,
    Users,
    rules_of,
)
from app.runs.signals import undisturbed

COLUMNS, READING, KEPT = "Columns of the log", "How the file is read", "What becomes of it"
"""Groups of options in the help of `import`."""

PROTOCOLS = ["default", "published"]


def data_import(
    file: Annotated[
        Path,
        typer.Argument(
            parser=path,
            help="A search log: .csv, .tsv, .jsonl, .json or .parquet, the text ones also .gz, .zst, .bz2 or "
            ".xz; or a folder of Parquet parts.",
        ),
    ],
    out: Out,
    user: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Column that names the user.", rich_help_panel=COLUMNS),
    ],
    time: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column with the time: dates as text, or Unix time.",
            rich_help_panel=COLUMNS,
        ),
    ],
    query: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Column with the submitted query.", rich_help_panel=COLUMNS),
    ],
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with a group of users, e.g. a team.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="How every time is written, e.g. '%d.%m.%Y %H:%M'. [default: found]",
            rich_help_panel=READING,
        ),
    ] = None,
    day_first: Annotated[
        bool,
        typer.Option("--day-first", help="03/04/2024 is the third of April.", rich_help_panel=READING),
    ] = False,
    month_first: Annotated[
        bool,
        typer.Option("--month-first", help="03/04/2024 is the fourth of March.", rich_help_panel=READING),
    ] = False,
    any_time: Annotated[
        bool,
        typer.Option(
            "--any-time", help="Accept times before 1990 and after tomorrow.", rich_help_panel=READING
        ),
    ] = False,
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of a text file, e.g. windows-1252. [default: UTF-8, or its byte order mark's]",
            rich_help_panel=READING,
        ),
    ] = None,
    no_quotes: Annotated[
        bool,
        typer.Option(
            "--no-quotes",
            help="Double quotes are ordinary characters of a CSV or TSV file.",
            rich_help_panel=READING,
        ),
    ] = False,
    min_events: Annotated[
        int | None,
        typer.Option(
            min=3,
            metavar="N",
            help="Leave out users with fewer events. [default: 5]",
            rich_help_panel=KEPT,
        ),
    ] = None,
    drop_missed: Annotated[
        bool,
        typer.Option(
            "--drop-missed", help="Leave out events whose query is not in its pool.", rich_help_panel=KEPT
        ),
    ] = False,
    keep_copies: Annotated[
        bool,
        typer.Option(
            "--keep-copies", help="Keep rows that repeat a user, time and query.", rich_help_panel=KEPT
        ),
    ] = False,
    typed: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Length of every prefix. [default: 1 to 6, drawn per event]",
            rich_help_panel=KEPT,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="For the drawn prefix lengths.",
            rich_help_panel=KEPT,
        ),
    ] = 0,
    strict_time: Annotated[
        bool,
        typer.Option(
            "--strict-time",
            help="Pools and counts hold only what anyone had done before.",
            rich_help_panel=KEPT,
        ),
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="default; or published, as in the literature, which is --typed 1 --min-events 30 "
            "--drop-missed --keep-copies.",
            autocompletion=lambda: PROTOCOLS,
            rich_help_panel=KEPT,
        ),
    ] = "default",
    public_counts: LogCounts = CENTRAL,
    public_users: Users = None,
    public_things: Things = None,
    public_times: Times = None,
    public_epsilon: Epsilon = None,
    public_delta: Delta = None,
    as_json: Json = False,
) -> None:
    """Turn a search log into a dataset."""
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from data.card import SlateFigures, card
    from data.log_import import ImportOptions, Reading, open_log
    from data.schema import DataError
    from data.storage import fill_parts, fresh
    from ranking.releasing import released

    one_of("--protocol", protocol, PROTOCOLS)
    bounded = public_users, public_things, public_times
    rules = rules_of(public_counts, *bounded, public_epsilon, public_delta, LOG_NAMES)
    if strict_time and rules:
        raise click.UsageError("--strict-time needs --public-counts central.")
    published = protocol == "published"
    try:
        reading = Reading(
            time_format=time_format,
            day_first=day_first,
            month_first=month_first,
            any_time=any_time,
            keep_copies=keep_copies or published,
            encoding=encoding,
            quotes=not no_quotes,
        )
    except DataError as error:
        raise click.UsageError(str(error)) from error
    chosen = ImportOptions(
        typed=typed or (1 if published else None),
        min_events=min_events or (30 if published else 5),
        drop_missed=drop_missed or published,
        seed=seed,
        strict_time=strict_time,
        public_counts=rules,
        one_node=public_counts == NODES,
        reading=reading,
    )
    figures = SlateFigures()
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        coming = open_log(file, user, time, query, group, chosen, tell=bars.tell, releasing=released)
        manifest = fill_parts(coming.dataset, figures.seeing(coming.slates()), coming.manifest, out)
    with undisturbed():
        show(tables.card, card(replace(coming.dataset, manifest=manifest), figures), as_json)
