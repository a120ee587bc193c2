"""The command `persarank suggest`: what a user would be shown for what they have typed, and why."""

from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from app.commands.options import Moved, Run
from app.commands.printing import Json, show

if TYPE_CHECKING:
    from app.suggestions.suggester import Suggester
    from app.suggestions.visit import Visit


def suggest(
    run: Run,
    typed: Annotated[
        str, typer.Argument(metavar="PREFIX", help='What the user has typed so far; "" for nothing yet.')
    ],
    user: Annotated[str, typer.Option("--user", help="Whose suggestions: a name from the log.")],
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Length of the lists.")] = 10,
    why: Annotated[
        bool,
        typer.Option("--why", help="Say why the first three stand where they do; with --json, of all."),
    ] = False,
    data: Moved = None,
    as_json: Json = False,
) -> None:
    """Print a user's suggestions, by their own model and by the one that all share.

    Where there is only one of these models, there is one list. Where nothing was typed, these are the
    user's latest searches.
    """
    from app.reports.suggestions import EXPLAINED, lists
    from app.suggestions.suggester import of_run

    suggester = of_run(run, data)
    visit = suggester.visit(_number(user, suggester.users))
    told: dict[str, Any] = {"run": str(run), "user": user}
    told |= _answer(suggester, visit, typed, k)
    if why and told["prefix"]:
        for one in told["personal"][: None if as_json else EXPLAINED]:
            one["reasons"] = suggester.explain(visit, typed, one["text"]).plain()
    show(lists, told, as_json)


def _answer(suggester: "Suggester", visit: "Visit", typed: str, k: int) -> dict[str, Any]:
    """All lists, which models there are, and what to type instead where there is nothing."""
    from app.suggestions.suggester import RANKINGS

    answer = suggester.suggest(visit, typed, k)
    told: dict[str, Any] = {"prefix": answer.prefix, "candidates": answer.size}
    told["models"] = asdict(answer.models)
    for name in RANKINGS:
        suggestions = answer.lists.get(name, [])
        told[name] = [{"text": s.text, "score": s.score, "own": s.own} for s in suggestions]
    moves = suggester.moves(answer.personal, answer.everyone)
    for one in told["personal"]:
        one["moved"] = moves[one["text"]] if answer.models.differ else None
    lower = answer.prefix.lower()
    told["instead"] = None
    if not answer.personal and lower != answer.prefix:
        found = suggester.suggest(visit, lower, 1).personal
        told["instead"] = lower if found else None
    return told


def _number(user: str, users: list[str]) -> int:
    if user not in users:
        near = get_close_matches(user, users, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"one of them is {users[0]}."
        raise click.UsageError(f"no user of this run is called {user!r}; {hint}")
    return users.index(user)
