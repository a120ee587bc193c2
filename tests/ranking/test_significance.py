"""Intervals, p-values and their correction: beside scipy, the one-column bootstrap, and by hand."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from ranking import significance
from ranking.metrics import paired_bootstrap
from ranking.significance import bootstrap, holm, sign_flips


def draws(users: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.5, size=(users, columns))


@pytest.mark.parametrize("cells", [10**9, 1000])
def test_many_columns_are_as_one_by_one(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    """However many resamples are in memory at once."""
    monkeypatch.setattr(significance, "CELLS", cells)
    values = draws(17, 3)
    mean, low, high = bootstrap(values, resamples=500)
    for column in range(3):
        told = paired_bootstrap(values[:, column], resamples=500)
        assert (mean[column], low[column], high[column]) == pytest.approx(tuple(told.values()), abs=1e-12)


def test_users_who_are_not_there_do_not_count() -> None:
    values = draws(30, 2)
    values[5:, 1] = np.nan
    mean, low, high = bootstrap(values, resamples=4000)
    assert mean[1] == pytest.approx(values[:5, 1].mean())
    random = np.random.default_rng(1)
    means = []
    for _ in range(4000):
        drawn = values[random.integers(30, size=30), 1]
        if np.isfinite(drawn).any():
            means.append(np.nanmean(drawn))
    assert (low[1], high[1]) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.05)


def test_one_user_has_no_interval_and_nobody_no_mean() -> None:
    values = np.full((3, 2), np.nan)
    values[1, 0] = 0.5
    mean, low, high = bootstrap(values, resamples=50)
    assert mean[0] == 0.5
    assert np.isnan([mean[1], *low, *high]).all()


def test_all_flips_of_few_users_are_scipys() -> None:
    values = draws(9, 4)
    values[:, 3] = 0
    p = sign_flips(values)
    for column in range(3):
        pair = (values[:, column], np.zeros(9))
        exact = permutation_test(
            pair, lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=np.inf
        )
        assert p[column] == pytest.approx(exact.pvalue, abs=1e-12)
    assert p[3] == 1, "no difference is no evidence"


def test_drawn_flips_of_many_users_are_about_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    values = draws(40, 2, seed=3) - 0.05
    pair = (values[:, 0], np.zeros(40))
    drawn = permutation_test(
        pair, lambda a, b, axis: (a - b).mean(axis), permutation_type="samples", vectorized=True, rng=0
    )
    p = sign_flips(values)
    assert 0.01 < p[0] < 0.9, "an example that says nothing"
    assert p[0] == pytest.approx(drawn.pvalue, abs=0.02)
    assert sign_flips(np.ones((40, 1))) == pytest.approx(1 / 10_001), "never 0"
    monkeypatch.setattr(significance, "CELLS", 1000)
    assert sign_flips(values).tolist() == p.tolist(), "however many are in memory at once"


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])
