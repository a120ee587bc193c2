"""RASGP's table against the one that was measured elsewhere, and the whole experiment, small."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.experiments import pars_push, rasgp
from data.schema import DataError
from tests.conftest import REAL_DATA

TABLE = {"1": (0.75, 0.61, 0.74), "2": (3.75, 1.40, 1.30), "3": (19.7, 5.3, 3.5)}
"""Median k·E in rounds 5–10k, 10–15k, 15–20k of another implementation, 60 runs of each setting."""

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
    """The first of the table's windows, 16 runs instead of 60; `reproduce pars-push` makes the whole."""
    monkeypatch.setattr(rasgp, "SETTINGS", {setting: rasgp.SETTINGS[setting]})
    monkeypatch.setattr(rasgp, "WINDOWS", {"5-10k": (0.5, 1.0)})
    row = rasgp.reproduce(points, runs=16, rounds=10_000, tell=lambda done: None)[setting]
    assert row["z_star"] == pytest.approx(Z_STAR, abs=5e-5)
    assert 1 / 2 < row["k_error"]["5-10k"] / TABLE[setting][0] < 2


def test_points_are_drawn_where_there_are_none() -> None:
    x, b = rasgp.drawn()
    assert x.shape == (10, 50, 2)
    assert b.sum() == 0
    assert [float(x[b == side].mean()) for side in (1, -1)] == pytest.approx([3, 1], abs=0.1)
    assert float(x[b == 1].std(0).mean()) == pytest.approx(0.75**0.5, abs=0.05)


@pytest.mark.parametrize("fault", ["missing", "words", "labels", "shape"])
def test_points_that_are_none_are_refused(fault: str, tmp_path: Path) -> None:
    x, b = (tensor.numpy() for tensor in rasgp.drawn())
    path = tmp_path / "points.npz"
    if fault == "words":
        path.write_text("points")
    elif fault != "missing":
        x, b = (x[:, :3], b) if fault == "shape" else (x, b + 1)
        np.savez(path, points=x, labels=b)
    with pytest.raises(DataError, match=r"points\.npz must"):
        rasgp.reproduce(path, 1, 10, lambda done: None)


def test_the_experiment_is_made_and_a_second_call_only_judges(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {figure: {name: pars_push.ARMS[figure][name] for name in names} for figure, names in FEW.items()}
    monkeypatch.setattr(pars_push, "ARMS", few)
    monkeypatch.setattr(pars_push, "QUICK", SMALL)
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
    assert ranking["no faults"]["lost"] == 0 < ranking["all three"]["lost"]
    assert ranking["all three"]["messages"] < ranking["no faults"]["messages"], "who sleeps sends nothing"
    assert ranking["all three"] == result["personalization"]["ranking"]["u = 5"], "one run for both figures"
    trained = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    assert len(trained) == 5
    again = cli("reproduce", "pars-push", "--quick", "--out", tmp_path, "--json")
    assert (again.code, again.out) == (0, called.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")} == trained
