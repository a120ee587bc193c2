"""Compiled code is kept for the next start, and never for other sources."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from ranking.kernels import compiling


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, beside which compiled code is kept."""
    copied = tmp_path / "kernels"
    shutil.copytree(compiling.HERE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiling, "HERE", copied)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    compiling._folder.cache_clear()
    yield copied
    compiling._folder.cache_clear()


def folder() -> Path:
    compiling._folder.cache_clear()
    kept = compiling._folder()
    assert kept is not None
    return kept


def test_the_content_of_any_file_changes_the_folder(sources: Path) -> None:
    """Numba itself looks at one file only, and would run old code of a function called from another."""
    before = folder()
    assert before == folder()
    assert before.is_dir()
    assert before.parent == sources / "__pycache__"
    seen = {before}
    for path in sorted(sources.glob("*.py")):
        content = path.read_bytes()
        path.write_bytes(content + b"# changed\n")
        seen.add(folder())
        path.write_bytes(content)
    assert len(seen) == 1 + len(list(sources.glob("*.py"))) > 5
    assert folder() == before, "the same content, the same folder"


def test_where_the_sources_cannot_be_written_beside_it_is_the_users_cache(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "__pycache__").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert folder().parent == tmp_path / "cache/persarank"
    monkeypatch.setenv("XDG_CACHE_HOME", str(sources / "__pycache__"))
    compiling._folder.cache_clear()
    assert compiling._folder() is None
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "given"))
    assert folder().parent == tmp_path / "given"
