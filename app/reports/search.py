"""What `persarank tune` prints for people: the race, and its winner beside the defaults on test slates."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from app.reports.layout import draw, paste, say
from app.reports.tables import COLUMNS, interval, labelled
from app.runs.shell import command


def search(result: dict[str, Any], console: Console) -> None:
    """The result of a search: its ``best`` is the path of the winner's settings."""
    _race(result, console)
    if result["test"]:
        _test(result, result["test"], console)
    say(console, result["verdict"]["sentence"])
    again = command("train", "--config", Path(result["best"]))
    paste(console, f"Train it again, on these or other data: {again} --data … --out …")


def _race(result: Mapping[str, Any], console: Console) -> None:
    """NMRR of every candidate in every rung; who came further and ranked better stands above."""
    rungs = result["rungs"]
    figures = {
        candidate: [fmean(rung["validation_nmrr"].get(str(candidate)) or [-1]) for rung in rungs]
        for candidate in range(len(result["candidates"]))
    }
    order = sorted(figures, key=lambda c: (*(-figure for figure in reversed(figures[c])), c))
    rows = [(labelled(result["candidates"][c]), *(_figure(rung, c) for rung in rungs)) for c in order]
    shares = [f"1/{2 ** (len(rungs) - 1 - number)}" for number in range(len(rungs) - 1)]
    title = "Users' own models on validation slates, NMRR, after parts of a full training"
    draw(console, ("candidate", *shares, "all"), rows, title=title, figures=True)
    for rung in rungs:
        for candidate, why in rung["out"].items():
            say(console, f"Out of the race: {labelled(result['candidates'][int(candidate)])}: {why}")


def _figure(rung: Mapping[str, Any], candidate: int) -> str:
    """A candidate's mean over seeds in one rung."""
    if str(candidate) in rung["out"]:
        return "out"
    figures = rung["validation_nmrr"].get(str(candidate))
    return f"{fmean(figures):.4f}" if figures else ""


def _test(result: Mapping[str, Any], test: Mapping[str, Any], console: Console) -> None:
    """The winner beside the defaults and the yardsticks."""
    named: dict[str, Any] = dict(test["yardsticks"])
    for who in ("defaults", "winner"):
        named |= {f"{who}, {ranking}": figures for ranking, figures in (test[who] or {}).items()}
    rows = [
        (ranking, *(f"{figures[name]:.4f}" for name in COLUMNS))
        for ranking, figures in named.items()
        if figures is not None
    ]
    who = labelled(result["candidates"][result["winner"]])
    title = f"The winner, {who}, on test: {test['slates']} slates of {test['users']} users, "
    title += f"{test['missed']} missed, averaged over {test['averaged_over']}"
    title += f" and {len(result['seeds'])} seeds" if len(result["seeds"]) > 1 else ""
    draw(console, ("ranking", *COLUMNS.values()), rows, title=title, figures=True)
    for name, difference in (test["difference"] or {}).items():
        say(console, f"winner − defaults, personal {name} over users: {interval(difference)}")
    for heading in ("warnings", "notes"):
        for doubt in test[heading]:
            say(console, f"{heading.capitalize()[:-1]}: {doubt['message']}")
