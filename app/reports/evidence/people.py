"""How figures are spread over users: the distribution, who loses, whom hardly anything is known of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.reports.evidence.ground import training_events, user_names
from app.reports.evidence.groups import COMMON, OWN, Group
from app.runs.evaluation import COLD

METRIC = "nmrr"
CLEARLY = 0.01
"""A smaller change of a user's NMRR counts as none."""

LEVELS = tuple(range(0, 101, 5))
"""Percentiles of users that the distribution is told at."""

RANKINGS = ("popularity", "history", COMMON, OWN)


def people(groups: list[Group]) -> list[dict[str, Any]]:
    """A row for each user of one dataset: slates, events learned from, and NMRR by every ranking."""
    ground = groups[0].ground
    slates = np.bincount(ground.slates.user.numpy())[ground.slates.user.unique().numpy()]
    rows: list[dict[str, Any]] = [
        {"user": name, "slates": int(n), "training_events": int(events), "history": None, "groups": {}}
        for name, n, events in zip(user_names(ground), slates, training_events(ground), strict=True)
    ]
    history = groups[0].users("history", METRIC)
    for number, row in enumerate(rows):
        row["history"] = None if history is None else float(history[number])
    for group in groups:
        values = {ranking: group.users(ranking, METRIC) for ranking in (COMMON, OWN)}
        for number, row in enumerate(rows):
            row["groups"][group.letter] = {
                ranking: None if of is None else float(of[number]) for ranking, of in values.items()
            }
    return rows


def spread(group: Group) -> dict[str, Any]:
    """One group's distribution of NMRR over users, and who is better and worse off with an own ranking."""
    found: dict[str, Any] = {"percentiles": {}, "changes": {}, "cold": {}}
    own = group.users(OWN, METRIC)
    assert own is not None, "every run ranks personally"
    cold = training_events(group.ground) < COLD
    for ranking in RANKINGS:
        values = group.users(ranking, METRIC)
        if values is None:
            continue
        found["percentiles"][ranking] = np.percentile(values, LEVELS).tolist()
        found["cold"][ranking] = float(values[cold].mean()) if cold.any() else None
        if ranking != OWN:
            found["changes"][ranking] = _changes(group, own, values)
    return found


def _changes(group: Group, own: NDArray[np.float64], before: NDArray[np.float64]) -> dict[str, Any]:
    """How many users gain and lose, and everyone who clearly loses, the hardest hit first."""
    difference = own - before
    who = user_names(group.ground)
    losers = [int(user) for user in np.argsort(difference, kind="stable") if difference[user] < -CLEARLY]
    return {
        "better": int((difference > CLEARLY).sum()),
        "same": int((np.abs(difference) <= CLEARLY).sum()),
        "worse": len(losers),
        "losers": [
            {
                "user": who[user],
                "before": float(before[user]),
                "own": float(own[user]),
                "difference": float(difference[user]),
            }
            for user in losers
        ],
    }
