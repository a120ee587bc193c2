"""A few judged runs on twenty users, and all that a report says of them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.reports.evidence import figures
from app.reports.evidence.gathering import Gathered, gather
from app.runs.settings import resolve
from app.runs.training import train_run
from data.schema import Dataset
from data.simulator import simulate
from data.storage import read, write

Train = Callable[..., Path]
TRAINED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "me-0": ({"algorithm": "persa-fl-me", "seed": 0}, {"lam": 3.0}),
    "me-1": ({"algorithm": "persa-fl-me", "seed": 1}, {"lam": 3.0}),
    "fedavg": ({"algorithm": "fedavg", "evaluations": 0}, {}),
    "local": ({"algorithm": "local"}, {}),
    "forest": ({"algorithm": "pooled", "ranker": "forest"}, {"n_estimators": 5}),
}


@pytest.fixture(scope="session")
def runs(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seeds of one ranker, and three other rankers."""
    place = tmp_path_factory.mktemp("runs")
    for name, (given, overrides) in TRAINED.items():
        settings = resolve({"updates": 60, "evaluations": 3, **given}, overrides)
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


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on data of its own, of three users; one of them has a hostile name."""
    place = tmp_path_factory.mktemp("hostile")
    dataset = simulate(users=3, seed=9)
    names = ["<script>alert(1)</script>", "a|b **bold** `c`\n[x](http://example.org)", "\u202eenola"]
    users = dataset.users.set_column(1, dataset.users.schema.field("name"), pa.array(names))
    write(replace(dataset, users=users), place / "data")
    settings = resolve({"algorithm": "persa-fl-me", "updates": 40, "evaluations": 2}, {"lam": 3.0})
    train_run(settings, place / "data", read(place / "data"), place / "run", lambda event: None)
    return place / "run"
