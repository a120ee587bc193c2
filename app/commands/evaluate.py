"""The command `persarank evaluate`: judge runs on held-out slates."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands import completion
from app.commands.options import Cutoff, Moved, Split, one_of
from app.commands.paths import path
from app.commands.printing import Json, show, warn

AVERAGES = ["users", "slates"]


def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=path,
            help="Run directories; differences are to the first.",
            autocompletion=completion.runs,
        ),
    ],
    data: Moved = None,
    split: Split = "test",
    average: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Average over users, or over slates.",
            autocompletion=lambda: AVERAGES,
        ),
    ] = "users",
    cutoff: Cutoff = 10,
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
    from data.files import what_is_wrong
    from data.schema import SPLITS

    one_of("--split", split, SPLITS)
    one_of("--average", average, AVERAGES)
    with ProgressBars(quiet=as_json) as bars:
        judged = judge_all(runs, data, split, permute_users, bars.tell, cutoff)
    if split == "test" and not permute_users:
        for run in judged:
            try:
                save_report(run)
            except (RunError, OSError) as error:
                warn(f"the report is not saved: {what_is_wrong(error)}")
    result: dict[str, Any] = {"runs": [describe(j, average) for j in judged]}
    result["differences"] = [compare(j, judged[0], average) for j in judged[1:]]
    show(tables.evaluation, result, as_json)
