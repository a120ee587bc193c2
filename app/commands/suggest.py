"""The command `persarank suggest`: what a user would be shown for what they have typed."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from app.commands.paths import path
from app.commands.printing import Json, show


def suggest(
    run: Annotated[Path, typer.Argument(parser=path, help="A run directory.")],
    typed: Annotated[str, typer.Argument(metavar="PREFIX", help="What the user has typed so far.")],
    user: Annotated[str, typer.Option("--user", help="Whose suggestions: a name from the log.")],
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Length of the lists.")] = 10,
    data: Annotated[
        Path | None, typer.Option(parser=path, help="The dataset, if it has moved since training.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a user's suggestions, by their own model and by everyone's."""
    from app.reports.suggestions import lists
    from app.suggestions.suggester import of_run

    suggester = of_run(run, data)
    if user not in suggester.users:
        near = get_close_matches(user, suggester.users, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"one of them is {suggester.users[0]}."
        raise click.UsageError(f"no user of this run is called {user!r}; {hint}")
    visit = suggester.visit(suggester.users.index(user))
    answer = suggester.suggest(visit, typed, k)
    told: dict[str, Any] = {"run": str(run), "user": user, "prefix": answer.prefix}
    for name, suggestions in (("personal", answer.personal), ("everyone", answer.everyone)):
        told[name] = [{"text": s.text, "score": s.score, "own": s.own} for s in suggestions]
    told["instead"], lower = None, answer.prefix.lower()
    if not answer.personal and lower != answer.prefix:
        found = suggester.suggest(visit, lower, 1).personal
        told["instead"] = lower if found else None
    show(lists, told, as_json)
