"""How figures are spread over users: the distribution, who loses, whom hardly anything is known of."""

from typing import Any

import numpy as np
import torch
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
            found["changes"][ranking] = _changes(group, ranking, own, values)
    return found


def _changes(
    group: Group, than: str, own: NDArray[np.float64], before: NDArray[np.float64]
) -> dict[str, Any]:
    """How many users gain and lose, and everyone who clearly does, the largest change first."""
    difference = own - before
    order = np.argsort(difference, kind="stable").tolist()
    losers = [user for user in order if difference[user] < -CLEARLY]
    gainers = [user for user in reversed(order) if difference[user] > CLEARLY]
    who = user_names(group.ground)

    def rows(users: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "user": who[user],
                "before": float(before[user]),
                "own": float(own[user]),
                "difference": float(difference[user]),
            }
            for user in users
        ]

    return {
        "identical": _identical(group, than),
        "better": len(gainers),
        "same": len(order) - len(gainers) - len(losers),
        "worse": len(losers),
        "losers": rows(losers),
        "gainers": rows(gainers),
    }


def _identical(group: Group, than: str) -> bool:
    """Whether every metric of every slate is the same, for every seed."""
    for run in group.runs:
        other = run.metrics[than]
        if other is None or not all(torch.equal(run.personal[name], other[name]) for name in other):
            return False
    return True
