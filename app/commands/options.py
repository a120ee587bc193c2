"""Options that several commands have: each is said once. {names} are told by `telling`."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from app.commands import completion
from app.commands.paths import path

TRAINED, LONG, SETTINGS = "What is trained, and how", "How long, and what is kept", "Settings"
UPLOADS = "What becomes of users' updates"
"""Groups of options in the help of commands that train."""

Data = Annotated[Path, typer.Option("--data", parser=path, metavar="DIR", help="A dataset directory.")]
Algorithm = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="{algorithms}. [default: {default_algorithm}]",
        autocompletion=completion.offered(completion.algorithms),
        rich_help_panel=TRAINED,
    ),
]
Ranker = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="{rankers}. [default: {default_ranker}]",
        autocompletion=completion.offered(completion.rankers),
        rich_help_panel=TRAINED,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="{losses}. [default: the ranker's first]",
        autocompletion=completion.offered(completion.losses),
        rich_help_panel=TRAINED,
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Instead of the algorithm's own: {objectives}.",
        autocompletion=completion.listed("objectives"),
        rich_help_panel=TRAINED,
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Instead of the algorithm's own: {schedules}.",
        autocompletion=completion.listed("schedules"),
        rich_help_panel=TRAINED,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Settings by name, below all others: {presets}.",
        autocompletion=completion.listed("presets"),
        rich_help_panel=SETTINGS,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        parser=path, metavar="FILE", help="A TOML file of settings, below options.", rich_help_panel=SETTINGS
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A hyper-parameter; may be given several times. `persarank list` shows them.",
        autocompletion=completion.settings,
        rich_help_panel=SETTINGS,
    ),
]
Until = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Stop and save after so many updates; `resume` goes on. [default: all]",
        rich_help_panel=LONG,
    ),
]


def _of_updates(metavar: str, text: str) -> Any:
    """An option whose words are hyper-parameters of what becomes of updates, see `pairs`."""
    return typer.Option(metavar=metavar, help=text, rich_help_panel=UPLOADS)


Privacy = Annotated[
    list[str] | None,
    _of_updates("KEY=VALUE …", "Client-level differential privacy: epsilon=2 delta=1e-3 clip=0.1."),
]
Attack = Annotated[
    list[str] | None,
    _of_updates("NAME KEY=VALUE …", "Simulate hostile users: {attacks}; e.g. sign-flip share=0.1 scale=10."),
]
Defence = Annotated[
    list[str] | None,
    _of_updates(
        "RULE KEY=VALUE …",
        "What the server does against them: {defences}; joined by +, e.g. clip+trimmed-mean f=4. "
        "Without a server: clip clip=1, how far a neighbour's model can be from one's own.",
    ),
]
Compress = Annotated[
    list[str] | None,
    _of_updates("KEY=VALUE …", "Send fewer bytes: bits=8 or bits=4, or with a server also top_k=0.05."),
]

Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where it is trained: {engines}. [default: simulate]",
        autocompletion=completion.listed("engines"),
        rich_help_panel=TRAINED,
    ),
]
Network = Annotated[
    Path | None,
    typer.Option(
        parser=path,
        metavar="DIR",
        help="The folder of a Flower network. [default: .persarank-flower]",
        rich_help_panel=TRAINED,
    ),
]

Run = Annotated[Path, typer.Argument(parser=path, help="A run directory.", autocompletion=completion.runs)]
Runs = Annotated[
    list[Path], typer.Argument(parser=path, help="Run directories.", autocompletion=completion.runs)
]
Moved = Annotated[
    Path | None,
    typer.Option("--data", parser=path, metavar="DIR", help="The dataset, if it has moved since training."),
]
Split = Annotated[
    str,
    typer.Option(metavar="NAME", help="Slates of {splits}.", autocompletion=completion.listed("splits")),
]
Cutoff = Annotated[
    int,
    typer.Option(min=1, max=1000, metavar="K", help="Places that accuracy@k, MRR@k and Success@k look at."),
]


SharedBy = Annotated[
    int,
    typer.Option(
        "--shared-by",
        min=1,
        metavar="N",
        help="Tell others only of what so many users have done.",
    ),
]


def one_of(option: str, word: str, known: Collection[str]) -> None:
    """Refuse a word that an option does not know, with the nearest one that it does.

    Raises:
        UsageError: it does not know it.
    """
    if word not in known:
        near = get_close_matches(word, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise click.UsageError(f"{option} is one of {', '.join(known)}, not {word!r}{hint}")
