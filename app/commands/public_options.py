"""The options that say which searches make a query popular, of commands that make datasets."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated

import click
import typer

from app.commands.options import one_of

if TYPE_CHECKING:
    from data.privacy import Budget
    from data.public_counts import Bounds

PUBLIC = "What is known of everyone's searches"
"""Their group in the help."""

CENTRAL, FEDERATED, NODES, PRIVATE = "central", "federated", "nodes", "dp"
THRESHOLD = "threshold="
"""Followed by a number, it is FEDERATED with so many --public-users."""

NAMES, LOG_NAMES = (CENTRAL, FEDERATED, PRIVATE), (CENTRAL, FEDERATED, NODES, PRIVATE)
"""What --public-counts can be, besides THRESHOLD."""

COUNTS = (
    "Which searches make a query popular. central: all in anyone's training period; federated: only what "
    "several users share, and of each user only so much; threshold=K: the same, shared by K users, which is "
    "not differential privacy; dp: what is released once with differential privacy, within --public-epsilon"
)

Counts = Annotated[
    str,
    typer.Option(
        "--public-counts",
        metavar="NAME",
        help=f"{COUNTS}.",
        autocompletion=lambda: [CENTRAL, FEDERATED, f"{THRESHOLD}5", PRIVATE],
        rich_help_panel=PUBLIC,
    ),
]
LogCounts = Annotated[
    str,
    typer.Option(
        "--public-counts",
        metavar="NAME",
        help=f"{COUNTS}; nodes: as federated, where these are the users of one node of a Flower network, so "
        "that all its nodes together count.",
        autocompletion=lambda: [CENTRAL, FEDERATED, NODES, f"{THRESHOLD}5", PRIVATE],
        rich_help_panel=PUBLIC,
    ),
]
Users = Annotated[
    int | None,
    typer.Option(
        "--public-users",
        min=1,
        metavar="N",
        help="Federated: it counts for a user if at least N others have searched it; this is not "
        "differential privacy. [default: 2]",
        rich_help_panel=PUBLIC,
    ),
]
Things = Annotated[
    int | None,
    typer.Option(
        "--public-things",
        min=1,
        metavar="N",
        help="Not central: each user tells of N different queries at most, the most frequent ones; of "
        "queries in groups and of what followed what likewise. [default: 200, with dp 16]",
        rich_help_panel=PUBLIC,
    ),
]
Times = Annotated[
    int | None,
    typer.Option(
        "--public-times",
        min=1,
        metavar="N",
        help="Not central: each user adds N at most to the count of each of these. [default: 10, with dp 1]",
        rich_help_panel=PUBLIC,
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--public-epsilon",
        metavar="X",
        help="dp, required: the ε of all that is released of one user, from 0.01 to 100.",
        rich_help_panel=PUBLIC,
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--public-delta",
        metavar="X",
        help="dp: the δ, less than one over the number of users. [default: 0.001]",
        rich_help_panel=PUBLIC,
    ),
]


def rules_of(
    counts: str,
    users: int | None,
    things: int | None,
    times: int | None,
    epsilon: float | None,
    delta: float | None,
    names: Collection[str] = NAMES,
) -> "Bounds | Budget | None":
    """The rules of public counts that these options ask for; None: all training events count.

    Raises:
        UsageError: they do not fit together, or a value is out of its bounds.
        PrivacyError: noise is asked for, and OpenDP is not installed.
    """
    from data.public_counts import Bounds

    if counts.startswith(THRESHOLD):
        if users is not None:
            raise click.UsageError(f"--public-counts {counts} says already what --public-users would.")
        counts, users = FEDERATED, _threshold(counts)
    one_of("--public-counts", counts, (*names, f"{THRESHOLD}K"))
    bounds, budget = {"users": users, "things": things, "times": times}, {"epsilon": epsilon, "delta": delta}
    _require(budget, counts == PRIVATE, PRIVATE)
    _require({"users": users}, counts not in (CENTRAL, PRIVATE), FEDERATED)
    _require({"things": things, "times": times}, counts != CENTRAL, f"{FEDERATED} or {PRIVATE}")
    told = {name: value for name, value in bounds.items() if value is not None}
    if counts == PRIVATE:
        return _budget(epsilon, delta, told)
    return None if counts == CENTRAL else Bounds(**told)


def _threshold(counts: str) -> int:
    number = counts.removeprefix(THRESHOLD)
    if not (number.isascii() and number.isdigit() and int(number)):
        raise click.UsageError(
            f"--public-counts {counts} needs a whole number of users, at least 1: {THRESHOLD}5."
        )
    return int(number)


def _require(given: Mapping[str, float | None], fits: bool, needed: str) -> None:
    """Refuse options beside a --public-counts that knows nothing of them."""
    for name, value in given.items():
        if value is not None and not fits:
            raise click.UsageError(f"--public-{name} needs --public-counts {needed}.")


def _budget(epsilon: float | None, delta: float | None, bounds: Mapping[str, int]) -> "Budget":
    from data.privacy import DELTA, Budget, PrivacyError, require_mechanism

    if epsilon is None:
        raise click.UsageError("--public-counts dp needs --public-epsilon, e.g. --public-epsilon 4.")
    try:
        budget = Budget(epsilon, DELTA if delta is None else delta, **bounds)
    except PrivacyError as error:
        raise click.UsageError(str(error)) from error
    require_mechanism()
    return budget
