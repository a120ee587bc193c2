"""The command `persarank tune`: find good settings by successive halving on validation slates."""

from pathlib import Path
from typing import Annotated, Any

import click
import typer

from app.commands import completion
from app.commands.leaving import Leaving
from app.commands.options import (
    LONG,
    Algorithm,
    Config,
    Data,
    Loss,
    Objective,
    Preset,
    Ranker,
    Schedule,
    Sets,
)
from app.commands.paths import path
from app.commands.printing import Json, show, warn
from app.runs.shell import command

SEARCH = "What is searched"
"""A group of options in the help."""

MOST_SEEDS = 100
"""Trainings of one candidate that still are one search."""


def seeds_of(text: str) -> list[int]:
    """``0``, ``0-2`` or ``0,3`` as numbers, each once."""
    numbers: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise click.UsageError(f"--seeds is a number, 0-2 or 0,3, not {text!r}.")
        ends = int(first), int(last or first)
        if max(ends) >= 2**32:
            raise click.UsageError(f"--seeds {text!r}: seeds are whole numbers from 0 to {2**32 - 1}.")
        if not 0 <= ends[1] - ends[0] < MOST_SEEDS:
            raise click.UsageError(f"--seeds {text!r}: a range goes up, and holds up to {MOST_SEEDS}.")
        numbers |= dict.fromkeys(range(ends[0], ends[1] + 1))
    if len(numbers) > MOST_SEEDS:
        raise click.UsageError(f"--seeds {text!r}: at most {MOST_SEEDS} are possible.")
    return list(numbers)


def tune(
    data: Data,
    out: Annotated[
        Path,
        typer.Option("--out", parser=path, metavar="DIR", help="A directory; the same call goes on there."),
    ],
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="What is tried: a --set key, or algorithm, loss, ranker …; may be given several times. "
            "[default: what usually matters to the algorithm]",
            autocompletion=completion.searched,
            rich_help_panel=SEARCH,
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(help="Of every candidate's trainings: 0, 0-2 or 0,3.", rich_help_panel=SEARCH),
    ] = "0",
    budget: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Client updates of all trainings, at most.", rich_help_panel=SEARCH
        ),
    ] = None,
    algorithm: Algorithm = None,
    objective: Objective = None,
    schedule: Schedule = None,
    ranker: Ranker = None,
    loss: Loss = None,
    updates: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Client updates of a full training. [default: the algorithm's]",
            rich_help_panel=LONG,
        ),
    ] = None,
    sets: Sets = None,
    config: Config = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Find good settings on validation slates, by successive halving; stopped and called again, it goes on.

    Whatever is not searched stays as `train` would have it. Test slates are looked at once, in the end, for
    the winner beside these defaults.
    """
    numbers = seeds_of(seeds)
    given: dict[str, Any] = {"algorithm": algorithm, "objective": objective, "schedule": schedule}
    given |= {"ranker": ranker, "loss": loss, "updates": updates}
    options = {"config": config, "preset": preset} | given | {"budget": budget}
    same = ["tune", f"--data={data}", f"--out={out}", f"--seeds={seeds}"]
    same += [f"--{name}={value}" for name, value in options.items() if value is not None]
    same += [f"--over={pair}" for pair in over or []] + [f"--set={pair}" for pair in sets or []]
    same += ["--json"] if as_json else []
    with Leaving(f"stopped; what is finished is kept. Go on with: {command(*same)}") as leaving:
        from app.commands.progress import ProgressBars
        from app.experiments.tuning import search as tuning
        from app.experiments.tuning.candidates import Base, parse_over
        from app.experiments.tuning.race import race_of
        from app.reports.search import search
        from app.runs.given import given_from, parse_overrides, read_toml, require_read
        from data.feature_sets import open_data

        leaving.begun()
        users = open_data(data).users.num_rows
        base = Base(*given_from(config, {**given, "preset": preset}, sets or [], data))
        fixed = [*(name for name, value in given.items() if value is not None), *parse_overrides(sets or [])]
        fixed += [name for part in (read_toml(config) if config else ()) for name in part]
        values = parse_over(over or [])
        race = race_of(base, fixed, values, numbers, budget, data, users)
        if all(candidate.settings.fitted for candidate in race.candidates):
            require_read(base.settings(), given)
        for sentence in (*race.impossible, race.announced()):
            warn(sentence)
        asked: dict[str, Any] = {
            "settings": base.settings().to_toml({}),
            "candidates": [c.changed for c in race.candidates],
        }
        asked |= {"seeds": numbers, "budget": budget}
        with ProgressBars(quiet=as_json) as bars:
            result = tuning.tune(out, race, asked, warn, bars.tell)
    show(search, result | {"best": str(out / tuning.BEST)}, as_json)
