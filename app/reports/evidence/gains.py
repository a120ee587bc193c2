"""Where own rankings help: the gain in NMRR by how much is known of a user, typed, and to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.reports.evidence.ground import Int, earlier_searches, typed
from app.reports.evidence.groups import COMMON, OWN, Group
from app.reports.evidence.people import METRIC
from app.runs.evaluation import Ground
from ranking.significance import bootstrap

AGAINST = (COMMON, "history")


@dataclass(frozen=True)
class Axis:
    """What slates are sorted by; a bin begins at each edge and ends before the next one."""

    name: str
    title: str
    edges: tuple[int, ...]

    def bins(self, values: Int) -> tuple[Int, list[str]]:
        """(S,) the bin of each value, and what all bins are called."""
        ends = (*(edge - 1 for edge in self.edges[1:]), None)
        labels = [
            f"{a}+" if b is None else str(a) if a == b else f"{a}–{b}"
            for a, b in zip(self.edges, ends, strict=True)
        ]
        return np.searchsorted(self.edges, values, side="right") - 1, labels


AXES = (
    Axis("history", "earlier searches of the user", (0, 5, 10, 20, 50, 100, 200, 500, 1000)),
    Axis("typed", "characters typed", (0, 1, 2, 3, 4, 5, 6, 7)),
    Axis("pool", "suggestions to choose from", (1, 2, 6, 11, 21, 41, 61, 81, 101)),
)


def values(ground: Ground, split: str) -> dict[str, Int]:
    """By the name of each axis that the data has: (S,) its values for the slates of a split."""
    found = {
        "history": earlier_searches(ground, split),
        "typed": typed(ground),
        "pool": ground.slates.offsets.diff().numpy(),
    }
    return {name: of for name, of in found.items() if of is not None}


def gains(groups: Sequence[Group], split: str) -> list[dict[str, Any]]:
    """Gains of users' own rankings over the common one and over their history, by axis, bin and group.

    A bin's gain is averaged over a user's slates in it, and then over users who have some; it has a 95 %
    bootstrap interval over users.
    """
    ground = groups[0].ground
    by_axis = values(ground, split)
    users, of = ground.slates.user.unique(return_inverse=True)
    heads: list[dict[str, Any]] = []
    columns: list[NDArray[np.float64]] = []
    for axis in (axis for axis in AXES if axis.name in by_axis):
        number, labels = axis.bins(by_axis[axis.name])
        cell = of.numpy() * len(labels) + number
        slates = np.bincount(cell, minlength=len(users) * len(labels)).reshape(len(users), -1)
        for group in groups:
            for than in AGAINST:
                difference = _difference(group, than)
                if difference is None:
                    continue
                sums = np.bincount(cell, difference, minlength=slates.size).reshape(slates.shape)
                with np.errstate(invalid="ignore"):  # users without slates in a bin: 0 / 0
                    mean = sums / slates
                for place in np.flatnonzero(slates.sum(0)):
                    columns.append(mean[:, place])
                    heads.append(
                        {
                            "axis": axis.name,
                            "bin": labels[place],
                            "group": group.letter,
                            "against": than,
                            "slates": int(slates[:, place].sum()),
                            "users": int((slates[:, place] > 0).sum()),
                        }
                    )
    if not columns:
        return []
    told = [column.tolist() for column in bootstrap(np.stack(columns, axis=1))]
    names = ("mean", "low", "high")
    return [
        head | {name: None if value != value else value for name, value in zip(names, figures, strict=True)}
        for head, *figures in zip(heads, *told, strict=True)
    ]


def _difference(group: Group, than: str) -> NDArray[np.float64] | None:
    """(S,) what own rankings gain."""
    own, other = group.metrics[OWN], group.metrics[than]
    assert own is not None, "every run ranks personally"
    if other is None:
        return None
    gained: NDArray[np.float64] = (own[METRIC] - other[METRIC]).numpy()
    return gained
