"""`reproduce robustness`: its cells, the choice of a defence, and what the tables say of it."""

from typing import Any

import pytest

from app.experiments.robustness import recommended
from app.experiments.robustness_cells import DEFENCES, FACED, NONE, QUICK, Scale, cell, keys
from app.experiments.robustness_tables import markdown
from app.runs.settings import resolve
from federated.hostile import ATTACKS
from federated.server.uploads import WithServer


@pytest.mark.parametrize("scale", [Scale(), QUICK])
def test_every_cell_is_one_of_its_own_that_runs(scale: Scale) -> None:
    found = list(keys(scale))
    assert len({key.name for key in found}) == len(found)
    users = scale.users
    for key in found:
        made = cell(key, scale)
        row = resolve({"algorithm": made.algorithm, "updates": made.updates}, dict(made.sets)).row
        assert isinstance(row.schedule, WithServer)
        row.uploads.planned(made.updates, users, row.schedule.size(users))
        assert (row.attack is not None) == (key.share > 0)
        assert (row.defence is not None) == (key.defence != NONE)


def test_every_attack_is_faced_by_every_defence() -> None:
    assert set(ATTACKS) <= set(FACED)
    pairs = {(key.defence, key.attack, key.share) for key in keys(Scale()) if key.schedule == "synchronous"}
    assert {(d, a, s) for d in DEFENCES if d != "basgd" for a in FACED for s in (0.1, 0.2)} <= pairs, (
        "at either share"
    )


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.001, "high": mean + 0.001}


def row(defence: str, attack: str, validation: float | None, test: float | None) -> dict[str, Any]:
    lost = None if test is None else interval(test)
    share = 0.0 if attack == NONE else 0.2
    return {"defence": defence, "attack": attack, "share": share, "lost_validation": validation, "lost": lost}


ROWS = [
    row(NONE, NONE, 0.0, 0.0),
    row("median", NONE, 0.002, 0.001),
    row("clip", NONE, 0.0, 0.0),
    row("krum", NONE, 0.004, 0.006),
    row(NONE, "ipm", 0.001, 0.3),
    row("median", "ipm", 0.01, 0.03),
    row("clip", "ipm", None, None),
    row("krum", "ipm", 0.011, 0.0),
]


def test_the_defence_is_chosen_by_its_worst_case_on_validation_slates() -> None:
    assert recommended(ROWS) == "median", "clip diverged, krum is worse, and none is no defence"


def test_tables_say_what_is_lost_and_whether_the_bounds_are_kept() -> None:
    clean = interval(0.9)
    page = markdown({"synchronous": {"clean": clean, "rows": ROWS, "recommended": "median"}})
    assert "it has 0.900" in page
    assert "| 20 % hostile | no attack | ipm |" in page
    assert "| clip | 0.000 | diverged |" in page
    assert "+0.030 (+0.029 to +0.031): ipm, 20 % | no |" in page
    page = markdown({"synchronous": {"clean": clean, "rows": ROWS, "recommended": "krum"}})
    assert "+0.006 (+0.005 to +0.007) | +0.000" in page
    assert page.rstrip().endswith("| no |"), "it loses too much where nobody is hostile"
    page = markdown({"synchronous": {"clean": clean, "rows": ROWS, "recommended": "clip"}})
    assert "| diverged | no |" in page
