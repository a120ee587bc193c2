"""Options of commands that train: each is said once, and `train` and `tune` take it."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.paths import path

Data = Annotated[Path, typer.Option("--data", parser=path, help="A dataset directory.")]
Algorithm = Annotated[str | None, typer.Option(help="See `list`. [default: persa-fl-ditto]")]
Ranker = Annotated[str | None, typer.Option(help="See `list`. [default: mlp]")]
Loss = Annotated[str | None, typer.Option(help="See `list`. [default: the ranker's first]")]
Objective = Annotated[str | None, typer.Option(help="Instead of the algorithm's own; see `list`.")]
Schedule = Annotated[str | None, typer.Option(help="Instead of the algorithm's own; see `list`.")]
Preset = Annotated[str | None, typer.Option(help="Settings by name; all others win. See `list`.")]
Config = Annotated[Path | None, typer.Option(parser=path, help="A TOML file of settings.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A hyper-parameter, key=value; see `list`.")]
Until = Annotated[
    int | None,
    typer.Option(min=1, help="Stop and save after so many updates; `resume` goes on. [default: all]"),
]
