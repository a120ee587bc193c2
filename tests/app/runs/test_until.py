"""A training that stops half-way is judged there, and goes on to the bits of one that never stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands.exits import BAD_CONFIG, OK, USAGE
from app.runs.directory import CHECKPOINTS, open_run
from app.runs.evaluation import evaluate
from federated import checkpoint
from ranking.metrics import per_user

Cli = Callable[..., Any]
SHORT = ("--updates", 60, "--evaluations", 3, "--set", "personal_samples=5")


def summary(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "summary.json").read_text()))


@pytest.mark.parametrize(
    "algorithm",
    ["fedavg", "persa-fl-me", "fedbuff", "persa-fl-maml", "reptile", "local", "pooled", "pars-push"],
)
def test_stops_change_no_bit(algorithm: str, tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("--data", tiny, "--algorithm", algorithm, *SHORT)
    assert cli("train", "--out", tmp_path / "whole", *options).code == OK
    run = tmp_path / "stopped"
    first = cli("train", "--out", run, *options, "--until", 13, "--json")
    assert first.code == OK, first.err
    assert f"Go on with: persarank resume {run}" in first.err
    told = summary(run)
    assert json.loads(first.out) == told
    assert told["finished"] is False
    assert 13 <= told["updates"] < 13 + 20, "the first rest after so many updates"
    assert checkpoint.latest(run / CHECKPOINTS) == told["updates"], "nothing is trained twice"
    assert told["validation_nmrr"]["personal"] > told["validation_nmrr"]["random"]
    assert cli("resume", run, "--until", 37).code == OK
    assert summary(run)["finished"] is False
    assert 37 <= summary(run)["updates"] < 37 + 20
    assert cli("resume", run).code == OK
    assert not (run / CHECKPOINTS).exists()
    for name in ("model.safetensors", "metrics.jsonl", "config.toml"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_figures_at_a_stop_are_of_the_models_that_users_would_get(
    tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    run = tmp_path / "run"
    assert cli("train", "--out", run, "--data", tiny, *SHORT, "--until", 30).code == OK
    (judged,) = evaluate([run], tiny, "validation")
    own, common = (
        float(per_user(judged.metrics[ranking]["nmrr"], judged.ground.slates.user)[1].mean())
        for ranking in ("personal", "global")
    )
    assert open_run(run).summary["validation_nmrr"]["personal"] == pytest.approx(own, abs=1e-9)
    assert abs(own - common) > 1e-4, "or this test could not tell them apart"


def test_a_stop_after_the_end_is_none(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    for until in (60, 61, 10**6):
        run = tmp_path / str(until)
        called = cli("train", "--out", run, "--data", tiny, "--algorithm", "fedavg", *SHORT, "--until", until)
        assert (called.code, called.err) == (OK, "")
        assert summary(run)["finished"] is True


def test_a_stop_that_lies_behind_trains_nothing_more(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    run = tmp_path / "run"
    assert cli("train", "--out", run, "--data", tiny, *SHORT, "--until", 30).code == OK
    before = (run / "model.safetensors").read_bytes(), (run / "metrics.jsonl").read_bytes()
    assert cli("resume", run, "--until", 30).code == OK
    assert cli("resume", run, "--until", 5).code == OK
    assert summary(run)["updates"] == 30
    assert ((run / "model.safetensors").read_bytes(), (run / "metrics.jsonl").read_bytes()) == before


def test_trees_are_fitted_in_one_piece(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    run, trees = tmp_path / "run", ("--algorithm", "pooled", "--ranker", "forest", "--set", "n_estimators=3")
    refused = cli("train", "--out", run, "--data", tiny, *trees, "--until", 1)
    assert refused.code == BAD_CONFIG
    assert "forest is fitted in one piece" in refused.err
    assert not run.exists()
    assert cli("train", "--out", run, "--data", tiny, *trees).code == OK
    (run / "summary.json").unlink()
    refused = cli("resume", run, "--until", 1)
    assert refused.code == BAD_CONFIG
    assert "leave out --until" in refused.err
    assert cli("resume", run).code == OK
    assert summary(run)["finished"] is True


def test_own_models_that_are_lost_at_a_stop_are_said_to_be(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options = (
        "--algorithm",
        "reptile",
        *SHORT,
        "--set",
        "adapt_lr=1e9",
        "--set",
        "adapt_steps=20",
        "--until",
        20,
    )
    called = cli("train", "--out", tmp_path / "run", "--data", tiny, *options)
    assert called.code == BAD_CONFIG
    assert "The own models of 20 users are not finite" in called.err
    assert summary(tmp_path / "run")["updates"] < 60


def test_no_stop_before_the_first_update(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    assert cli("train", "--out", tmp_path / "run", "--data", tiny, "--until", 0).code == USAGE
    assert not (tmp_path / "run").exists()
