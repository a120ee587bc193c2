"""Forests of users' candidates: how many of them a tree is grown on."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from ranking.rankers.forest import FittedForest, Forest
from ranking.slates import Slates, StoredSlates


def fitted(slates: StoredSlates, loss: str, **settings: int) -> FittedForest:
    forest = Forest(n_estimators=4, **settings).fit(slates, loss, 7)
    assert isinstance(forest, FittedForest)
    return forest


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_a_tree_is_grown_on_so_many_candidates(tiny_slates: Slates, loss: str) -> None:
    slates = StoredSlates.of(tiny_slates)
    some = fitted(slates, loss, max_samples=300)
    assert [tree.tree_.weighted_n_node_samples[0] for tree in some.forest.estimators_] == [300] * 4


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_where_there_are_fewer_it_is_scikit_learns_own_bootstrap(tiny_slates: Slates, loss: str) -> None:
    slates = StoredSlates.of(tiny_slates)
    rows, position = slates.features.numpy(), slates.position.numpy()
    target = position > 0 if loss == "bce" else np.where(position > 0, 1 / np.maximum(position, 1), 0)
    kind = RandomForestClassifier if loss == "bce" else RandomForestRegressor
    direct = kind(4, min_samples_leaf=5, max_features=0.4, random_state=7).fit(rows, target)
    assert len(rows) < Forest().max_samples
    for settings in ({}, {"max_samples": len(rows)}):
        ours = fitted(slates, loss, **settings).forest
        assert np.array_equal(ours.predict(rows), direct.predict(rows))
