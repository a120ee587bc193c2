"""Users' figures in a report.json are read as they were written, or refused with a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.runs.directory import REPORT, RunError
from app.runs.evaluation import saved_users

Change = Callable[[dict[str, Any]], Any]


def report() -> dict[str, Any]:
    row = {"user": "ann", "slates": 3, "personal": {"mrr@10": 0.5, "nmrr": 1}, "global": {"mrr@10": None}}
    return {"result": {"fingerprint": "f"}, "users": [row]}


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text(json.dumps(report()))
    assert saved_users(tmp_path, "f") == {"ann": report()["users"][0]}
    with pytest.raises(RunError, match="is a report on other data"):
        saved_users(tmp_path, "g")


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("users"),
        lambda told: told.update(result=[]),
        lambda told: told["users"][0].update(slates=0),
        lambda told: told["users"][0].pop("global"),
        lambda told: told["users"][0]["personal"].update(nmrr=1.5),
        lambda told: told["users"][0]["personal"].update(nmrr=float("nan")),
        lambda told: told["users"][0]["personal"].update(nmrr="1"),
        lambda told: told["users"][0]["personal"].update(speed=0.5),
    ],
)
def test_damage_gets_a_sentence(tmp_path: Path, change: Change) -> None:
    told = report()
    change(told)
    (tmp_path / REPORT).write_text(json.dumps(told))
    with pytest.raises(RunError, match=r"report\.json is damaged"):
        saved_users(tmp_path, "f")
