"""The whole experiment of navigation and rankings, small: what it writes, and that it goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.experiments import figures, memrl, navigation
from federated.clients import Clients
from federated.objectives import MAML, MoreauEnvelope, Reptile
from federated.tasks.navigation import Navigation
from ranking.metrics import paired_bootstrap

SMALL = memrl.Scale(seeds=(0,), episodes=60 * navigation.META_BATCH, held_out=4, users=6, updates=20)
FEW = ("memrl", "maml", "random")


def test_the_experiment_is_made_and_a_second_call_only_judges(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memrl, "EXPERIMENT", replace(memrl.EXPERIMENT, quick=SMALL))
    monkeypatch.setattr(navigation, "METHODS", {name: navigation.METHODS[name] for name in FEW})
    monkeypatch.setattr(navigation, "SIZES", (0.1, 0.3))
    monkeypatch.setattr(memrl, "RANKING", {name: memrl.RANKING[name] for name in ("memrl", "persa-fl-me")})
    drawn: list[Any] = []

    def draw_paths(path: Path, goals: Any, panels: dict[str, Any]) -> None:
        drawn.extend(panels.values())
        figures.draw_paths(path, goals, panels)

    monkeypatch.setattr(memrl, "draw_paths", draw_paths)
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
    nmrr = {name: row["nmrr"]["mean"] for name, row in result["ranking"].items()}
    less = result["ranking"]["persa-fl-me"]["memrl_minus"]["mean"]
    assert less == pytest.approx(nmrr["memrl"] - nmrr["persa-fl-me"])
    assert less != 0
    assert [panel.tobytes() for panel in drawn] == [panel.tobytes() for panel in _paths(kept["memrl"])]
    for row in result["ranking"].values():
        assert 0 < row["nmrr"]["low"] <= row["nmrr"]["mean"] <= row["nmrr"]["high"] < 1
    for figure in ("adaptation", "paths"):
        assert (tmp_path / f"{figure}.png").stat().st_size > 10_000
        assert (tmp_path / f"{figure}.svg").read_text().startswith("<svg")
    monkeypatch.setattr(memrl, "_draw", lambda *arguments: None)
    (tmp_path / "navigation" / "random-0.json").write_text("{")  # damaged: it is made anew
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("m*-?.json")}
    again = cli("reproduce", "memrl", "--quick", "--out", tmp_path, "--json")
    assert (again.code, again.out) == (0, called.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("m*-?.json")} == made


def _kept(out: Path, method: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((out / "navigation" / f"{method}-0.json").read_text())["made"]
    return kept


def _paths(kept: dict[str, Any]) -> list[Any]:
    """What the first seed's figure shows: before, after one step and after three."""
    task = navigation.goals(0, "held-out goals", 5)
    w = torch.tensor(kept["w"])
    path = navigation.adapted(task, "memrl", w, kept["step_size"], 3, navigation.APART)
    return [navigation.paths(task, path[step], 3) for step in (0, 1, 3)]


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


def test_goals_to_learn_from_to_choose_by_and_to_judge_by_are_used_for_just_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who learns sees the training goals alone, and as many episodes as allowed; the best size on validation
    goals is taken, and what is told are returns on the others, with random numbers of their own."""
    drawn, taken, judged = {}, {}, []
    goals, take, judge = navigation.goals, Navigation.take, Navigation.judge

    def remembering(seed: int, purpose: str, number: int) -> Navigation:
        task = goals(seed, purpose, number)
        drawn[id(task)] = purpose
        kept.append(task)
        return task

    def counting(self: Navigation, w: Tensor, batch: Any) -> Any:
        name = drawn.get(id(self))
        taken[name] = taken.get(name, 0) + batch[1].shape[0] * batch[1].shape[1]
        return take(self, w, batch)

    def judging(self: Navigation, w: Tensor, seed: int = 0) -> Tensor:
        judged.append((drawn[id(self)], seed))
        return judge(self, w, seed)

    kept: list[Navigation] = []
    monkeypatch.setattr(navigation, "goals", remembering)
    monkeypatch.setattr(Navigation, "take", counting)
    monkeypatch.setattr(Navigation, "judge", judging)
    monkeypatch.setattr(navigation, "SIZES", (1e-6, 0.3, 15.0))
    size = navigation.Size(episodes=2 * 60 * navigation.META_BATCH, held_out=3, steps=4)
    told = navigation.reproduce("memrl", 7, size)
    assert taken["goals"] == size.episodes
    assert judged == [("validation goals", 7)] * 3 * 4 + [("held-out goals", 7 + navigation.APART)] * 5
    monkeypatch.undo()
    w = torch.tensor(told["w"])

    def returns(purpose: str, a: float, steps: int, seed: int) -> np.ndarray:
        task = navigation.goals(7, purpose, 3)
        return np.array(
            [task.judge(p, seed).numpy() for p in navigation.adapted(task, "memrl", w, a, steps, seed)]
        )

    scores = {a: returns("validation goals", a, 3, 7)[1:].mean() for a in (1e-6, 0.3, 15.0)}
    assert told["step_size"] == max(scores, key=scores.__getitem__)
    assert scores[15.0] < scores[1e-6], "the largest is the worst"
    expected = returns("held-out goals", told["step_size"], 4, 7 + navigation.APART)
    np.testing.assert_allclose(told["returns"], expected, rtol=1e-4)


def test_paths_lead_from_the_origin_to_where_the_goal_was_reached() -> None:
    task = replace(navigation.goals(0, "a few", 2), goals=torch.tensor([[0.05, 0.0], [0.4, 0.4]]))
    w = task.initial(0)
    named = task.policy.layout.split(w[None])
    named["dense2.bias"][:] = torch.tensor([0.5, 0.0])  # 0.05 a step to the right, and hardly any noise
    named["dense2.weight"].zero_()
    named["log_std"][:] = -9.0
    paths = navigation.paths(task, w.expand(2, -1), 2)
    assert paths.shape == (2, 2, 100, 2)
    assert (paths[:, :, 0] == 0).all()
    np.testing.assert_allclose(paths[0, :, 1], [[0.05, 0]] * 2, atol=1e-3)
    assert np.isnan(paths[0, :, 2:]).all(), "it has arrived"
    assert not np.isnan(paths[1]).any()


def test_training_goals_and_goals_to_judge_by_are_others() -> None:
    drawn = [
        navigation.goals(seed, kind, 50).goals
        for seed in (0, 1)
        for kind in ("goals", "validation goals", "held-out goals")
    ]
    assert len(torch.unique(torch.cat(drawn), dim=0)) == 300
