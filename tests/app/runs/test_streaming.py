"""Training from slates on disk: the same bits as from memory, and nothing of them is left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

import app.runs.learning
import ranking.sources


def test_slates_on_disk_give_the_same_model(
    tiny: Path, tmp_path: Path, cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str) -> dict[str, bytes]:
        out = tmp_path / name
        called = cli("train", "--data", tiny, "--out", out, "--updates", 40, "--json")
        assert called.code == 0, called.err
        assert sorted(p.name for p in out.iterdir()) == [
            "config.toml",
            "metrics.jsonl",
            "model.json",
            "model.safetensors",
            "summary.json",
        ]
        return {file: (out / file).read_bytes() for file in ("metrics.jsonl", "model.safetensors")}

    in_memory = trained("memory")
    built = []
    build = ranking.sources.build
    monkeypatch.setattr(app.runs.learning, "IN_MEMORY", 0)
    monkeypatch.setattr(ranking.sources, "build", lambda *given: built.append(given[3]) or build(*given))
    assert trained("disk") == in_memory
    assert [place.name for place in built] == ["train", "validation"]
