"""Cells of an experiment: the order of trainings, figures that are kept, and what diverges."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.experiments import cells
from app.experiments.cells import Cell, train
from app.experiments.children import ChildError
from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write

FINE = Cell("ditto", 12, {"cohort": 6, "lam": 3.0})


@pytest.fixture
def data(tmp_path: Path) -> dict[str, dict[int, Path]]:
    """Two seeds of one dataset."""
    write(simulate(6, 0), tmp_path / "data")
    return {"simulated": dict.fromkeys((0, 1), tmp_path / "data")}


def in_process(begun: list[str], failing: dict[str, ChildError]) -> Callable[..., dict[int, ChildError]]:
    """Stands for `run_all`, without children: it trains `FINE`, or fails as it is told to."""

    def run_all(commands: list[list[str]], tell: Any, *, forgiven: Any) -> dict[int, ChildError]:
        failed = {}
        for number, command in enumerate(commands):
            given = dict(word.lstrip("-").split("=", 1) for word in command if "=" in word)
            out, place = Path(given["out"]), Path(given["data"])
            begun.append(out.name)
            if out.name in failing:
                assert failing[out.name].code in forgiven
                failed[number] = failing[out.name]
                continue
            settings = resolve(FINE.options(int(given["seed"])), FINE.sets)
            train_run(settings, place, read(place), out, lambda event: None)
        return failed

    return run_all


def test_the_first_seed_comes_first_and_figures_are_kept(
    tmp_path: Path, data: dict[str, dict[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(cells, "run_all", in_process(begun, {}))
    wanted = {("simulated", name): FINE for name in ("a", "b")}
    runs = train(tmp_path, wanted, data, lambda told: None)
    assert begun == ["a-0", "b-0", "a-1", "b-1"]
    a, b = (runs["simulated", name] for name in ("a", "b"))
    assert a.test["personal"].shape == (6,), "seeds of one dataset see the same users"
    assert (a.test["global"] == b.test["global"]).all()
    assert 0 < a.validation() < 1
    again = train(tmp_path, wanted, data, lambda told: None)
    assert len(begun) == 4
    monkeypatch.setattr(cells, "judge", None)
    assert (again["simulated", "a"].test["personal"] == a.test["personal"]).all()


def test_what_diverges_is_marked_and_not_tried_again(
    tmp_path: Path, data: dict[str, dict[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    lost = {"a-1": ChildError("train", "the last 4 updates were refused (not finite).", 4)}
    monkeypatch.setattr(cells, "run_all", in_process(begun, lost))
    for _ in range(2):
        runs = train(tmp_path, {("simulated", "a"): FINE}, data, lambda told: None)
        assert runs["simulated", "a"].diverged
    assert begun == ["a-0", "a-1"]


def test_a_training_that_fails_otherwise_ends_the_experiment(
    tmp_path: Path, data: dict[str, dict[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {"a-0": ChildError("train", "unknown setting.", 4)}
    monkeypatch.setattr(cells, "run_all", in_process([], lost))
    with pytest.raises(ChildError, match="unknown setting"):
        train(tmp_path, {("simulated", "a"): replace(FINE)}, data, lambda told: None)
