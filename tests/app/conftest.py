"""A small prepared demo, for tests of what people touch."""

from pathlib import Path

import pytest

from app.suggestions.preparation import prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five users, and the demo's two runs on them."""
    directory = tmp_path_factory.mktemp("demo")
    prepare(directory, users=5, updates=40)
    return directory
