"""A run whose users have models of their own, and a service of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.runs.settings import resolve
from app.runs.training import train_run
from app.service.http import application
from app.service.limits import Limits
from app.service.serving import Serving
from app.service.store import Store, opened
from data.storage import read


@pytest.fixture(scope="package")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty simulated users, each with a model of their own."""
    out = tmp_path_factory.mktemp("served") / "run"
    settings = resolve(
        {"algorithm": "persa-fl-me", "updates": 60, "evaluations": 0}, {"lam": 3.0, "personal_samples": 5}
    )
    train_run(settings, tiny, read(tiny), out, lambda event: None)
    return out


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store") as kept:
        yield kept


@pytest.fixture
def serving(run: Path, store: Store) -> Serving:
    return Serving(run, store)


@pytest.fixture
def client(serving: Serving) -> TestClient:
    """As many requests as it likes."""
    return TestClient(application(serving, Limits(rate=1e6, burst=1e6)), raise_server_exceptions=False)
