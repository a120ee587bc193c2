"""What is said of two rankings: over what it is averaged, and no ratio of nothing."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from app.reports import tables
from app.runs.evaluation import Judged, compare, describe, evaluate
from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write
from ranking.metrics import paired_bootstrap


def judge(data: Path, out: Path, **given: Any) -> Judged:
    settings = resolve({"algorithm": "persa-fl-me", "updates": 40, "evaluations": 0, **given}, {})
    train_run(settings, data, read(data), out, lambda event: None)
    (judged,) = evaluate([out], None, "test")
    return judged


@pytest.fixture(scope="module")
def judged(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(tiny, tmp_path_factory.mktemp("judged") / "run")


def ranking(judged: Judged, personal: dict[str, Tensor]) -> Judged:
    """The same run, had its users been ranked otherwise."""
    return replace(judged, metrics={**judged.metrics, "personal": personal})


def shown(*told: dict[str, Any], differences: list[dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=200)
    tables.evaluation({"runs": list(told), "differences": differences}, console)
    return " ".join(console.file.getvalue().split())


BASES: dict[str, Any] = {
    "the oracle itself": lambda oracle: oracle,
    "above the oracle": lambda oracle: oracle + 0.1,
    "a little above": lambda oracle: oracle + 1e-12,
    "not surely below": lambda oracle: oracle + torch.where(torch.arange(len(oracle)) % 2 == 0, -0.3, 0.29),
}


@pytest.mark.parametrize("over", ["users", "slates"])
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_where_no_gap_is_left_none_is_closed(judged: Judged, base: Any, over: str) -> None:
    oracle = judged.metrics["oracle"]
    assert oracle is not None
    best = ranking(judged, {name: base(values) for name, values in oracle.items()})
    told = compare(judged, best, over)
    assert told["gap_closed"] is None
    assert told["nmrr"]["mean"] < 0
    assert told["gap"]["low"] <= 0
    json.dumps(told, allow_nan=False)
    said = shown(differences=[told])
    assert "gap to the oracle closed" not in said
    assert "is not surely below the oracle" in said


@pytest.mark.parametrize("over", ["users", "slates"])
def test_the_share_of_the_gap_that_is_closed(judged: Judged, over: str) -> None:
    oracle, random = judged.metrics["oracle"], judged.metrics["random"]
    assert oracle is not None
    assert random is not None
    half = {name: (oracle[name] + random[name]) / 2 for name in oracle}
    told = compare(ranking(judged, half), ranking(judged, random), over)
    assert told["gap_closed"] == pytest.approx(0.5)
    assert "; 50 % of the gap to the oracle closed" in shown(differences=[told])

    told = compare(ranking(judged, random), ranking(judged, half), over)
    assert told["gap_closed"] == pytest.approx(-1)
    said = shown(differences=[told])
    assert said.rstrip().endswith("; 100 % further from the oracle")
    assert "closed" not in said


def test_without_a_known_truth_there_is_no_gap(judged: Judged) -> None:
    blind = replace(judged, metrics={**judged.metrics, "oracle": None})
    told = compare(blind, blind)
    assert (told["gap"], told["gap_closed"]) == (None, None)
    assert "oracle" not in shown(differences=[told])


@pytest.mark.parametrize("over", ["users", "slates"])
def test_every_figure_is_over_what_it_says(judged: Judged, over: str) -> None:
    told = describe(judged, over)
    metrics = told["metrics"]
    for name, difference in told["personal_minus_global"].items():
        assert difference["mean"] == pytest.approx(metrics["personal"][name] - metrics["global"][name])
        assert difference["low"] < difference["mean"] < difference["high"]
    common = judged.metrics["global"]
    assert common is not None
    other = ranking(judged, common)
    between = compare(judged, other, over)
    assert between["nmrr"] == told["personal_minus_global"]["nmrr"]
    assert told["averaged_over"] == between["averaged_over"] == over
    said = shown(told, differences=[between])
    assert f"averaged over {over}" in said
    assert f"personal − global, nmrr over {over}: " in said
    assert f"personal nmrr over {over}: " in said
    assert "p10 user" in said, "which is over users always"


def test_users_and_slates_differ_where_users_have_unlike_many(judged: Judged) -> None:
    users, slates = (describe(judged, over)["personal_minus_global"]["nmrr"] for over in ("users", "slates"))
    assert users["mean"] != pytest.approx(slates["mean"], abs=1e-6)


def test_cold_users_are_averaged_alike(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runs.evaluation.COLD", 10**6)
    for over in ("users", "slates"):
        told = describe(judged, over)
        assert told["cold_users"]["users"] == told["users"]
        assert told["cold_users"]["personal_nmrr"] == pytest.approx(told["metrics"]["personal"]["nmrr"])


def test_weights_are_as_if_every_slate_of_a_resampled_user_were_listed() -> None:
    draw = np.random.default_rng(0)
    counts, values = draw.integers(1, 9, size=12), draw.normal(size=12)
    told = paired_bootstrap(values, weights=counts)
    assert told["mean"] == pytest.approx(np.repeat(values, counts).mean())
    means = []
    for _ in range(4000):
        chosen = draw.integers(12, size=12)
        means.append(np.repeat(values[chosen], counts[chosen]).mean())
    low, high = np.percentile(means, [2.5, 97.5])
    assert (told["low"], told["high"]) == pytest.approx((low, high), abs=0.06)
    assert paired_bootstrap(values, weights=np.full(12, 3)) == pytest.approx(paired_bootstrap(values))


def test_one_user_has_no_interval(tmp_path: Path) -> None:
    write(simulate(users=1, seed=0), tmp_path / "data")
    judged = judge(tmp_path / "data", tmp_path / "run")
    told = describe(judged)
    difference = told["personal_minus_global"]["nmrr"]
    assert (difference["low"], difference["high"]) == (None, None)
    assert np.isfinite(difference["mean"])
    between = compare(judged, judged)
    assert between["gap_closed"] is None, "nobody knows how sure a gap of one user is"
    json.dumps([told, between], allow_nan=False)
    assert "(one user: no interval)" in shown(told, differences=[between])
