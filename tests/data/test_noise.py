"""What noise does, measured: its scale, what one user's things reach, and if neighbours can be told apart."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from data.noise import disturbed, passing
from data.privacy import Budget, Spending, plan

pytest.importorskip("opendp", reason="needs the extra privacy")

THINGS = 4
BUDGET = Budget(1.0, 0.02, THINGS)


def spent_with(noise: float, threshold: int) -> Spending:
    return Spending("queries", 1.0, 1.0, 1e-3, noise, 3 * noise, threshold)


def test_the_scale_of_noise() -> None:
    """Standard deviations and means of thousands of draws, within five standard errors."""
    size = 10_000
    users = np.array(list(passing(dict.fromkeys(range(size), 1000), spent_with(5.0, 1)).values()))
    counts = disturbed(np.full(size, 1000), 15.0)
    for drawn, noise in ((users, 5.0), (counts, 15.0)):
        assert len(drawn) == size
        assert abs(drawn.mean() - 1000) < 5 * noise / math.sqrt(size)
        assert drawn.std() == pytest.approx(noise, rel=5 / math.sqrt(2 * size))


def test_only_what_reaches_the_threshold_is_kept_and_in_order() -> None:
    found = passing({7: 100, 3: 100, 5: 1}, spent_with(0.5, 50))
    assert list(found) == [3, 7]
    assert min(found.values()) >= 50
    assert passing({}, spent_with(0.5, 50)) == {}
    assert len(disturbed(np.zeros(0, np.int64), 1.0)) == 0


def test_noise_is_never_repeated() -> None:
    """Seeds of numpy and Python have nothing to do with it."""
    drawn = set()
    for _ in range(2):
        np.random.seed(0)
        drawn.add(tuple(passing(dict.fromkeys(range(100), 1000), spent_with(9.0, 1)).values()))
    assert len(drawn) == 2


def test_what_one_user_alone_has_is_hardly_ever_released() -> None:
    """Of a user with L things of their own any is released with probability δ at most, and nearly that."""
    spent = plan(BUDGET, "queries", 1.0)
    users = 8000
    found = passing(dict.fromkeys(range(THINGS * users), 1), spent)
    share = len({thing // THINGS for thing in found}) / users
    error = math.sqrt(spent.delta / users)
    assert share < spent.delta + 4 * error
    assert share > spent.delta / 3 - 4 * error, "the threshold is higher than it need be"


def bound(noise: float) -> float:
    """A lower bound of ε, at a confidence of 99.9 %, for a user with L things that others have too.

    The event is that of all outcomes whose sum exceeds what is best for the attacker, as the exact
    distribution says; it is then judged by draws alone.
    """
    others, draws = 1000, 6000
    spent = spent_with(noise, 1)
    sums = []
    for one in (0, 1):
        drawn = passing(dict.fromkeys(range(THINGS * draws), others + one), spent)
        sums.append(np.array(list(drawn.values())).reshape(draws, THINGS).sum(axis=1) - THINGS * others)
    events = [t for t in range(-200, 200) if (sums[0][::2] >= t).sum() > 20]
    odds = [((sums[1][::2] >= t).mean() - BUDGET.delta) / (sums[0][::2] >= t).mean() for t in events]
    event = events[int(np.argmax(odds))]
    without, within = ((s[1::2] >= event).sum() for s in sums)
    half = draws // 2
    low = beta.ppf(0.0005, within, half - within + 1)
    high = beta.ppf(0.9995, without + 1, half - without)
    return math.log(max(low - BUDGET.delta, 1e-9) / high)


def test_neighbours_cannot_be_told_apart_better_than_epsilon() -> None:
    noise = plan(BUDGET, "queries", 1.0).noise
    assert bound(noise) < BUDGET.epsilon


def test_the_measurement_would_notice_too_little_noise() -> None:
    noise = plan(BUDGET, "queries", 1.0).noise
    assert bound(noise / 4) > BUDGET.epsilon
