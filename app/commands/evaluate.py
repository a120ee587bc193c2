"""The command `persarank evaluate`: judge runs on held-out slates."""

from pathlib import Path
from typing import Annotated, Any

import click
import typer

from app.commands.paths import path
from app.commands.printing import Json, show, warn


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(parser=path, help="Run directories; differences are to the first.")
    ],
    data: Annotated[
        Path | None, typer.Option(parser=path, help="The dataset, if it has moved since training.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    average: Annotated[str, typer.Option(help="Average over 'users' or over 'slates'.")] = "users",
    cutoff: Annotated[
        int, typer.Option(min=1, max=1000, help="Places that accuracy@k, MRR@k and Success@k look at.")
    ] = 10,
    permute_users: Annotated[
        bool, typer.Option("--permute-users", help="Rank each user by the next one's model, to break a gain.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Judge runs on held-out slates, beside chance, popularity, own history and, if known, the truth."""
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from app.runs.directory import RunError
    from app.runs.evaluation import compare, describe, save_report
    from app.runs.evaluation import evaluate as judge_all
    from data.schema import SPLITS

    if split not in SPLITS:
        raise click.UsageError(f"--split is one of {', '.join(SPLITS)}, not {split!r}.")
    if average not in ("users", "slates"):
        raise click.UsageError(f"--average is 'users' or 'slates', not {average!r}.")
    with ProgressBars(quiet=as_json) as bars:
        judged = judge_all(runs, data, split, permute_users, bars.tell, cutoff)
    if split == "test" and not permute_users:
        for run in judged:
            try:
                save_report(run)
            except RunError as error:
                warn(f"the report is not saved: {error}")
            except OSError as error:
                warn(f"the report is not saved: {error.filename}: {error.strerror}.")
    result: dict[str, Any] = {"runs": [describe(j, average) for j in judged]}
    result["differences"] = [compare(j, judged[0], average) for j in judged[1:]]
    show(tables.evaluation, result, as_json)
