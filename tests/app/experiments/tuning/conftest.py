"""Searches on a small dataset."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands.exits import OK
from app.experiments.tuning import search as tuning
from data.simulator import simulate
from data.storage import write
from tests.app.experiments.tuning.searching import CONFIG, Here

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    runner = Here()
    monkeypatch.setattr(tuning.tune, "__defaults__", (*tuning.tune.__defaults__[:-1], runner))
    return runner


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 8 users, for many trainings."""
    out = tmp_path_factory.mktemp("data") / "few"
    write(simulate(users=8, seed=0), out)
    return out


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of short trainings in the working directory."""
    (tmp_path / "small.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tune(cli: Cli, few: Path) -> Callable[..., dict[str, Any]]:
    """The result of a search that ends well."""

    def call(out: Path, *options: object, data: Path = few) -> dict[str, Any]:
        called = cli("tune", "--data", data, "--out", out, "--json", *options)
        assert called.code == OK, called.err
        return {**json.loads(called.out), "said": called.err}

    return call
