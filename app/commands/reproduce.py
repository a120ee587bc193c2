"""The command `persarank reproduce`: run a whole experiment."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.leaving import Leaving
from app.commands.paths import path
from app.commands.printing import Json, warn


class Experiment(StrEnum):
    """What `reproduce` can run."""

    persa_fl = "persa-fl"
    pars_push = "pars-push"
    memrl = "memrl"


def reproduce(
    experiment: Annotated[
        Experiment,
        typer.Argument(
            help="persa-fl: all algorithms with a server; pars-push: the network without one; "
            "memrl: navigation, and rankings learned from what they are paid."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", parser=path, help="A directory; what is finished there is kept.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="A small version, to see that it works.")] = False,
    shell: Annotated[
        Path | None,
        typer.Option(parser=path, help="The CSV log of shell commands, as second data (persa-fl)."),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(parser=path, help="The .npz file of RASGP's points; else some are drawn (pars-push)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a whole experiment; stopped and called again, it goes on."""
    for option, given, owner in (
        ("shell", shell, Experiment.persa_fl),
        ("points", points, Experiment.pars_push),
    ):
        if given is not None and experiment != owner:
            raise click.UsageError(f"--{option} belongs to {owner.value}.")
    with Leaving("stopped; what is finished is kept, and the same command goes on.") as leaving:
        from app.experiments import grid, memrl, pars_push

        leaving.begun()
        if experiment == Experiment.persa_fl:
            result = grid.reproduce(out, grid.QUICK if quick else grid.Scale(), shell, warn)
            table = grid.markdown(result)
        elif experiment == Experiment.pars_push:
            result = pars_push.reproduce(out, pars_push.QUICK if quick else pars_push.Scale(), points, warn)
            table = pars_push.markdown(result)
        else:
            result = memrl.reproduce(out, memrl.QUICK if quick else memrl.Scale(), warn)
            table = memrl.markdown(result)
    print(json.dumps(result, allow_nan=False) if as_json else table, flush=True)
