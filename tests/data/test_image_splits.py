"""Splits of images: no image in two hands, the counts that were published, every seed another deal."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from data import image_splits
from data.image_splits import LEAST, SPLITS, Size, Split, split
from data.schema import DataError

SIZE = Size(a=8, per_class=60, tested=4)
Y_TRAIN, Y_TEST = np.arange(2400) % 10, np.arange(1200) % 10

splits = pytest.mark.parametrize("name", SPLITS)


def require_no_leak(hands: Split) -> None:
    """Fail if an image is in two hands, or in two parts of one user's."""
    learned = np.concatenate([*hands.train, *hands.validation])
    tested = np.concatenate(hands.test)
    assert len(np.unique(learned)) == len(learned), "a training image is in two hands"
    assert len(np.unique(tested)) == len(tested), "a test image is in two hands"


@splits
@pytest.mark.parametrize("seed", [0, 1])
def test_no_image_is_in_two_hands(name: str, seed: int) -> None:
    require_no_leak(split(name, Y_TRAIN, Y_TEST, SIZE, seed))


@splits
@pytest.mark.parametrize("labels", [Y_TRAIN, Y_TEST], ids=["train", "test"])
def test_a_deal_that_shares_images_would_be_seen(
    name: str, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As each user draws for themselves in public implementations."""
    honest: Callable[..., Any] = image_splits._deal

    def sharing(given: Any, label: int, counts: Any, draw: Any) -> Any:
        if given is not labels:
            return honest(given, label, counts, draw)
        there = np.flatnonzero(given == label)
        return [draw.choice(there, count, replace=False) for count in counts]

    monkeypatch.setattr(image_splits, "_deal", sharing)
    with pytest.raises(AssertionError, match="two hands"):
        require_no_leak(split(name, Y_TRAIN, Y_TEST, SIZE, 0))


def counted(hands: tuple[Any, ...], labels: Any) -> Any:
    return np.array([np.bincount(labels[hand], minlength=10) for hand in hands])


def test_the_split_of_per_fedavg_has_the_counts_of_its_paper() -> None:
    hands = split("per-fedavg", Y_TRAIN, Y_TEST, SIZE, 0)
    held = counted(hands.train, Y_TRAIN) + counted(hands.validation, Y_TRAIN)
    assert held.shape == (50, 10)
    assert (held[:25] == [8] * 5 + [0] * 5).all()
    low, high = held[25:, :5], held[25:, 5:]
    assert (np.sort(low, axis=1) == [0, 0, 0, 0, 4]).all()
    assert (np.sort(high, axis=1) == [0, 0, 0, 0, 16]).all()
    pairs = set(zip(low.argmax(1).tolist(), high.argmax(1).tolist(), strict=True))
    assert len(pairs) == 25, "every pair of classes once"
    assert (2 * counted(hands.test, Y_TEST) == held).all(), "tested by the classes that are held"


def test_two_classes_a_user_and_unequal_parts() -> None:
    hands = split("two-classes", Y_TRAIN, Y_TEST, SIZE, 0)
    held = counted(hands.train, Y_TRAIN) + counted(hands.validation, Y_TRAIN)
    assert held.shape == (20, 10)
    for user, own in enumerate(held):
        assert set(np.flatnonzero(own)) == {user % 10, (user + 1) % 10}
        assert own[own > 0].min() >= LEAST
    assert (held.sum(0) <= 60).all()
    assert (held.sum(0) >= 56).all(), "rounding loses less than an image a holder"
    assert len(set(held[held > 0].tolist())) > 5, "users hold unequal parts"
    assert (np.sort(counted(hands.test, Y_TEST), axis=1)[:, -3:] == [0, 8, 8]).all()


@splits
def test_a_fifth_of_every_class_is_for_validation(name: str) -> None:
    hands = split(name, Y_TRAIN, Y_TEST, SIZE, 0)
    train, validation = counted(hands.train, Y_TRAIN), counted(hands.validation, Y_TRAIN)
    assert (validation == np.ceil((train + validation) / 5)).all()
    assert (train[validation > 0] > 0).all()


@splits
def test_seeds_are_other_deals_and_the_same_seed_is_the_same(name: str) -> None:
    one, again, other = (split(name, Y_TRAIN, Y_TEST, SIZE, seed) for seed in (0, 0, 1))
    for part in ("train", "validation", "test"):
        mine, same, theirs = (np.concatenate(getattr(s, part)) for s in (one, again, other))
        assert np.array_equal(mine, same)
        assert not np.array_equal(mine, theirs)


@splits
def test_users_meet_their_classes_in_no_order(name: str) -> None:
    """Own models are found on the last images; and updates may take them as they are stored."""
    hands = split(name, Y_TRAIN, Y_TEST, SIZE, 0)
    for hand in hands.train:
        own = Y_TRAIN[hand]
        assert len(own) < 8 or (np.diff(own) != 0).sum() > len(set(own.tolist())) - 1


@splits
def test_too_few_images_are_named(name: str) -> None:
    with pytest.raises(DataError, match=r"images of class 0 are needed, and there are 10"):
        split(name, Y_TRAIN[:100], Y_TEST, SIZE, 0)
