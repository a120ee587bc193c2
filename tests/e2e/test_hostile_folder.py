"""Every command that starts a process, called where files have the names of what it imports."""

import json
from pathlib import Path

import pytest

from tests.e2e.hostile import INSTALLED, OTHERS, OWN, lay, start

SMALL = """
from dataclasses import replace
import persarank
from app.experiments import grid
grid.SERVED = ("fedavg",)
SMALL = grid.Scale(users=5, seeds=(0,), updates=10, evaluations=2)
grid.EXPERIMENT = replace(grid.EXPERIMENT, quick=SMALL)
persarank.main()
"""
"""All experiments start their children in one place; this is the quickest."""


@pytest.mark.parametrize("on_path", [False, True], ids=["working directory", "PYTHONPATH"])
def test_reproduce(on_path: bool, tmp_path: Path) -> None:
    """What stands on PYTHONPATH on purpose, as another numpy, is the user's; our own names are ours."""
    traces = lay(tmp_path, OWN if on_path else OWN + OTHERS)
    path = f"{tmp_path}:" if on_path else None  # and its empty part is the working directory again
    command = ["reproduce", "persa-fl", "--quick", "--out", "o", "--json"]
    called = start(INSTALLED + SMALL, *command, cwd=tmp_path, path=path)
    out, err = called.communicate(timeout=300)
    assert called.returncode == 0, err
    assert json.loads(out) == json.loads((tmp_path / "o" / "result.json").read_text())
    assert not traces.exists(), traces.read_text()
