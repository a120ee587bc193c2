"""Sections of what becomes of updates: what is refused because nothing would read it, and what is told."""

from pathlib import Path
from typing import Any

import pytest

from app.runs.checks import ConfigError
from app.runs.given import read_toml
from app.runs.settings import resolve

PRIVATE = {"privacy.epsilon": 2.0, "privacy.delta": 1e-3}


def test_of_optional_sections_only_what_differs_is_told() -> None:
    asked = {"privacy.epsilon": 2.0, "privacy.delta": 1e-3, "privacy.noise": "banded"}
    changed = resolve({"algorithm": "fedavg"}, asked).changed()
    assert changed == {
        "privacy.epsilon": (2.0, None),
        "privacy.delta": (0.001, None),
        "privacy.noise": ("banded", "independent"),
        "shares": ("equal", "samples"),
    }


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (PRIVATE | {"privacy.band": 3}, "privacy.band"),
        (PRIVATE | {"privacy.noise": "banded", "privacy.leaves": 3}, "privacy.leaves"),
        (PRIVATE | {"privacy.clip_lr": 0.5}, "privacy.clip_lr"),
        (PRIVATE | {"privacy.bit_noise": 9.0}, "privacy.bit_noise"),
        ({"attack.share": 0.1, "attack.kind": "alie", "attack.scale": 2.0}, "attack.scale"),
        ({"attack.share": 0.1, "attack.kind": "scaled", "attack.tau": 2.0}, "attack.tau"),
        ({"attack.share": 0.1, "attack.kind": "ipm", "attack.sigma": 2.0}, "attack.sigma"),
        ({"defence.rule": "median", "defence.clip": 2.0}, "defence.clip"),
        ({"defence.rule": "clip", "defence.tau": 2.0}, "defence.tau"),
        ({"defence.rule": "nnm+krum", "defence.buffers": 9}, "defence.buffers"),
        ({"defence.rule": "clip+median", "defence.nu": 0.5}, "defence.nu"),
        ({"compression.top_k": 0.1, "compression.bucket": 9}, "compression.bucket"),
    ],
)
def test_what_would_change_nothing_is_refused(asked: dict[str, Any], name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{name} has no meaning where \w+ = .*: leave it out"):
        resolve({"algorithm": "fedavg"}, asked)
    del asked[name]
    path = tmp_path / "config.toml"
    path.write_text(resolve({"algorithm": "fedavg"}, asked).to_toml({}))
    assert resolve(*read_toml(path)).changed() == resolve({"algorithm": "fedavg"}, asked).changed()


def test_uploads_without_a_server_are_for_the_simulator() -> None:
    asked = {"compression.bits": 8, "attack.share": 0.1, "defence.rule": "clip", "defence.clip": 1.0}
    assert not resolve({"algorithm": "pars-push"}, asked).row.uploads.plain
    for key, value in (("compression.bits", 8), ("attack.share", 0.1)):
        with pytest.raises(ConfigError, match=f"{key.split('.')[0]} is simulated only"):
            resolve({"algorithm": "pars-push", "engine": "ray"}, {key: value})
    with pytest.raises(ConfigError, match="privacy needs a server"):
        resolve(
            {"algorithm": "pars-push"}, {"privacy.epsilon": 2.0, "privacy.delta": 1e-3, "privacy.clip": 1.0}
        )
