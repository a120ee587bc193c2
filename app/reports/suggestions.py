"""A user's suggestions for what they have typed, as `persarank suggest` prints them."""

from typing import Any

from rich.console import Console

from app.reports.layout import draw, say

EXPLAINED = 3
"""Suggestions whose reasons are printed; JSON has those of all."""


def lists(result: dict[str, Any], console: Console) -> None:
    """The user's list, beside everyone's if there are two models, and why the first ones stand there."""
    if not result["personal"]:
        _nothing(result, console)
    elif not result["prefix"]:
        say(console, f"Nothing was typed; {result['user']} has searched lately:")
        draw(console, ("", ""), [(str(n), one["text"]) for n, one in enumerate(result["personal"], 1)])
    else:
        _beside(result, console)
    if result["personal"] and "reasons" in result["personal"][0]:
        _why(result["personal"][:EXPLAINED], console)


def _nothing(result: dict[str, Any], console: Console) -> None:
    if not result["prefix"]:
        say(console, f"{result['user']} has not searched anything.")
        return
    told = f"There is nothing to suggest to {result['user']} for {result['prefix']!r}"
    instead = result["instead"]
    say(console, f"{told}; capitals count here, and for {instead!r} there is." if instead else f"{told}.")


def _beside(result: dict[str, Any], console: Console) -> None:
    personal, everyone = result["personal"], result["everyone"]
    rows = [(str(place), ("• " if own["own"] else "") + own["text"]) for place, own in enumerate(personal, 1)]
    if everyone:
        draw(
            console,
            ("", f"for {result['user']}", "against everyone's", "for everyone"),
            [
                (*row, moved(own["moved"]), common["text"])
                for row, own, common in zip(rows, personal, everyone, strict=True)
            ],
        )
    else:
        draw(console, ("", f"for {result['user']}"), rows)
        say(console, result["models"]["why"])
    if any(own["own"] for own in result["personal"]):
        say(console, f"• {result['user']} has searched it before.")


def moved(places: int | str) -> str:
    """How far a suggestion has moved against another list, in words."""
    if isinstance(places, str):
        return "not among them"
    return f"{abs(places)} {'up' if places > 0 else 'down'}" if places else "same place"


def _why(suggestions: list[dict[str, Any]], console: Console) -> None:
    for number, one in enumerate(suggestions, 1):
        told = " ".join(one["reasons"]["sentences"]) or "It is in everything like the median candidate."
        say(console, f"{number}. {one['text']}: {told}")
    say(console, suggestions[0]["reasons"]["method"])
