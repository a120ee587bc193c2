"""A shared forest on disk: what was saved is what is loaded, and what would lead astray is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranking import shared_forest
from ranking.persistence import load, save
from ranking.rankers.trees import ModelError
from ranking.shared_forest import SharedForest
from ranking.slates import Slates

USERS = 2
FOREST = SharedForest(
    root=np.array([0, 3], np.int32),
    feature=np.array([1, -1, -1, 0, -1, 2, -1, -1], np.int32),
    threshold=np.array([0.5, 0, 0, 0, 0, -1, 0, 0], np.float32),
    left=np.array([1, 0, 0, 4, 0, 6, 0, 0], np.int32),
    vote=np.array([0, 0.1, 0.9, 0, 0.2, 0, 0.4, 0.6]),
    cell=np.array([0, 0, 1, 0, 0, 0, 1, 1], np.int32),
    evidence=np.arange(16, dtype=np.float32).reshape(USERS, 2, 2, 2),
    price=np.array([1.0, np.inf]),
)


def test_scores_by_hand() -> None:
    rows = np.array([[-1, 0.5, 0], [0, 0.4, -1], [0, 0.4, -1.5]], np.float32)
    p = np.array([(0.9 + 0.2) / 2, (0.1 + 0.6) / 2, (0.1 + 0.4) / 2])
    np.testing.assert_allclose(FOREST.votes(rows), p)
    user = np.array([0, 0, 1])
    own = [(2 / (3 + 1) + 4 / (5 + 1)) / 2, (0 / (1 + 1) + 6 / (7 + 1)) / 2, 0.0]
    scores = FOREST.own(rows, user, FOREST.price[:, None])[:, 0]
    np.testing.assert_allclose(scores, np.log(p / (1 - p)) + own)


def test_what_is_loaded_is_what_was_saved(tmp_path: Path, make_slates: Any) -> None:
    slates: Slates = make_slates([[1, 0, 0], [0, 1]] * 5, user=[0, 1] * 5)
    files = save(FOREST, tmp_path, "forest")
    assert list(files) == [shared_forest.FILE]
    back = load(tmp_path, "forest", None, USERS)
    assert back.has_common
    assert torch.equal(back.personal_scores(slates), FOREST.personal_scores(slates))
    common, ours = back.global_scores(slates), FOREST.global_scores(slates)
    assert common is not None
    assert ours is not None
    assert torch.equal(common, ours)
    assert not torch.equal(common, back.personal_scores(slates))


def changed(name: str, place: tuple[int, ...] | int, value: float) -> SharedForest:
    array = getattr(FOREST, name).copy()
    array[place] = value
    return replace(FOREST, **{name: array})


@pytest.mark.parametrize(
    ("forest", "message"),
    [
        (changed("left", 0, 10**6), "points outside itself"),
        (changed("left", 3, 7), "points outside itself"),
        (changed("left", 5, 3), "points outside itself"),
        (changed("left", 5, 5), "points outside itself"),
        (changed("left", 0, -1), "points outside itself"),
        (changed("root", 1, 8), "points outside itself"),
        (changed("root", 0, -1), "points outside itself"),
        (changed("cell", 1, 2), "points outside itself"),
        (changed("cell", 1, -1), "points outside itself"),
        (changed("vote", 1, np.nan), "predicts no number"),
        (changed("threshold", 0, np.inf), "predicts no number"),
        (changed("evidence", (0, 0, 0, 0), np.nan), "predicts no number"),
        (changed("evidence", (0, 0, 0, 1), -1), "predicts no number"),
        (changed("price", 0, 0), "predicts no number"),
        (changed("price", 0, np.nan), "predicts no number"),
        (replace(FOREST, vote=FOREST.vote[1:]), "other sizes"),
        (replace(FOREST, root=FOREST.root[:0]), "other sizes"),
        (replace(FOREST, root=FOREST.root[:1]), "other sizes"),
        (replace(FOREST, price=FOREST.price[:1]), "other sizes than 2 users"),
        (replace(FOREST, evidence=FOREST.evidence[0]), "other sizes"),
        (replace(FOREST, left=FOREST.left.astype(np.int64)), "not a forest"),
    ],
)
def test_what_would_lead_astray_is_refused(forest: SharedForest, message: str) -> None:
    assert shared_forest.load(FOREST.dump(), "sound", USERS).price[0] == 1
    with pytest.raises(ModelError, match=message):
        shared_forest.load(forest.dump(), "model", USERS)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00"])
def test_what_is_no_safetensors_file_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a readable"):
        shared_forest.load(content, "model", USERS)


def test_features_that_are_not_there_are_not_read() -> None:
    with pytest.raises(ModelError, match="asks for feature 2; there are 2"):
        FOREST.votes(np.zeros((4, 2), np.float32))
