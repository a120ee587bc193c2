"""What the suggestion service answers: four lists of the same candidates, and how they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RANKINGS = ("personal", "everyone", "history", "popularity")
"""For this user, by the model that all share, by what the user has searched, by what others search."""

NEW: Literal["new"] = "new"
"""What has moved into a list from outside it."""


@dataclass(frozen=True)
class Suggestion:
    """One line of a list.

    Attributes:
        text: of the query.
        score: by which the list is ordered; 0 where nothing was typed, as then nothing is scored.
        own: whether the user has searched it before, in this visit or earlier.
        recent: whether that was in this visit.
    """

    text: str
    score: float
    own: bool
    recent: bool = False


@dataclass(frozen=True)
class Suggestions:
    """The answer to one keystroke.

    Attributes:
        prefix: what was typed, as it is compared with queries.
        lists: the same candidates in the orders of RANKINGS.
        size: how many candidates there are.
    """

    prefix: str
    lists: dict[str, list[Suggestion]]
    size: int

    @property
    def personal(self) -> list[Suggestion]:
        """The list for this user."""
        return self.lists["personal"]

    @property
    def everyone(self) -> list[Suggestion]:
        """The list by the model that all share."""
        return self.lists["everyone"]


def moves(shown: Sequence[Suggestion], against: Sequence[Suggestion]) -> dict[str, int | Literal["new"]]:
    """How far each text of a list has moved against another list.

    Returns:
        By text, in the order of ``shown``: places up (negative: down), or NEW if the other list lacks it.
    """
    place = {one.text: number for number, one in enumerate(against)}
    return {
        one.text: place[one.text] - number if one.text in place else NEW for number, one in enumerate(shown)
    }
