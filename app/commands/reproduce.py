"""The command `persarank reproduce`: run a whole experiment."""

import json
from pathlib import Path
from typing import Annotated

import click
import typer

from app.commands.leaving import Leaving
from app.commands.options import one_of
from app.commands.paths import path
from app.commands.printing import Json, warn
from app.experiments.table import EXPERIMENTS
from app.runs.shell import command

File = Path | None
LOGS = ("shell", "packages")


def reproduce(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=lambda: list(EXPERIMENTS),
            help="; ".join(f"{name}: {row.summary}" for name, row in EXPERIMENTS.items()) + ".",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=path, metavar="DIR", help="A directory; what is finished there is kept."
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="A small version, to see that it works.")] = False,
    shell: Annotated[
        File, typer.Option(parser=path, metavar="FILE", help="The log of shell commands, as further data.")
    ] = None,
    packages: Annotated[
        File, typer.Option(parser=path, metavar="FILE", help="The log of package commits, as further data.")
    ] = None,
    points: Annotated[
        File,
        typer.Option(
            parser=path, metavar="FILE", help="The .npz file of RASGP's points; else some are drawn."
        ),
    ] = None,
    images: Annotated[
        File,
        typer.Option(
            parser=path,
            metavar="FILE",
            help="The .npz file of the images; openml: they are fetched from there, once.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a whole experiment; stopped and called again, it goes on."""
    one_of("EXPERIMENT", experiment, EXPERIMENTS)
    row = EXPERIMENTS[experiment]
    files = {"shell": shell, "packages": packages, "points": points, "images": images}
    given = {name: file for name, file in files.items() if file is not None}
    for option in given:
        if option not in row.inputs:
            owners = [name for name, other in EXPERIMENTS.items() if option in other.inputs]
            raise click.UsageError(f"--{option} belongs to {' and '.join(owners)}.")
    for option, file in given.items():
        if option in LOGS and not file.is_file():
            raise click.UsageError(f"--{option} {file}: there is no such file.")
    with Leaving("stopped; what is finished is kept, and the same command goes on.") as leaving:
        from app.experiments import account

        made = row.experiment()
        leaving.begun()
        words: list[str | Path] = ["reproduce", experiment, *(["--quick"] if quick else []), "--out", out]
        words += [word for option, file in given.items() for word in (f"--{option}", file)]
        scale = made.quick if quick else made.full
        inputs = {option: given.get(option) for option in row.inputs}
        result = account.make(out, made, scale, inputs, command(*words), warn)
    print(json.dumps(result, allow_nan=False) if as_json else made.markdown(result), flush=True)
