"""A run keeps its last model or the best on validation, and says which, where and how good it was."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.runs import learning
from app.runs.checks import ConfigError
from app.runs.directory import open_started
from app.runs.given import read_toml
from app.runs.settings import resolve
from app.runs.training import UnfinishedError, resume_run, train_run
from data.schema import Dataset
from federated.events import Event, Merged
from federated.tasks.ranking import RankingTask
from ranking.slates import StoredSlates

Cli = Callable[..., Any]
SHORT = {"algorithm": "fedavg", "updates": 200, "evaluations": 10}
PEAK = 3
"""The validation whose figure is the greatest, wherever `peaking` has its say."""

Peaking = Callable[[], None]


@pytest.fixture
def peaking(monkeypatch: pytest.MonkeyPatch) -> Peaking:
    """Call it before a training, whose validations on the way then rise up to one, and fall after that."""

    def begin() -> None:
        numbers = count(1)

        def evaluate(self: RankingTask, w: Tensor) -> dict[str, float]:
            return {"loss": 1.0, "nmrr": 0.9 - 0.01 * abs(next(numbers) - PEAK)}

        monkeypatch.setattr(RankingTask, "evaluate", evaluate)

    return begin


def ignore(event: Event) -> None:
    pass


def judged(run: Path) -> list[tuple[int, float]]:
    """(updates, NMRR) of every validation on the way."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(e["updates"], e["metrics"]["nmrr"]) for e in lines if e["event"] == "evaluated"]


def models(place: Path, run: str) -> bytes:
    """The parameters that a run has saved, all of them."""
    return (place / run / "model.safetensors").read_bytes()


def unfolded(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("algorithm", ["fedavg", "local", "pars-push-me", "persa-fl-me"])
def test_the_best_is_kept_and_told(
    algorithm: str, tiny: Path, tiny_dataset: Dataset, tmp_path: Path, peaking: Peaking
) -> None:
    """Of users who have no common model the whole of their own ones is the best."""
    settings = resolve(SHORT | {"algorithm": algorithm, "keep": "best"}, {})
    peaking()
    summary = train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)
    updates, figure = judged(tmp_path / "run")[PEAK - 1]
    assert updates < summary["updates"]
    assert summary["kept"] == {"asked": "best", "which": "best", "updates": updates, "nmrr": figure}
    assert figure == 0.9
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["kept"] == summary["kept"]
    until = resolve(SHORT | {"algorithm": algorithm, "updates": updates, "keep": "last"}, {})
    train_run(until, tiny, tiny_dataset, tmp_path / "until", ignore)
    assert models(tmp_path, "run") == models(tmp_path, "until"), "the model of that moment, and all from it"


def test_the_last_is_kept_where_that_is_asked(
    tiny: Path, tiny_dataset: Dataset, tmp_path: Path, peaking: Peaking
) -> None:
    settings = resolve(SHORT | {"keep": "last"}, {})
    summary = train_run(settings, tiny, tiny_dataset, tmp_path / "true", ignore)
    kept = summary["kept"]
    assert (kept["asked"], kept["which"], kept["updates"]) == ("last", "last", summary["updates"])
    updates, figure = judged(tmp_path / "true")[-1]
    assert updates == summary["updates"]
    assert kept["nmrr"] == pytest.approx(figure, abs=1e-9)
    peaking()
    train_run(settings, tiny, tiny_dataset, tmp_path / "peaking", ignore)
    assert models(tmp_path, "true") == models(tmp_path, "peaking")


def test_a_run_that_was_stopped_and_resumed_keeps_the_same(
    tiny: Path, tiny_dataset: Dataset, tmp_path: Path, peaking: Peaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resolve(SHORT | {"algorithm": "persa-fl-me", "keep": "best"}, {})
    peaking()
    whole = train_run(settings, tiny, tiny_dataset, tmp_path / "whole", ignore)
    best = whole["kept"]["updates"]
    seen = [0]

    def watch(event: Event) -> None:
        if isinstance(event, Merged):
            seen[0] = event.updates

    peaking()
    with monkeypatch.context() as patch:
        patch.setattr("app.runs.stop.Stop.asked", lambda self: seen[0] >= best + 30)
        with pytest.raises(UnfinishedError) as stopped:
            train_run(settings, tiny, tiny_dataset, tmp_path / "run", watch)
    assert stopped.value.summary is not None
    assert stopped.value.summary["kept"]["updates"] == best
    resumed = resume_run(open_started(tmp_path / "run"), tiny_dataset, ignore, pytest.fail)
    assert resumed["kept"] == whole["kept"]
    assert models(tmp_path, "run") == models(tmp_path, "whole")


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
    slates = learning.slates_of

    def without(*given: Any) -> list[StoredSlates]:
        train, validation = slates(*given)
        return [train, validation.subset(torch.arange(0))]

    monkeypatch.setattr(learning, "slates_of", without)
    settings = resolve(SHORT | {"updates": 40, "keep": keep}, {})
    summary = train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)
    assert summary["kept"] == {"asked": keep, "which": "last", "updates": 40, "nmrr": None}
    assert judged(tmp_path / "run") == []


def test_it_is_printed_and_can_be_asked_for(tiny: Path, tmp_path: Path, cli: Cli, peaking: Peaking) -> None:
    options = ("--algorithm", "fedavg", "--updates", 80, "--evaluations", 4)
    for keep, told in (("last", "The last model"), ("best", "The model that was best on validation")):
        peaking()
        called = cli("train", "--data", tiny, "--out", tmp_path / keep, *options, "--keep", keep)
        kept = json.loads((tmp_path / keep / "summary.json").read_text())["kept"]
        sentence = f"{told} is kept, that after {kept['updates']} updates, with NMRR {kept['nmrr']:.4f}."
        assert sentence in unfolded(called.out)
    refused = cli("train", "--data", tiny, "--out", tmp_path / "run", *options, "--keep", "bets")
    assert refused.code == 4
    assert "unknown model to keep 'bets'; did you mean 'best'?" in refused.err


def test_it_is_a_setting_of_the_run(tmp_path: Path) -> None:
    assert resolve({}, {}).keep == "best"
    chosen = resolve({"keep": "last"}, {})
    (tmp_path / "config.toml").write_text(chosen.to_toml({}))
    assert resolve(*read_toml(tmp_path / "config.toml")) == chosen
    with pytest.raises(ConfigError, match="unknown model to keep 3; known are last, best"):
        resolve({"keep": 3}, {})


def test_trees_are_fitted_and_keep_what_they_are(tiny: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = resolve({"algorithm": "pooled", "ranker": "forest", "keep": "best"}, {"n_estimators": 2})
    assert train_run(settings, tiny, tiny_dataset, tmp_path / "run", ignore)["kept"] is None
