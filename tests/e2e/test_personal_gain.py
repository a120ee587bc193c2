"""The gain is there for a reason: it follows the users' tastes, and vanishes with them.

A smaller sibling of the README's table: 60 users instead of 200.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.runs.evaluation import Judged, evaluate
from ranking.metrics import per_user


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """persa-fl-me on users with tastes of their own, and on users all alike; by strength."""
    import app.commands.main

    made = {}
    for strength in (0.25, 0.0):
        data = tmp_path_factory.mktemp("gain")
        out = tmp_path_factory.mktemp("gain")
        for command in (
            ["data", "simulate", "--users", "60", "--strength", str(strength), "--out", str(data), "--json"],
            ["train", "--data", str(data), "--out", str(out), "--updates", "1600", "--json"],
        ):
            with pytest.raises(SystemExit) as ended:
                app.commands.main.main(command)
            assert ended.value.code == 0
        made[strength] = out
    return made


def result(cli: Callable[..., Any], run: Path, *options: str) -> dict[str, Any]:
    called = cli("evaluate", run, "--json", *options)
    assert called.code == 0, called.err
    described: dict[str, Any] = json.loads(called.out)["runs"][0]
    return described


def test_personal_models_win_where_tastes_differ(runs: dict[float, Path], cli: Callable[..., Any]) -> None:
    told = result(cli, runs[0.25])
    assert told["personal_minus_global"]["nmrr"]["low"] > 0
    metrics = {name: m["nmrr"] for name, m in told["metrics"].items()}
    assert (
        metrics["random"]
        < metrics["popularity"]
        < metrics["global"]
        < metrics["personal"]
        < metrics["oracle"]
    )


def test_and_not_where_all_are_alike(runs: dict[float, Path], cli: Callable[..., Any]) -> None:
    assert result(cli, runs[0.0])["personal_minus_global"]["nmrr"]["low"] <= 0


def test_another_users_model_is_worse_than_the_global_one(
    runs: dict[float, Path], cli: Callable[..., Any]
) -> None:
    told = result(cli, runs[0.25], "--permute-users")
    assert told["permuted"]
    assert told["personal_minus_global"]["nmrr"]["mean"] < 0


def test_nobody_beats_the_truth(runs: dict[float, Path]) -> None:
    """By more than 3 standard errors over users."""
    judged: list[Judged] = evaluate(list(runs.values()), None, "test")
    for run in judged:
        oracle = run.metrics["oracle"]
        assert oracle is not None
        for name in ("global", "personal", "popularity"):
            metrics = run.metrics[name]
            assert metrics is not None
            ahead = per_user(metrics["nmrr"] - oracle["nmrr"], run.ground.slates.user)[1]
            assert ahead.mean() < 3 * ahead.std(ddof=1) / np.sqrt(len(ahead))
