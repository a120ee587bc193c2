"""A few judged runs on twenty users, and all that a report says of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.reports.evidence import figures
from app.reports.evidence.gathering import Gathered, gather
from app.runs.settings import resolve
from app.runs.training import train_run
from data.schema import Dataset

Train = Callable[..., Path]
TRAINED = {
    "me-0": {"algorithm": "persa-fl-me", "seed": 0},
    "me-1": {"algorithm": "persa-fl-me", "seed": 1},
    "fedavg": {"algorithm": "fedavg", "evaluations": 0},
    "local": {"algorithm": "local"},
    "forest": {"algorithm": "pooled", "ranker": "forest"},
}


@pytest.fixture(scope="session")
def runs(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seeds of one ranker, and three other rankers."""
    place = tmp_path_factory.mktemp("runs")
    for name, given in TRAINED.items():
        settings = resolve({"updates": 60, "evaluations": 3, **given}, {})
        train_run(settings, tiny, tiny_dataset, place / name, lambda event: None)
    return {name: place / name for name in TRAINED}


@pytest.fixture(scope="session")
def gathered(runs: dict[str, Path]) -> Gathered:
    return gather(list(runs.values()))


@pytest.fixture(scope="session")
def told(gathered: Gathered) -> dict[str, Any]:
    """The figures of a report on all runs."""
    return figures.report(gathered, "test")


@pytest.fixture
def copies(runs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same runs, to spoil."""
    return {name: Path(shutil.copytree(run, tmp_path / name)) for name, run in runs.items()}
