"""Hosts in whose forks commands are killed, and runs that something has happened to, or nothing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.runs.settings import resolve
from app.runs.training import train_run
from app.suggestions.demo import VERSION
from app.suggestions.preparation import prepare
from data.schema import Dataset
from tests.e2e.crashes import OK, TRAIN, Crash, Host, crash_at, ignore, job


@pytest.fixture(scope="session")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two, for two at once; they only fork, so one pair is enough for all files."""
    with Host() as first, Host() as second:
        yield first, second


@pytest.fixture
def run_jobs(hosts: tuple[Host, Host]) -> Callable[..., tuple[list[int], str]]:
    """Run some jobs, and meanwhile another that must end well."""

    def call(*jobs: dict[str, Any], beside: list[object] | None = None) -> tuple[list[int], str]:
        if beside:
            hosts[1].start(job(beside))
        hosts[0].start(*jobs)
        result = hosts[0].ended()
        if beside:
            assert hosts[1].ended()[0] == [OK]
        return result

    return call


@pytest.fixture(scope="session")
def whole(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train_run(resolve(TRAIN, {}), tiny, tiny_dataset, out, ignore)
    return out


@pytest.fixture(scope="session")
def crashed(tiny: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, crashed after 70 updates; use `run`, a copy, to spoil."""
    out = tmp_path_factory.mktemp("crashed") / "run"
    with pytest.raises(Crash):
        train_run(resolve(TRAIN, {}), tiny, tiny_dataset, out, crash_at(70))
    return out


@pytest.fixture
def run(crashed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(crashed, tmp_path / "run"))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For PERSARANK_HOME: a small demo is prepared there."""
    home = tmp_path_factory.mktemp("home")
    prepare(home / f"demo-{VERSION}", users=5, updates=40)
    return home
