"""Private trainings on nodes: the system's noise, a promise that is kept, nobody at work for nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("flwr", reason="the engine flower is not installed")

from app.runs.directory import read_metrics
from federated.engines.messages import Content
from tests.app.runs.flower.nodes import LocalPost, network, trained

Run = tuple[Path, dict[str, Any], LocalPost]
"""Its directory, its summary, and the nodes."""


def test_private_updates_are_clipped_on_nodes_and_noised_on_the_server(shared: Path, tmp_path: Path) -> None:
    """By the operating system's noise, so that no two runs are the same, whatever the seed."""
    models, longest = [], 0.0

    def listening(kind: str, content: Content) -> Content:
        nonlocal longest
        if kind == "updates":
            longest = max(
                longest, float(np.linalg.norm(content.arrays["deltas"].astype(float), axis=1).max())
            )
        return content

    private = {"privacy.epsilon": 4.0, "privacy.delta": 0.01, "privacy.clip": 0.05}
    for name in ("one", "other"):
        place = tmp_path / name
        place.mkdir()
        post = network(shared, 2, place)
        post.spoil = dict.fromkeys(post.configs, listening)
        chosen = {"algorithm": "fedavg", "overrides": private | {"cohort": 12}}
        summary = trained(post, shared, place / "run", 48, **chosen)
        told = summary["privacy"]
        assert (told["randomness"], told["last_clip"], told["most_participations"]) == ("system", 0.05, 4)
        assert told["spent_epsilon"] == pytest.approx(4)
        models.append(load_file(place / "run" / "model.safetensors"))
    assert 0.04 < longest <= 0.05
    assert not all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_a_private_run_goes_on_with_the_nodes_that_are_there(shared: Path, tmp_path: Path) -> None:
    """What was promised to twelve users is kept, where four of them are there when it goes on."""
    post = network(shared, 3, tmp_path)
    banded = {"privacy.noise": "banded", "privacy.band": 2, "privacy.participations": 5}
    private = {"privacy.epsilon": 4.0, "privacy.delta": 0.01} | banded
    chosen = {"algorithm": "fedavg", "overrides": private | {"cohort": 6}}
    first = trained(post, shared, tmp_path / "run", 60, until=12, **chosen)
    for node in (2, 3):
        del post.configs[node]
    summary = trained(post, shared, tmp_path / "run", 60)
    assert summary["finished"] is True
    told = summary["privacy"]
    assert [told[name] for name in ("participations", "noise_multiplier", "updates_in_a_merge")] == [
        first["privacy"][name] for name in ("participations", "noise_multiplier", "updates_in_a_merge")
    ]
    assert told["most_participations"] <= 5


def test_nobody_computes_for_nothing_while_users_of_other_nodes_are_free(
    shared: Path, tmp_path: Path
) -> None:
    """A third of the users in a round, and a band of two: whoever rests is replaced by users elsewhere."""
    post = network(shared, 3, tmp_path)
    private = {"privacy.epsilon": 4.0, "privacy.delta": 0.01, "privacy.noise": "banded", "privacy.band": 3}
    overrides = private | {"cohort": 4, "privacy.participations": 9}
    trained(post, shared, tmp_path / "run", 60, algorithm="fedavg", overrides=overrides)
    merged = [event for event in read_metrics(tmp_path / "run") if event["event"] == "merged"]
    assert [len(event["users"]) for event in merged] == [4] * 15
    assert not any(event["refused"] for event in merged)
