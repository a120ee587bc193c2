"""A user's suggestions for what they have typed, as `persarank suggest` prints them."""

from typing import Any

from rich.console import Console

from app.reports.layout import draw, say


def lists(result: dict[str, Any], console: Console) -> None:
    """The user's own list beside everyone's."""
    if not result["personal"]:
        told = f"There is nothing to suggest to {result['user']} for {result['prefix']!r}"
        instead = result["instead"]
        say(console, f"{told}; capitals count here, and for {instead!r} there is." if instead else f"{told}.")
        return
    place = {one["text"]: number for number, one in enumerate(result["everyone"], 1)}
    rows = [
        (
            str(number),
            ("• " if own["own"] else "") + own["text"],
            str(place.get(own["text"], "–")),
            common["text"],
        )
        for number, (own, common) in enumerate(zip(result["personal"], result["everyone"], strict=True), 1)
    ]
    draw(console, ("", f"for {result['user']}", "everyone's place", "for everyone"), rows)
    if any(own["own"] for own in result["personal"]):
        say(console, f"• {result['user']} has searched it before.")
