"""The tables of `reproduce privacy`."""

from collections.abc import Mapping
from typing import Any

from app.experiments.privacy_cells import CLIPPED, COUNTS, SYNCHRONOUS
from app.experiments.written import NONE, difference, table

BOUND, AT = 0.01, 2.0
"""NMRR that privacy may cost at most, and at which ε."""

DIVERGED = "diverged"
HEADS = ("ε", "σ", "updates in a merge", "refused")
RANKINGS = {"global": "common model's NMRR", "personal": "own models' NMRR"}


def markdown(result: Mapping[str, list[dict[str, Any]]]) -> str:
    """A table for each dataset."""
    parts = []
    for data, rows in result.items():
        counts = any(row["private_counts"] for row in rows)
        heads = [head for ranking in RANKINGS.values() for head in (ranking, "− no noise")]
        heads += [f"{ranking}, {COUNTS}" for ranking in RANKINGS.values()] if counts else []
        parts.append(table([data, *HEADS, *heads], [_row(row, counts) for row in rows]))
    parts += [f"{data}: {_verdict(rows)}" for data, rows in result.items()]
    return "\n\n".join(parts) + "\n"


def _row(row: dict[str, Any], counts: bool) -> list[str]:
    private = isinstance(row["epsilon"], float)
    epsilon = CLIPPED if row["epsilon"] is None else row["epsilon"]
    noise = [f"{row['multiplier']:.2f}", str(row["merged"])] if private else [NONE, NONE]
    told = [row["method"], f"{epsilon:g}" if private else str(epsilon), *noise]
    told.append(f"{100 * row['refused']:.0f} %" if row["refused"] else "")
    for ranking in RANKINGS:
        lost = row[f"{ranking}_minus_clipped"]
        told.append(f"{row[ranking]['mean']:.3f}" if row[ranking] else DIVERGED)
        told.append(difference(lost) if lost and row["epsilon"] is not None else "")
    if counts:
        known = row["private_counts"]
        other = DIVERGED if row["method"] == SYNCHRONOUS else NONE
        told += [f"{known[ranking]['mean']:.3f}" if known else other for ranking in RANKINGS]
    return told


def _verdict(rows: list[dict[str, Any]]) -> str:
    """Whether all users in a round lose no more than they may."""
    (row,) = [row for row in rows if (row["method"], row["epsilon"]) == (SYNCHRONOUS, AT)]
    lost = row["global_minus_clipped"]
    cost = "an unknown amount" if lost is None else difference(lost)
    kept = lost is not None and -lost["mean"] <= BOUND
    told = "kept" if kept else "not kept"
    changed = f"at ε = {AT:g} noise changes the common model's NMRR by {cost}"
    return f"{changed}; the bound, a loss of {BOUND:g}, is {told}."
