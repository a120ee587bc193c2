"""A run keeps its last model or the best on validation, and says which, where and how good it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from app.runs import learning
from app.runs.directory import open_started
from app.runs.given import read_toml
from app.runs.settings import ConfigError, resolve
from app.runs.training import UnfinishedError, resume_run, train_run
from data.schema import Dataset
from federated.training import Event, Merged
from ranking.slates import StoredSlates

Cli = Callable[..., Any]
SHORT = {"algorithm": "fedavg", "updates": 200, "evaluations": 10}
LARGE = {"lr": 0.08}
"""So large a step that the last model is not the best."""


def ignore(event: Event) -> None:
    pass


def judged(run: Path) -> list[tuple[float, int]]:
    """(NMRR, −updates) of every validation on the way: the greatest is the best, of equals the earliest."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(e["metrics"]["nmrr"], -e["updates"]) for e in lines if e["event"] == "evaluated"]


def unfolded(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("algorithm", ["fedavg", "local", "pars-push-me", "persa-fl-me"])
def test_the_best_is_kept_and_told(algorithm: str, tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Of users who have no common model the whole of their own ones is the best."""
    settings = resolve(SHORT | {"algorithm": algorithm, "keep": "best"}, LARGE)
    summary = train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)
    figure, updates = max(judged(tmp_path / "run"))
    assert summary["kept"]["asked"] == summary["kept"]["which"] == "best"
    assert summary["kept"]["updates"] == -updates < summary["updates"]
    assert summary["kept"]["nmrr"] == pytest.approx(figure, abs=1e-9)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["kept"] == summary["kept"]


def test_the_last_is_kept_unless_asked_otherwise(tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    summary = train_run(resolve(SHORT, LARGE), tiny, tiny_dataset, tmp_path / "run", ignore)
    last, best = judged(tmp_path / "run")[-1], max(judged(tmp_path / "run"))
    kept = summary["kept"]
    assert (kept["asked"], kept["which"], kept["updates"]) == ("last", "last", summary["updates"])
    assert kept["nmrr"] == pytest.approx(last[0], abs=1e-9)
    assert best > last


def test_a_run_that_was_stopped_and_resumed_keeps_the_same(
    tiny: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resolve(SHORT | {"algorithm": "persa-fl-me", "keep": "best"}, LARGE)
    whole = train_run(settings, tiny, tiny_dataset, tmp_path / "whole", ignore)
    best = whole["kept"]["updates"]
    seen = [0]

    def watch(event: Event) -> None:
        if isinstance(event, Merged):
            seen[0] = event.updates

    monkeypatch.setattr("app.runs.stop.Stop.asked", lambda self: seen[0] >= best + 30)
    with pytest.raises(UnfinishedError) as stopped:
        train_run(settings, tiny, tiny_dataset, tmp_path / "run", watch)
    monkeypatch.undo()
    assert stopped.value.summary is not None
    assert stopped.value.summary["kept"]["updates"] == best
    resumed = resume_run(open_started(tmp_path / "run"), tiny_dataset, ignore, pytest.fail)
    assert resumed["kept"] == whole["kept"]
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]


def test_where_nothing_was_judged_that_is_said(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("--algorithm", "fedavg", "--updates", 40, "--evaluations", 0, "--keep", "best")
    called = cli("train", "--data", tiny, "--out", tmp_path / "run", *options)
    assert called.code == 0
    told = "The last model is kept since none was validated on the way, that after 40 updates, with NMRR 0."
    assert told in unfolded(called.out)
    kept = json.loads((tmp_path / "run" / "summary.json").read_text())["kept"]
    assert (kept["asked"], kept["which"], kept["updates"]) == ("best", "last", 40)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_without_any_validation_slate_a_run_ends_with_the_last(
    keep: str, tiny: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slates = learning._slates

    def without(*given: Any) -> list[StoredSlates]:
        train, validation = slates(*given)
        return [train, validation.subset(torch.arange(0))]

    monkeypatch.setattr(learning, "_slates", without)
    settings = resolve(SHORT | {"updates": 40, "keep": keep}, {})
    summary = train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)
    assert summary["kept"] == {"asked": keep, "which": "last", "updates": 40, "nmrr": None}
    assert judged(tmp_path / "run") == []


def test_it_is_printed_and_can_be_asked_for(tiny: Path, tmp_path: Path, cli: Cli) -> None:
    options = ("--algorithm", "fedavg", "--updates", 80, "--evaluations", 4, "--set", "lr=0.08")
    for keep, told in (("last", "The last model"), ("best", "The model that was best on validation")):
        called = cli("train", "--data", tiny, "--out", tmp_path / keep, *options, "--keep", keep)
        kept = json.loads((tmp_path / keep / "summary.json").read_text())["kept"]
        sentence = f"{told} is kept, that after {kept['updates']} updates, with NMRR {kept['nmrr']:.4f}."
        assert sentence in unfolded(called.out)
    refused = cli("train", "--data", tiny, "--out", tmp_path / "run", *options, "--keep", "bets")
    assert refused.code == 4
    assert "unknown model to keep 'bets'; did you mean 'best'?" in refused.err


def test_it_is_a_setting_of_the_run(tmp_path: Path) -> None:
    assert resolve({}, {}).keep == "last"
    chosen = resolve({"keep": "best"}, {})
    (tmp_path / "config.toml").write_text(chosen.to_toml({}))
    assert resolve(*read_toml(tmp_path / "config.toml")) == chosen
    with pytest.raises(ConfigError, match="unknown model to keep 3; known are last, best"):
        resolve({"keep": 3}, {})


def test_trees_are_fitted_and_keep_what_they_are(tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = resolve({"algorithm": "pooled", "ranker": "forest", "keep": "best"}, {"n_estimators": 2})
    assert train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)["kept"] is None
