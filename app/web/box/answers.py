"""What the box shows: one answer of the suggestion service as the words that `box.js` draws."""

from typing import Any

from app.suggestions.suggester import Models, Suggester, Suggestion, Suggestions

AGAINST = "everyone"
"""The ranking against whose list moves are told."""

TITLES = {
    "personal": ("For you", "by this user's own model"),
    "everyone": ("For everyone", "by the common model, from this user's past"),
    "history": ("By history", "what this user searched, the most often first"),
    "popularity": ("By popularity", "what all users search, the most often first"),
}
"""Of each ranking, and what it goes by; without an own model the first goes by what the second does."""

MOVES = "▲, ▼ and ★ new are against “For everyone”."
"""What is said of moves."""


def answer(suggestions: Suggestions, user: str, of: str) -> dict[str, Any]:
    """The data of the component, without what `box.mount` adds.

    Args:
        suggestions: what the service answered.
        user: name of the user, as people call them.
        of: comes back with every act on this answer.
    """
    asked = bool(suggestions.prefix and suggestions.personal)
    return {
        "of": of,
        "label": f"Search as {user}",
        "typed": suggestions.prefix,
        "heading": "Suggestions" if suggestions.prefix else "Own searches, the latest first",
        "options": [_option(one) for one in suggestions.personal],
        "count": count(suggestions),
        "none": "No search starts like this. Enter searches for it all the same.",
        "empty": _empty(suggestions),
        "lists": [_list(suggestions, name) for name in suggestions.lists] if asked else [],
        "note": suggestions.models.why or MOVES if asked else "",
    }


def count(suggestions: Suggestions) -> str:
    """How many suggestions there are, in words."""
    number = len(suggestions.personal)
    what = "suggestion" if suggestions.prefix else "own search"
    plural = "suggestions" if suggestions.prefix else "own searches"
    return f"{number or 'No'} {what if number == 1 else plural}."


def _empty(suggestions: Suggestions) -> str:
    if suggestions.prefix:
        return "No search starts like this."
    return "Type a letter: rankings of the same searches appear here, side by side."


def _option(one: Suggestion) -> dict[str, Any]:
    mark = "from this visit" if one.recent else "searched before" if one.own else ""
    return {"text": one.text, "own": one.own, "recent": one.recent, "mark": mark}


def _list(suggestions: Suggestions, name: str) -> dict[str, Any]:
    title, what = titled(name, suggestions.models)
    against = AGAINST if AGAINST in suggestions.lists else name  # against itself nothing has moved
    moves = Suggester.moves(suggestions.lists[name], suggestions.lists[against])
    rows = []
    for one in suggestions.lists[name]:
        way, words = moved(moves[one.text])
        if way == "new" and name != "personal":  # nearly all of what no model has ordered would be
            way, words = "", ""
        rows.append({"text": one.text, "way": way, "move": words})
    return {"title": title, "what": what, "why": name == "personal", "rows": rows}


def titled(name: str, models: Models) -> tuple[str, str]:
    """The title of a ranking, and what it goes by."""
    title, what = TITLES[name]
    return title, what if name != "personal" or models.own else TITLES[AGAINST][1]


def moved(places: int | str) -> tuple[str, str]:
    """Which way something moved (a class of `box.css`), and by how much in words."""
    if isinstance(places, str):
        return "new", "★ new"
    if not places:
        return "", ""
    return ("up", f"▲ up {places}") if places > 0 else ("down", f"▼ down {-places}")
