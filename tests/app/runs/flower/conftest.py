"""Data of users who live behind nodes."""

from pathlib import Path

import pytest

from data.public_counts import Bounds
from data.simulator import simulate
from data.storage import write


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve simulated users who make public only what they share."""
    out = tmp_path_factory.mktemp("shared") / "data"
    write(simulate(12, 3, bounds=Bounds(2, 50, 5)), out)
    return out
