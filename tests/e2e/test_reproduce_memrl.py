"""The whole experiment of navigation and rankings, small: what it writes, and that it goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.experiments import memrl, navigation
from federated.clients import Clients
from federated.objectives import MAML, MoreauEnvelope, Reptile
from ranking.metrics import paired_bootstrap

SMALL = memrl.Scale(seeds=(0,), episodes=60 * navigation.META_BATCH, held_out=4, users=6, updates=20)
FEW = ("memrl", "maml", "random")


def test_the_experiment_is_made_and_a_second_call_only_judges(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memrl, "QUICK", SMALL)
    monkeypatch.setattr(navigation, "METHODS", {name: navigation.METHODS[name] for name in FEW})
    monkeypatch.setattr(navigation, "SIZES", (0.1, 0.3))
    monkeypatch.setattr(memrl, "RANKING", {name: memrl.RANKING[name] for name in ("memrl", "persa-fl-me")})
    called = cli("reproduce", "memrl", "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert tuple(result["navigation"]) == FEW
    kept = {name: _kept(tmp_path, name) for name in FEW}
    for name, rows in result["navigation"].items():
        assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5]
        values = np.array(kept[name]["returns"])
        assert values.shape == (6, 4)
        for row, returns in zip(rows, values, strict=True):
            assert row == {"step": row["step"], **paired_bootstrap(returns)}
            assert -200 < row["low"] <= row["mean"] <= row["high"] < 0
        assert set(result["step_sizes"][name]) <= {0.1, 0.3}
    less = [
        a["mean"] - b["mean"]
        for a, b in zip(*(result["navigation"][n] for n in ("memrl", "maml")), strict=True)
    ]
    assert [row["mean"] for row in result["memrl_minus"]["maml"]] == pytest.approx(less)
    for row in result["ranking"].values():
        assert 0 < row["nmrr"]["low"] <= row["nmrr"]["mean"] <= row["nmrr"]["high"] < 1
    for figure in ("adaptation", "paths"):
        assert (tmp_path / f"{figure}.png").stat().st_size > 10_000
        assert (tmp_path / f"{figure}.svg").read_text().startswith("<svg")
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*-?.json")}
    again = cli("reproduce", "memrl", "--quick", "--out", tmp_path, "--json")
    assert (again.code, again.out) == (0, called.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*-?.json")} == made


def _kept(out: Path, method: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((out / "navigation" / f"{method}-0.json").read_text())["made"]
    return kept


def test_methods_learn_from_equally_many_episodes() -> None:
    """On each goal 60 in a round, or 40 in rounds of which there are more."""
    each = {
        name: row.local.local_steps * row.objective.draws * row.local.batch_size
        for name, row in navigation.METHODS.items()
        if row
    }
    assert each.pop("maml") == 40
    assert set(each.values()) == {60}
    budget = memrl.Scale().episodes
    assert all(budget % (n * navigation.META_BATCH) == 0 for n in each.values())


@pytest.mark.parametrize("method", ["memrl", "maml", "random"])
def test_policies_on_the_way_are_those_of_fewer_steps(method: str) -> None:
    task = navigation.goals(0, "a few", 3)
    w = task.initial(1)
    path = navigation.adapted(task, method, w, 0.2, 3, 5)
    assert torch.equal(path[0], w.expand(3, -1))
    row = navigation.METHODS[method]
    envelope = row and row.objective
    for steps in (1, 2, 3):
        own = {
            "memrl": lambda k=steps: MoreauEnvelope(envelope.lam, 3, 0.2, 0, k, "fresh"),
            "maml": lambda k=steps: MAML(0.2, k, "first-order"),
            "random": lambda k=steps: Reptile(0.2, k),
        }[method]()
        expected = Clients(task, own, navigation.METHODS["maml"].local, 5).personalise(w)
        torch.testing.assert_close(path[steps], expected, rtol=1e-4, atol=1e-6)
        assert not torch.equal(path[steps], path[steps - 1])


def test_training_goals_and_goals_to_judge_by_are_others() -> None:
    drawn = [
        navigation.goals(seed, kind, 50).goals
        for seed in (0, 1)
        for kind in ("goals", "validation goals", "held-out goals")
    ]
    assert len(torch.unique(torch.cat(drawn), dim=0)) == 300
