"""Lists keep the order of scores, in 32 bits too; the order of ties knows nothing of what is wanted."""

import numpy as np
import pytest
import torch

from ranking.metrics import slate_metrics
from ranking.ordering import lists
from ranking.slates import Slates


def by_slate(values: np.ndarray, slate: np.ndarray) -> list[list[float]]:
    return [values[slate == s].tolist() for s in np.unique(slate)]


def test_two_lists_by_hand(make_slates) -> None:
    slates = make_slates([[0, 1, 2], [0, 0, 1, 2]])
    scores = torch.tensor([[0.5, 0.25, 1.0, 9.0], [1.0, 2.0, 1.0, -1.0]])
    found = lists(scores, slates, np.array([4, 9]))
    assert by_slate(found.rank, found.slate) == [[1, 2, 3], [1, 2, 3, 4]]
    first, second = by_slate(found.candidate, found.slate)
    assert first == [2, 0, 1]
    assert (second[0], sorted(second[1:3]), second[3]) == (1, [0, 2], 3)
    one, other = by_slate(found.score, found.slate)
    assert one == [1, 0.5, 0.25]
    assert (other[:2], other[3]) == ([2, 1], -1)
    assert other[2] == np.nextafter(np.float32(1), np.float32(0))
    assert found.tied.tolist() == [0, 2]
    assert found.choice_tied.tolist() == [False, True]
    assert found.choice_place.tolist() == [3, 2.5]


@pytest.mark.parametrize("scale", [0, 1e-45, 1e-30, 1, 1e-12, 1e30])
def test_scores_go_down_strictly_in_32_bits_and_keep_the_order(make_slates, scale: float) -> None:
    """Scores that 32-bit numbers cannot tell apart, around 0 and elsewhere."""
    rng = np.random.default_rng(0)
    size, base = 60, 1 if scale == 1e-12 else 0
    slates = make_slates([[1] + [0] * (size - 1)] * 20)
    scores = torch.from_numpy(base + scale * rng.integers(-20, 20, (20, size)).astype(np.float64))
    found = lists(scores, slates, np.arange(20))
    for s in range(20):
        mine = found.slate == s
        written = found.score[mine]
        assert (np.diff(written) < 0).all()
        assert not ((np.abs(written) < np.finfo(np.float32).tiny) & (written != 0)).any(), (
            "flushed to 0 by some"
        )
        kept = scores[s].numpy()[found.candidate[mine]]
        assert (np.diff(kept) <= 0).all()
        assert np.allclose(written, kept, rtol=1e-5, atol=1e-36)
        again = np.array([float(str(w)) for w in written]).astype(np.float32)
        assert np.array_equal(again, written)


def test_a_miss_has_no_place_and_nan_is_not_one(make_slates) -> None:
    found = lists(torch.zeros(2, 2), make_slates([[0, 0], [2, 0]], wanted=[1, 2]), np.arange(2))
    assert np.isnan(found.choice_place).all()
    assert found.choice_tied.tolist() == [False, False]


def test_the_order_of_ties_is_chance_wherever_the_choice_stands(make_slates) -> None:
    """Were it that of the pool, or of ids, a constant scorer would be perfect here, or always wrong."""
    number, size = 4000, 8
    for place in (0, size - 1):
        slates = make_slates([[int(i == place) for i in range(size)]] * number)
        found = lists(torch.zeros(number, size), slates, np.arange(number))
        rank = found.rank[found.candidate == place]
        assert np.bincount(rank)[1:] == pytest.approx(number / size, abs=5 * np.sqrt(number / size))
        expected = float(slate_metrics(torch.zeros(number, size), slates)["mrr@10"].mean())
        assert (1 / rank).mean() == pytest.approx(expected, abs=0.02)


def test_the_order_of_ties_does_not_depend_on_that_of_the_pool(make_slates) -> None:
    slates = make_slates([[1, 0, 0, 2, 0]] * 5)
    turned = torch.tensor([3, 1, 4, 0, 2])
    other = Slates(
        slates.features[:, turned],
        slates.mask,
        slates.position[:, turned],
        slates.wanted,
        slates.user,
        slates.candidates[:, turned],
        slates.typed,
    )
    numbers = np.arange(5) + 17
    scores = torch.zeros(5, 5)
    one, two = lists(scores, slates, numbers), lists(scores, other, numbers)
    assert np.array_equal(one.candidate, two.candidate)
