"""How stale updates are under each law, by closed forms; and the experiment, small."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.experiments import staleness

SMALL = staleness.Scale(users=6, seeds=(0,), arrivals=60, updates=12, in_flight=(1, 3))


@pytest.mark.parametrize("law", staleness.LAWS)
def test_alone_nothing_is_stale(law: str) -> None:
    assert staleness.count(law, users=5, arrivals=40, places=1)["max"] == 0


def test_constant_delays_make_waves() -> None:
    """Five read together and arrive together, so that they are 0, 1, 2, 3 and 4 versions late."""
    counted = staleness.count("constant", users=20, arrivals=500, places=5)
    assert (counted["mean"], counted["max"], counted["in_flight"]) == (2, 4, 5)
    assert counted["share"][:6] == [0.2] * 5 + [0]


@pytest.mark.parametrize("law", ["uniform", "half-normal", "exponential"])
def test_with_places_the_mean_is_one_less_than_their_number(law: str) -> None:
    counted = staleness.count(law, users=40, arrivals=2000, places=8)
    assert counted["mean"] == pytest.approx(7, abs=0.05)
    assert counted["p90"] < counted["max"]


def test_the_talks_point() -> None:
    """4.4 of 200 users at work, and as many versions between a read and the arrival, whatever the law."""
    for law in ("constant", "exponential"):
        counted = staleness.count(law, users=200, arrivals=2000, places=None)
        assert counted["in_flight"] == pytest.approx(4.4, abs=0.3)
        assert counted["mean"] == pytest.approx(counted["in_flight"], abs=0.15)


def test_the_experiment(tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "EXPERIMENT", replace(staleness.EXPERIMENT, quick=SMALL))
    monkeypatch.setattr(staleness, "OPTIONS", {"C": staleness.OPTIONS["C"]})
    monkeypatch.setattr(staleness, "STEPS", {"1/n": 1})
    called = cli("reproduce", "staleness", "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert result == json.loads((tmp_path / "result.json").read_text())
    one, three = result["tolerance"]
    assert one["minus_one_in_flight"] == {"mean": 0, "low": 0, "high": 0}
    assert one["staleness"] == {"mean": 0, "max": 0}
    assert three["staleness"]["max"] >= 2
    assert three["minus_one_in_flight"]["mean"] == pytest.approx(three["nmrr"]["mean"] - one["nmrr"]["mean"])
    assert three["virtual_time"] < one["virtual_time"], "three work at the same time"
    page = (tmp_path / "RESULTS.md").read_text()
    for name in staleness.EXPERIMENT.figures:
        assert f"({name}.svg)" in page
        assert (tmp_path / f"{name}.svg").read_text().startswith("<svg")
    assert page.count("| C, `persa-fl-me` | 1/n |") == 2
