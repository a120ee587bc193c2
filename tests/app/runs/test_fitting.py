"""Trees of a run: what it tells of a forest that users have grown together, what it keeps, and its bytes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.commands.exits import BAD_CONFIG
from app.reports.choices import table_of_everything
from app.runs.directory import open_run
from app.runs.fitting import fit
from app.runs.settings import resolve
from data.schema import Dataset
from ranking.models import TreeModel
from ranking.public_statistics import PublicStatistics
from ranking.rankers import TREES
from ranking.shared_forest import SharedForest
from ranking.slates import Slates, StoredSlates
from ranking.sources import Log

Cli = Callable[..., Any]
TRAIN = (
    "train",
    "--algorithm",
    "federated",
    "--ranker",
    "forest",
    "--set",
    "n_estimators=4",
    "--set",
    "max_depth=5",
)


@pytest.mark.parametrize("ranker", TREES)
@pytest.mark.parametrize("algorithm", ["local", "pooled"])
def test_threads_change_no_byte_of_the_trees(
    algorithm: str, ranker: str, tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    given = ("--algorithm", algorithm, "--ranker", ranker, "--set", "n_estimators=3")
    models, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = tmp_path / f"{threads}"
            assert cli("train", *given, "--data", tiny, "--out", out).code == 0
            models.append({file.name: file.read_bytes() for file in (out / "model").iterdir()})
    finally:
        torch.set_num_threads(before)
    assert models[0] == models[1]
    assert len(models[0]) == (1 if algorithm == "pooled" else 20)


@pytest.mark.parametrize("ranker", TREES)
def test_alone_a_user_learns_from_their_own_slates_and_no_others(ranker: str, tiny_slates: Slates) -> None:
    settings = resolve({"algorithm": "local", "ranker": ranker}, {"n_estimators": 3})
    slates = StoredSlates.of(tiny_slates)
    users = int(slates.user.max()) + 1
    found = fit(settings, slates, slates, users, lambda *_: None).model
    assert isinstance(found, TreeModel)
    of_their_own: Any = settings.ranker
    for user, fitted in enumerate(found.personal):
        theirs = slates.subset((slates.user == user).nonzero().squeeze(1))
        assert 0 < len(theirs.user) < len(slates.user)
        assert fitted.dump() == of_their_own.fit(theirs, settings.loss, settings.seed).dump()


def test_each_user_has_a_price(
    tiny: Path, tiny_dataset: Dataset, tiny_public: PublicStatistics, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    called = cli(*TRAIN, "--data", tiny, "--out", tmp_path / "run", "--json")
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    forest = open_run(tmp_path / "run").model(Log(tiny_dataset, tiny_public))
    assert isinstance(forest, SharedForest)
    own = summary["own_models"]
    assert (own["setting"], own["value"], own["users_asked"], own["nobody"]) == (
        "own_price",
        "each",
        20,
        False,
    )
    assert own["kept_common"] == np.isinf(forest.price).sum() < 20
    assert own["losses"][0]["value"] == "inf"
    assert own["losses"][0]["loss"] == pytest.approx(1 - summary["validation_nmrr"]["global"], abs=1e-9)
    assert set(forest.price) <= {float(tried["value"]) for tried in own["losses"]}
    assert forest.evidence.shape[:2] == (20, 4)
    assert forest.evidence.shape[2] <= 2**5
    assert len(forest.feature) <= 4 * (2**6 - 1)
    told = cli("evaluate", tmp_path / "run").out
    told = " ".join(told.split())
    assert "Own models: how little a user's own data counts (own_price; at ∞, not at all) is chosen" in told
    assert "(20 users' mean at ∞: 0." in told


def test_a_price_that_is_set_is_everybodys(tiny: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    options = ("--set", "own_price=2", "--set", "own_depth=0", "--json")
    called = cli(*TRAIN, "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == 0, called.err
    own = json.loads(called.out)["own_models"]
    assert (own["value"], own["losses"], own["kept_common"]) == (2.0, [], None)


def test_what_is_fitted_is_not_told_as_if_it_were_sent(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    called = cli(*TRAIN, "--data", tiny, "--out", tmp_path / "run")
    assert called.code == 0, called.err
    assert re.match(r"Fitted federated × forest × bce, seed 0, in \d+\.\d s\.\n", called.out), called.out
    assert "staleness" not in called.out
    assert "in flight" not in called.out
    run = tmp_path / "run"
    assert called.out.endswith(
        f"Judge it with: persarank evaluate {run}\nOr as a page: persarank report {run} --out report.html\n"
    )


@pytest.mark.parametrize("algorithm", ["federated", "local", "pooled"])
def test_options_that_would_not_be_read_are_refused(
    algorithm: str, tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    trees = (
        "train",
        "--ranker",
        "forest",
        "--algorithm",
        algorithm,
        "--data",
        tiny,
        "--out",
        tmp_path / "run",
    )
    for name, value in {
        "updates": 9,
        "evaluations": 0,
        "keep": "last",
        "checkpoint-every": 9,
        "until": 9,
    }.items():
        refused = cli(*trees, f"--{name}", value)
        assert refused.code == BAD_CONFIG, name
        told = f"forest is fitted in one piece, not update by update: leave out --{name}."
        assert told in " ".join(refused.err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_config_of_a_run_of_trees_is_one_for_others(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    """Though it names the updates of those that are trained step by step."""
    called = cli(*TRAIN, "--data", tiny, "--out", tmp_path / "run")
    assert called.code == 0, called.err
    config = tmp_path / "run" / "config.toml"
    assert "updates" in config.read_text()
    called = cli("train", "--config", config, "--data", tiny, "--out", tmp_path / "again")
    assert called.code == 0, called.err
    assert (tmp_path / "again" / "config.toml").read_text() == config.read_text()


def test_the_list_says_which_trees_can_be_fitted_how() -> None:
    listed = {row["name"]: row["rankers"] for row in table_of_everything()["fitted"]}
    assert listed == {
        name: [ranker for ranker, trees in TREES.items() if name in trees.ALGORITHMS] for name in listed
    }
    assert listed["federated"] == ["forest"]
