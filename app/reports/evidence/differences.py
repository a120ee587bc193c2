"""Paired differences over users, with intervals, and with p-values that are corrected for their number."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.reports.evidence.groups import COMMON, OWN, Group
from ranking.significance import bootstrap, holm, sign_flips

AGAINST = (COMMON, "history", "popularity")
"""What users' own rankings are compared with, within a group."""


def between(groups: Sequence[Group], metric: str) -> list[dict[str, Any]]:
    """Every pair of groups, the later minus the earlier: one family of comparisons."""
    pairs = list(combinations(range(len(groups)), 2))
    values = [_own(group, metric) for group in groups]
    heads = [{"group": groups[b].letter, "against": groups[a].letter} for a, b in pairs]
    return compared(heads, [values[b] - values[a] for a, b in pairs])


def to_base(groups: Sequence[Group], base: Group, metric: str) -> list[dict[str, Any]]:
    """Every other group minus one of them: one family of comparisons."""
    others = [group for group in groups if group is not base]
    heads = [{"group": group.letter, "against": base.letter} for group in others]
    return compared(heads, [_own(group, metric) - _own(base, metric) for group in others])


def within(groups: Sequence[Group], metric: str) -> list[dict[str, Any]]:
    """Users' own rankings minus others of the same group: one family of comparisons."""
    heads, values = [], []
    for group in groups:
        for than in AGAINST:
            other = group.users(than, metric)
            if other is not None:
                heads.append({"group": group.letter, "against": than})
                values.append(_own(group, metric) - other)
    return compared(heads, values)


def compared(heads: list[dict[str, Any]], values: list[NDArray[np.float64]]) -> list[dict[str, Any]]:
    """One family of comparisons.

    Args:
        heads: what is compared with what.
        values: the differences (U,) of the users, for each of them.

    Returns:
        each head with ``mean``, ``low``, ``high`` (95 %, this comparison alone), ``p``, and ``p_holm``, which
        is corrected for the whole family; one user has only a mean.
    """
    if not heads:
        return []
    table = np.stack(values, axis=1)
    mean, low, high = bootstrap(table)
    if len(table) < 2:
        nothing = dict.fromkeys(("low", "high", "p", "p_holm"))
        return [head | {"mean": float(m)} | nothing for head, m in zip(heads, mean, strict=True)]
    p = sign_flips(table)
    columns = {"mean": mean, "low": low, "high": high, "p": p, "p_holm": holm(p)}
    return [
        head | {name: float(column[number]) for name, column in columns.items()}
        for number, head in enumerate(heads)
    ]


def _own(group: Group, metric: str) -> NDArray[np.float64]:
    values = group.users(OWN, metric)
    assert values is not None, "every run ranks personally"
    return values
