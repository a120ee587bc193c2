"""The tables of `reproduce robustness`."""

from typing import Any

from app.experiments.robustness_cells import NONE
from app.experiments.written import NONE as MISSING
from app.experiments.written import difference, table

ATTACKED, CLEAN = 0.02, 0.005
"""NMRR that the recommended defence may lose under an attack, and with none."""

DIVERGED = "diverged"


def markdown(result: dict[str, Any]) -> str:
    """What is lost by schedule, share of hostile users, defence and attack; and the recommended defences."""
    parts = []
    for schedule, found in result.items():
        parts.append(
            f"NMRR that the common model loses on test slates, {schedule}; with no attack and no defence it "
            f"has {found['clean']['mean']:.3f}:"
        )
        for share in sorted({row["share"] for row in found["rows"]} - {0}):
            parts.append(_table(found["rows"], share))
    told = [_told(schedule, found) for schedule, found in result.items()]
    heads = ["recommended", "", "loses with no attack", "at most, by attack", "within the bounds"]
    return "\n\n".join([*parts, "Chosen on validation slates by the worst case:", table(heads, told)]) + "\n"


def _table(rows: list[dict[str, Any]], share: float) -> str:
    """Defences × attacks at one share of hostile users, beside no attack at all."""
    shown = {(row["defence"], row["attack"]): row["lost"] for row in rows if row["share"] in (share, 0)}
    attacks = list(dict.fromkeys(row["attack"] for row in rows if row["share"] == share))
    lines = [
        [defence, *(_lost(shown.get((defence, attack), MISSING)) for attack in (NONE, *attacks))]
        for defence in dict.fromkeys(defence for defence, _ in shown)
    ]
    return table([f"{100 * share:.0f} % hostile", "no attack", *attacks], lines)


def _lost(lost: dict[str, float] | str | None) -> str:
    if isinstance(lost, str):
        return lost
    return DIVERGED if lost is None else f"{lost['mean'] + 0.0:.3f}".replace("-0.000", "0.000")


def _told(schedule: str, found: dict[str, Any]) -> list[str]:
    """A row on the defence that is recommended for a schedule."""
    rows = [row for row in found["rows"] if row["defence"] == found["recommended"]]
    (clean,) = [row["lost"] for row in rows if row["attack"] == NONE]
    attacked = [row for row in rows if row["attack"] != NONE]
    if any(row["lost"] is None for row in rows):
        return [f"`{found['recommended']}`", schedule, _lost(clean), DIVERGED, "no"]
    worst = max(attacked, key=lambda row: row["lost"]["mean"])
    within = clean["mean"] <= CLEAN and worst["lost"]["mean"] <= ATTACKED
    least = f"{difference(worst['lost'])}: {worst['attack']}, {100 * worst['share']:.0f} %"
    return [f"`{found['recommended']}`", schedule, difference(clean), least, "yes" if within else "no"]
