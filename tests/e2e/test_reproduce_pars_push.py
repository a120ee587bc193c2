"""RASGP's table against the one that was measured elsewhere, and the whole experiment, small."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.experiments import convex, pars_push, rasgp
from federated.network.topology import draw
from federated.schedules.gossip import Gossip
from tests.conftest import REAL_DATA

TABLE = {"1": 0.75, "3": 19.7}
"""Median k·E in rounds 5–10k of another implementation, 60 runs: without faults, and with all of them."""

Z_STAR = (0.6060, 0.6408, -2.4598)
FEW = {"personalization": ("u = 0", "u = 5"), "asynchrony": ("no faults", "all three")}
SMALL = replace(pars_push.QUICK, users=6, rounds=10, looks=2, reference_updates=20, rasgp_rounds=40)


@pytest.fixture(scope="module")
def points() -> Path:
    """The experiment's own data."""
    path = REAL_DATA / "rasgp.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: it is the data of the RASGP paper's experiment, see data/README.md")
    return path


@pytest.mark.parametrize("setting", TABLE)
def test_errors_are_those_of_the_table(setting: str, points: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 runs instead of 60; `reproduce pars-push` makes the whole table."""
    monkeypatch.setattr(rasgp, "WINDOWS", {"5-10k": (0.5, 1.0)})
    row = rasgp.reproduce(setting, rasgp.read(points), runs=8, rounds=10_000)
    assert row["z_star"] == pytest.approx(Z_STAR, abs=5e-5)
    assert 1 / 2 < row["k_error"]["5-10k"] / TABLE[setting] < 2
    assert row["error_20k"] == pytest.approx(row["k_error"]["5-10k"] / 8_500, rel=1)


def test_settings_and_windows_are_the_papers() -> None:
    told = {}
    for name, (graph, faults) in rasgp.SETTINGS.items():
        gossip = Gossip(**faults)
        chances = (gossip.wake_probability, gossip.failure_probability)
        told[name] = (graph, gossip.wake_within, gossip.max_delay, gossip.max_failures, *chances)
    assert told == {
        "1": ("cycle", 1, 1, 0, 0.5, 0.3),
        "2": ("cycle", 1, 4, 3, 0.5, 0.3),
        "3": ("cycle", 3, 4, 3, 0.5, 0.3),
        "4": ("random", 3, 4, 3, 0.5, 0.3),
    }
    assert rasgp.WINDOWS == {"5-10k": (0.25, 0.5), "10-15k": (0.5, 0.75), "15-20k": (0.75, 1)}


def test_in_the_random_graphs_half_of_all_links_are() -> None:
    links = [len(draw("random", rasgp.NODES, (rasgp.NODES - 1) / 2, run).source) for run in range(60)]
    assert np.mean(links) == pytest.approx(45, abs=2)


def test_points_are_drawn_where_there_are_none() -> None:
    x, b = rasgp.drawn()
    assert x.shape == (10, 50, 2)
    assert b.sum() == 0
    assert [float(x[b == side].mean()) for side in (1, -1)] == pytest.approx([3, 1], abs=0.1)
    assert float(x[b == 1].std(0).mean()) == pytest.approx(0.75**0.5, abs=0.05)


@pytest.mark.parametrize("fault", ["missing", "empty", "words", "names", "labels", "shape", "complex"])
def test_points_that_are_none_are_refused_before_anything_is_written(
    fault: str, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    x, b = (tensor.numpy() for tensor in rasgp.drawn())
    spoilt: dict[str, Any] = {
        "labels": {"points": x, "labels": b + 1},
        "shape": {"points": x[:, :3], "labels": b},
        "complex": {"points": x + 1j, "labels": b},
        "names": {"x": x, "b": b},
    }
    path, out = tmp_path / "points.npz", tmp_path / "out"
    if fault in spoilt:
        np.savez(path, **spoilt[fault])
    elif fault != "missing":
        path.write_text("points" if fault == "words" else "")
    called = cli("reproduce", "pars-push", "--quick", "--points", path, "--out", out)
    assert called.code == 3, called.err
    assert called.err.startswith(f"persarank: {path} must ")
    assert len(called.err.splitlines()) == 1
    assert not out.exists()


def test_options_of_the_other_experiment_are_refused(tmp_path: Path, cli: Callable[..., Any]) -> None:
    for experiment, option in (("pars-push", "--shell"), ("persa-fl", "--points"), ("memrl", "--shell")):
        called = cli("reproduce", experiment, option, "file", "--out", tmp_path / "out")
        assert called.code == 2
        assert "belongs to" in called.err
        assert not (tmp_path / "out").exists()


def test_a_personal_budget_buys_something_where_users_differ() -> None:
    """Also in the harshest network; the models that are judged are the users' own."""
    gossip = Gossip(wake_within=3, max_delay=4, max_failures=3, least_weight=0.1)
    ends = {u: convex.curves(gossip, u, runs=4, rounds=200, looks=2)[1][:, -1] for u in (0, 5)}
    assert (ends[5] < ends[0] - 0.005).all()


def test_the_experiment_is_made_and_a_second_call_only_judges(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {figure: {name: pars_push.ARMS[figure][name] for name in names} for figure, names in FEW.items()}
    monkeypatch.setattr(pars_push, "ARMS", few)
    monkeypatch.setattr(pars_push, "EXPERIMENT", replace(pars_push.EXPERIMENT, quick=SMALL))
    called = cli("reproduce", "pars-push", "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert set(result["rasgp"]) == {"1", "2", "3", "4"}
    for row in result["rasgp"].values():
        assert row["runs"] == 6
        assert set(row["k_error"]) == {"5-10k", "10-15k", "15-20k"}
    for figure, arms in few.items():
        for panel in ("logistic", "ranking"):
            curves = result[figure][panel]
            assert list(curves) == list(arms)
            for curve in curves.values():
                low, median, high = (np.array(curve[name]) for name in ("low", "median", "high"))
                assert len(curve["round"]) == len(median) == SMALL.looks
                assert (low <= median).all()
                assert (median <= high).all()
        for suffix, begins in ((".png", b"\x89PNG"), (".svg", b"<svg")):
            drawn = (tmp_path / f"{figure}{suffix}").read_bytes()
            assert drawn.startswith(begins)
        assert all(name in drawn.decode() for name in (*arms, "local", "persa-fl-maml"))
    ranking = result["asynchrony"]["ranking"]
    for curve in ranking.values():
        assert curve["round"][-1] <= curve["rounds"] < curve["messages"]
    assert ranking["no faults"]["lost"] == 0 < ranking["all three"]["lost"]
    assert ranking["all three"]["messages"] < ranking["no faults"]["messages"], "who sleeps sends nothing"
    assert ranking["all three"] == result["personalization"]["ranking"]["u = 5"], "one run for both figures"
    trained = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    assert len(trained) == 5
    again = cli("reproduce", "pars-push", "--quick", "--out", tmp_path, "--json")
    assert (again.code, again.out) == (0, called.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")} == trained
