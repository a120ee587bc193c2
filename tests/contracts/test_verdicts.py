"""No row of the table is accused while it learns; what knows nothing, is exchanged or diverges is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.commands.exits import BAD_CONFIG, BAD_MODEL, OK
from app.runs import learning
from app.runs.directory import open_run
from app.runs.evaluation import evaluate
from app.runs.settings import resolve
from app.runs.training import train_run
from app.runs.verdict import A_LITTLE_WORSE, CHANCE, NOT_PERSONAL, WORSE
from data.schema import Dataset
from data.simulator import simulate
from data.storage import read, write
from federated.algorithms import ALGORITHMS
from ranking.models import NeuralModel
from ranking.persistence import save
from ranking.rankers.network import Layout
from ranking.sources import Log

Cli = Callable[..., Any]
UPDATES = 160
rows = pytest.mark.parametrize("name", ALGORITHMS)
PERSONAL = [name for name in ALGORITHMS if resolve({"algorithm": name}, {}).personal]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve users of tastes so different that little training shows them."""
    out = tmp_path_factory.mktemp("people") / "d"
    write(simulate(users=12, seed=0, strength=1), out)
    return out


@pytest.fixture(scope="module")
def dataset(people: Path) -> Dataset:
    return read(people)


@pytest.fixture(scope="module")
def healthy(people: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A run of each row, trained when it is first asked for."""
    runs: dict[str, Path] = {}

    def trained(name: str) -> Path:
        if name not in runs:
            runs[name] = tmp_path_factory.mktemp("healthy") / name
            settings = resolve({"algorithm": name, "updates": UPDATES, "evaluations": 0}, {})
            train_run(settings, people, dataset, runs[name], lambda event: None)
        return runs[name]

    return trained


def kinds(warnings: list[dict[str, str]]) -> set[str]:
    return {warning["kind"] for warning in warnings}


def judged(run: Path) -> set[str]:
    """The kinds of what `evaluate` says is wrong with a run."""
    (of_run,) = evaluate([run], None, "test")
    return kinds(of_run.doubts)


def overwritten(run: Path, out: Path, dataset: Dataset, change: Callable[[Tensor], Tensor]) -> Path:
    """A copy of a run whose parameters are others."""
    shutil.copytree(run, out)
    opened = open_run(out)
    model = opened.model(Log(dataset))
    assert isinstance(model, NeuralModel)
    common, personal = (None if w is None else change(w) for w in (model.common, model.personal))
    save(NeuralModel(model.network, common, personal), out, opened.settings.ranker_name)
    return out


def unfolded(text: str) -> str:
    return " ".join(text.split())


@rows
def test_a_model_that_learns_is_not_accused(name: str, healthy: Cli) -> None:
    run = open_run(healthy(name))
    assert run.summary["warnings"] == run.summary["notes"] == []
    assert run.summary["validation_nmrr"]["personal"] > run.summary["validation_nmrr"]["random"] + 0.1
    assert judged(run.directory) == set()


@rows
def test_a_model_that_knows_nothing_is_named(
    name: str, healthy: Cli, people: Path, dataset: Dataset, tmp_path: Path, cli: Cli, monkeypatch: Any
) -> None:
    constant = overwritten(healthy(name), tmp_path / "constant", dataset, torch.zeros_like)
    assert judged(constant) == {CHANCE}

    monkeypatch.setattr(Layout, "initial", lambda self, draw: torch.zeros(self.size))  # no slope but the bias
    options = ("--algorithm", name, "--updates", "24", "--evaluations", "0", "--set", "batch_size=5")
    called = cli("train", "--data", people, "--out", tmp_path / "run", *options)
    assert called.code == BAD_MODEL
    assert "no better than chance (NMRR +0.0000, 95 % +0.0000 to +0.0000, over 12 users)." in called.err
    usual = ALGORITHMS[name].local.batch_size
    assert called.err.endswith(f"Not at their defaults: batch_size = 5 (default {usual}).\n")


def exchanged(w: Tensor) -> Tensor:
    """Everybody gets the next one's model; a common model stays."""
    return w.roll(1, 0) if w.dim() == 2 else w


@pytest.mark.parametrize("name", PERSONAL)
def test_models_that_have_been_exchanged_are_named(
    name: str, healthy: Cli, dataset: Dataset, tmp_path: Path
) -> None:
    run = overwritten(healthy(name), tmp_path / "run", dataset, exchanged)
    assert judged(run)
    assert judged(run) <= {WORSE, A_LITTLE_WORSE, NOT_PERSONAL}


@pytest.mark.parametrize("name", ["local", "reptile", "persa-fl-me", "pars-push-me"])
def test_training_names_models_that_it_has_exchanged(
    name: str, people: Path, dataset: Dataset, tmp_path: Path, monkeypatch: Any
) -> None:
    """One of each kind: alone, with a common model and without one."""

    def exchanging(network: Any, common: Tensor | None, personal: Tensor | None) -> NeuralModel:
        return NeuralModel(network, common, None if personal is None else exchanged(personal))

    monkeypatch.setattr(learning, "NeuralModel", exchanging)
    settings = resolve({"algorithm": name, "updates": UPDATES, "evaluations": 0}, {})
    summary = train_run(settings, people, dataset, tmp_path / "run", lambda event: None)
    assert kinds(summary["warnings"] + summary["notes"])
    assert kinds(summary["warnings"] + summary["notes"]) <= {WORSE, A_LITTLE_WORSE, NOT_PERSONAL}


@rows
def test_a_model_that_diverges_is_named(name: str, people: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("--algorithm", name, "--updates", "120", "--evaluations", "0", "--set", "lr=1000")
    called = cli("train", "--data", people, "--out", tmp_path / "run", *options)
    adam = getattr(ALGORITHMS[name].schedule, "server_optimiser", "") == "adam"
    if called.code == OK and adam:  # whose steps are no longer than others, however long updates are
        nmrr = open_run(tmp_path / "run").summary["validation_nmrr"]
        assert nmrr["personal"] > nmrr["random"] + 0.1
    elif called.code == OK:  # it ranks by little more than where it was thrown, everybody alike
        assert f"Note: the users' own models rank {NOT_PERSONAL}" in unfolded(called.out)
    else:
        assert called.code in (BAD_CONFIG, BAD_MODEL), called.out
        assert "lr = 1000.0 (default" in called.err
