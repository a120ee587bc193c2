"""RESULTS.md: what it says of how an experiment was made, over several calls."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.experiments import account
from app.experiments.account import Experiment


@dataclass(frozen=True)
class Scale:
    seeds: tuple[int, ...] = (0, 1)
    users: int = 5


def experiment(make: Callable[..., dict[str, Any]]) -> Experiment:
    return Experiment("T", "Why?", "k.", "u.", Scale(), Scale(), make, lambda r: f"| {r['x']} |", {"f": "F"})


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is 90 seconds after the one before."""
    now = iter(range(0, 10_000, 90))
    monkeypatch.setattr(account, "monotonic", lambda: float(next(now)))


def made(out: Path, make: Callable[..., dict[str, Any]]) -> str:
    account.make(out, experiment(make), Scale(), {}, "persarank reproduce t", lambda told: None)
    return (out / "RESULTS.md").read_text()


def finished(out: Path, scale: Any, tell: Any) -> dict[str, Any]:
    return {"x": 0.5}


def interrupted(out: Path, scale: Any, tell: Any) -> dict[str, Any]:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("minutes")
def test_time_is_that_of_all_calls(tmp_path: Path) -> None:
    page = made(tmp_path, finished)
    assert "- Time: 1.5 minutes.\n" in page
    assert "- Scale: seeds = 0 / 1, users = 5.\n" in page
    assert "    persarank reproduce t\n" in page
    assert "| 0.5 |\n" in page
    assert "![F](f.svg)" in page
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, interrupted)
    assert (tmp_path / "RESULTS.md").read_text() == page
    assert "- Time: 4.5 minutes, in 3 calls.\n" in made(tmp_path, finished)


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("content", [b"{", b"[]", json.dumps({"seconds": "x", "calls": 1}).encode()])
def test_a_damaged_record_of_time_is_begun_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_bytes(content)
    assert "- Time: 1.5 minutes.\n" in made(tmp_path, finished)
