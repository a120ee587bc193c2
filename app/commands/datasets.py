"""The commands `persarank data …`: simulate, import and check datasets."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.feature_import import data_import_features
from app.commands.log_import import data_import
from app.commands.paths import path
from app.commands.printing import Json, Out, show
from app.commands.public_options import CENTRAL, Counts, Delta, Epsilon, Things, Times, Users, rules_of
from app.commands.telling import Telling
from app.runs.signals import undisturbed

data_commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    suggest_commands=False,
    help="Simulate, import and check datasets.",
)


@data_commands.command("simulate", cls=Telling)
def data_simulate(
    out: Out,
    users: Annotated[int, typer.Option(min=1, metavar="N", help="Number of users.")] = 200,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Keys every random draw.")] = 0,
    strength: Annotated[
        float,
        typer.Option(
            min=0, max=10, metavar="X", help="How far users' tastes differ; 0 makes all users alike."
        ),
    ] = 0.25,
    public_counts: Counts = CENTRAL,
    public_users: Users = None,
    public_things: Things = None,
    public_times: Times = None,
    public_epsilon: Epsilon = None,
    public_delta: Delta = None,
    as_json: Json = False,
) -> None:
    """Simulate searches of users with tastes of their own, and the truth behind them."""
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from data.card import card
    from data.privacy import Budget
    from data.simulator import simulate
    from data.storage import fill, fresh
    from ranking.releasing import released

    bounded = public_users, public_things, public_times
    rules = rules_of(public_counts, *bounded, public_epsilon, public_delta)
    with fresh(out), ProgressBars(quiet=as_json) as bars:
        if isinstance(rules, Budget):
            rules.require_users(users)
            dataset = released(simulate(users, seed, strength, bars.tell), rules)
        else:
            dataset = simulate(users, seed, strength, bars.tell, rules)
        dataset = fill(dataset, out)
    with undisturbed():
        show(tables.card, card(dataset), as_json)


data_commands.command("import", cls=Telling)(data_import)
data_commands.command("import-features", cls=Telling)(data_import_features)


@data_commands.command("check", cls=Telling)
def data_check(
    directory: Annotated[Path, typer.Argument(parser=path, help="A dataset directory.")],
    as_json: Json = False,
) -> None:
    """Validate a dataset, checksums included, and print its validity card."""
    from app.commands.progress import ProgressBars
    from app.reports import tables
    from data import card, feature_sets
    from data.schema import Dataset

    with ProgressBars(quiet=as_json) as bars:
        found = feature_sets.open_data(directory, truth=True, tell=bars.tell)
    figures = card.card(found) if isinstance(found, Dataset) else feature_sets.card(found)
    show(tables.card, figures, as_json)
