"""What is kept, said and possible when a model, or only the users' own ones, run away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.commands.exits import BAD_CONFIG, BAD_RUN, OK
from app.runs.directory import CHECKPOINTS, CONFIG
from app.runs.settings import resolve
from app.runs.verdict import NOT_FINITE
from federated.objectives import Reptile
from ranking.rankers.network import Layout

Cli = Callable[..., Any]
SHORT = ("--updates", "60", "--evaluations", "0")


@pytest.fixture
def lost(tiny: Path, tmp_path: Path, cli: Cli) -> tuple[Path, str]:
    """A run whose own models are not finite, and what was said."""
    options = ("--algorithm", "reptile", *SHORT, "--set", "adapt_lr=1e9", "--set", "adapt_steps=20")
    called = cli("train", "--data", tiny, "--out", tmp_path / "lost", *options)
    assert called.code == BAD_CONFIG
    return tmp_path / "lost", called.err


def test_what_own_models_are_made_from_is_kept(lost: tuple[Path, str], cli: Cli) -> None:
    run, said = lost
    assert "The own models of 20 users are not finite" in said
    assert "adapt_lr = 1000000000.0 (default 0.02)" in said
    assert f"persarank resume {run} --set adapt_lr=0.02 --set adapt_steps=auto" in said
    called = cli("evaluate", run, "--json")
    assert called.code == OK
    (result,) = json.loads(called.out)["runs"]
    assert [warning["kind"] for warning in result["warnings"]] == [NOT_FINITE]
    assert result["metrics"]["personal"] == result["metrics"]["global"]
    assert "not finite" in cli("evaluate", run).out


def test_what_is_lost_is_out_of_the_race_where_validation_chooses(
    tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    options = ("--algorithm", "reptile", *SHORT, "--set", "adapt_lr=1e30")
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == OK, called.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    own = summary["own_models"]
    assert (own["setting"], own["value"], own["nobody"]) == ("adapt_steps", 0, True)
    assert [c["loss"] for c in own["losses"][1:]] == 2 * ["inf"], "nobody is asked about still more"
    assert 0 < own["losses"][0]["loss"] < 1
    assert "2: not finite, 5: not finite)" in " ".join(called.out.split())
    assert summary["warnings"] == []


def test_a_resume_with_other_personal_settings_is_the_run_that_had_them_from_the_start(
    lost: tuple[Path, str], tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    run, said = lost
    again = cli("resume", run)
    assert (again.code, again.err) == (BAD_CONFIG, said)
    sets = [
        part
        for pair in ("adapt_lr=0.01", "adapt_steps=auto", "personal_samples=50")
        for part in ("--set", pair)
    ]
    assert cli("resume", run, *sets).code == OK
    options = ("--algorithm", "reptile", *SHORT, *sets)
    assert cli("train", "--data", tiny, "--out", tmp_path / "whole", *options).code == OK
    for name in ("model.safetensors", "metrics.jsonl", CONFIG):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (run / CHECKPOINTS).exists()
    late = cli("resume", run, "--set", "adapt_lr=0.5")
    assert late.code == BAD_RUN
    assert "is finished: its settings cannot be changed any more" in late.err


def test_settings_of_the_training_itself_cannot_change_on_the_way(lost: tuple[Path, str], cli: Cli) -> None:
    run, _ = lost
    before = (run / CONFIG).read_bytes()
    for pair, why in (
        (
            "lr=0.1",
            "lr cannot be changed while a training goes on; only adapt_lr, adapt_steps, personal_samples",
        ),
        ("local.local_steps=3", "local.local_steps cannot be changed"),
        ("adapt_lr=-1", "objective.adapt_lr = -1"),
        ("adapt_rl=1", "adapt_rl cannot be changed"),
    ):
        called = cli("resume", run, "--set", pair)
        assert called.code == BAD_CONFIG
        assert why in called.err
        assert (run / CONFIG).read_bytes() == before


def test_own_models_with_scores_that_are_not_finite_count_as_lost(
    tiny: Path, tmp_path: Path, cli: Cli, monkeypatch: Any
) -> None:
    """Their parameters are finite, so that only scoring shows it."""

    def runaway(self: Reptile, task: Any, w: Tensor, data: Any, strength: float | None = None) -> Tensor:
        return torch.full_like(w, 1e30)

    monkeypatch.setattr(Reptile, "personalise", runaway)
    options = ("--algorithm", "reptile", *SHORT, "--set", "adapt_steps=20")
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == BAD_CONFIG
    assert "The own models of 20 users are not finite" in called.err
    assert cli("evaluate", tmp_path / "run").code == OK


@pytest.mark.parametrize("evaluations", [0, 1])
@pytest.mark.parametrize("algorithm", ["fedavg", "persa-fl-me", "local", "push-sum"])
def test_a_model_with_scores_that_are_not_finite_is_no_success(
    algorithm: str, evaluations: int, tiny: Path, tmp_path: Path, cli: Cli, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Layout, "initial", lambda self, draw: torch.full((self.size,), 1e30))
    options = ("--algorithm", algorithm, *SHORT, "--set", "local_steps=0", "--evaluations", evaluations)
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == BAD_CONFIG
    what = "model is" if algorithm == "push-sum" else "model's scores are"  # whose sums overflow before
    assert f"persarank: the {what} no longer finite after " in called.err
    assert "local_steps = 0 (default" in called.err


def test_the_remedy_names_what_was_set_and_what_the_algorithm_has(
    tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    options = ("--algorithm", "fedbuff", *SHORT, "--set", "server_lr=1e30", "--set", "hidden=[4]")
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == BAD_CONFIG
    assert "try a smaller lr or server_lr." in called.err
    assert (
        "Not at their defaults: hidden = [4] (default [64, 64]), server_lr = 1e+30 (default 0.5)."
        in called.err
    )
    assert "lam" not in called.err


@pytest.mark.parametrize(
    "sets", [["lam=100"], ["lam=200"], ["inner_lr=0.14"], ["lam=1000", "inner_lr=0.002"]]
)
@pytest.mark.parametrize("algorithm", ["persa-fl-me", "persa-fl-me-buffered", "pfedme", "pars-push-me"])
def test_inner_steps_that_cannot_converge_are_refused_before_anything_begins(
    algorithm: str, sets: list[str], tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    pairs = [part for pair in sets for part in ("--set", pair)]
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", "--algorithm", algorithm, *pairs)
    assert called.code == BAD_CONFIG
    assert "inner_lr · lam = " in called.err
    assert "must be under 2" in called.err
    assert not (tmp_path / "run").exists()


def test_just_under_the_bound_is_allowed() -> None:
    resolve({}, {"lam": 19, "inner_lr": 0.1})
