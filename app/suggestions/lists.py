"""What the suggestion service answers: four lists of the same candidates, and how they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RANKINGS = ("personal", "everyone", "history", "popularity")
"""For this user; by the model that all share, from this user's past too; by what the user has searched; by
what others search."""

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
class Models:
    """Which models there are for a user.

    Attributes:
        own: whether they have one of their own, which is not the common one.
        common: whether there is one that all share.
        why: where one of them is missing, the sentence that says why; else "".
    """

    own: bool = True
    common: bool = True
    why: str = ""

    @property
    def differ(self) -> bool:
        """Whether there are both, so that there is something to compare."""
        return self.own and self.common

    @property
    def rankings(self) -> tuple[str, ...]:
        """Those of RANKINGS that there are: where there is only one model, it makes the personal list."""
        return tuple(name for name in RANKINGS if self.differ or name != "everyone")


@dataclass(frozen=True)
class Suggestions:
    """The answer to one keystroke.

    Attributes:
        prefix: what was typed, as it is compared with queries.
        lists: the same candidates in the orders of ``models.rankings``.
        size: how many candidates there are.
        models: what ranks them.
    """

    prefix: str
    lists: dict[str, list[Suggestion]]
    size: int
    models: Models = Models()

    @property
    def personal(self) -> list[Suggestion]:
        """The list for this user."""
        return self.lists["personal"]

    @property
    def everyone(self) -> list[Suggestion]:
        """The list by the model that all share; empty where there are not two models to compare."""
        return self.lists.get("everyone", [])


def moves(shown: Sequence[Suggestion], against: Sequence[Suggestion]) -> dict[str, int | Literal["new"]]:
    """How far each text of a list has moved against another list.

    Returns:
        By text, in the order of ``shown``: places up (negative: down), or NEW if the other list lacks it.
    """
    place = {one.text: number for number, one in enumerate(against)}
    return {
        one.text: place[one.text] - number if one.text in place else NEW for number, one in enumerate(shown)
    }
