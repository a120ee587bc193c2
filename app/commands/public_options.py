"""The options that say which searches make a query popular, of commands that make datasets."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import click
import typer

from app.commands.options import one_of

if TYPE_CHECKING:
    from data.public_counts import Bounds

PUBLIC = "What is known of everyone's searches"
"""Their group in the help."""

CENTRAL, FEDERATED, NODES = "central", "federated", "nodes"

Counts = Annotated[
    str,
    typer.Option(
        "--public-counts",
        metavar="NAME",
        help="Which searches make a query popular. central: all in anyone's training period; federated: "
        "only what several users share, and of each user only so much.",
        autocompletion=lambda: [CENTRAL, FEDERATED],
        rich_help_panel=PUBLIC,
    ),
]
LogCounts = Annotated[
    str,
    typer.Option(
        "--public-counts",
        metavar="NAME",
        help="Which searches make a query popular. central: all in anyone's training period; federated: "
        "only what several users share, and of each user only so much; nodes: the same, where these are the "
        "users of one node of a Flower network, so that all its nodes together count.",
        autocompletion=lambda: [CENTRAL, FEDERATED, NODES],
        rich_help_panel=PUBLIC,
    ),
]
Users = Annotated[
    int | None,
    typer.Option(
        "--public-users",
        min=1,
        metavar="N",
        help="Federated: it counts for a user if at least N others have searched it. [default: 2]",
        rich_help_panel=PUBLIC,
    ),
]
Things = Annotated[
    int | None,
    typer.Option(
        "--public-things",
        min=1,
        metavar="N",
        help="Federated: each user tells of N different queries at most, the most frequent ones; of "
        "queries in groups and of what followed what likewise. [default: 200]",
        rich_help_panel=PUBLIC,
    ),
]
Times = Annotated[
    int | None,
    typer.Option(
        "--public-times",
        min=1,
        metavar="N",
        help="Federated: each user adds N at most to the count of each of these. [default: 10]",
        rich_help_panel=PUBLIC,
    ),
]


def bounds_of(
    counts: str,
    users: int | None,
    things: int | None,
    times: int | None,
    known: Collection[str] = (CENTRAL, FEDERATED),
) -> "Bounds | None":
    """The bounds that these options ask for; None: all training events count.

    Raises:
        UsageError: they do not fit together.
    """
    from data.public_counts import Bounds

    one_of("--public-counts", counts, known)
    given = {"users": users, "things": things, "times": times}
    told = {name: value for name, value in given.items() if value is not None}
    if told and counts == CENTRAL:
        raise click.UsageError(f"--public-{next(iter(told))} needs --public-counts federated.")
    return None if counts == CENTRAL else Bounds(**told)
