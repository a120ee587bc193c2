"""Which user holds which images: two splits in which users see different classes.

No image is in two users' hands, nor in two parts of a user's: every class is shuffled once and dealt. Own
training images are divided four to one into training and validation; test images come from the set's own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.images import CLASSES
from data.randomness import generator
from data.schema import DataError

Counts = NDArray[np.int64]
"""(U, CLASSES) how many images of each class each user holds."""

Hands = tuple[NDArray[np.int64], ...]
"""For each user the numbers of their images."""

VALIDATION = 5
"""Of a user's images of a class every fifth is for validation."""

LEAST = 5
"""Images of a class, at least, for a user who has any to learn from."""


@dataclass(frozen=True)
class Split:
    """Each user's images: numbers of training images of the set in ``train`` and ``validation``, and of its
    test images in ``test``."""

    train: Hands
    validation: Hands
    test: Hands


@dataclass(frozen=True)
class Size:
    """How many images users hold.

    Attributes:
        a: of the Per-FedAvg split; even.
        per_class: images of a class that its holders share, in the split by two classes.
        tested: like a, of test images.
    """

    a: int
    per_class: int
    tested: int = 34


def per_fedavg(size: Size, seed: int) -> tuple[Counts, Counts]:
    """50 users (Fallah 2020): half hold a images of each class from 0 to 4; the others a/2 of one of these,
    and 2a of one class from 5 to 9. Returned are images to learn from, and to test by."""
    users = np.arange(25)
    counts = np.zeros((50, CLASSES), np.int64)
    counts[:25, :5] = 2
    counts[25 + users, users % 5] = 1
    counts[25 + users, 5 + users // 5] = 4
    return counts * (size.a // 2), counts * (size.tested // 2)


def two_classes(size: Size, seed: int) -> tuple[Counts, Counts]:
    """20 users who hold two neighbouring classes each (Dinh 2020), of which they hold unequal parts.

    The four holders of a class share its images by log-normal weights; of test images all have as many.
    """
    counts, tested = np.zeros((20, CLASSES), np.int64), np.zeros((20, CLASSES), np.int64)
    for label in range(CLASSES):
        holders = np.array([u for u in range(20) if label in (u % CLASSES, (u + 1) % CLASSES)])
        share = generator(seed, "image shares", label).lognormal(size=len(holders))
        rest = size.per_class - LEAST * len(holders)
        counts[holders, label] = LEAST + np.floor(rest * share / share.sum()).astype(np.int64)
        tested[holders, label] = 2 * size.tested
    return counts, tested


SPLITS: dict[str, Callable[[Size, int], tuple[Counts, Counts]]] = {
    "per-fedavg": per_fedavg,
    "two-classes": two_classes,
}


def split(name: str, y_train: NDArray[np.int64], y_test: NDArray[np.int64], size: Size, seed: int) -> Split:
    """Deal images to users.

    Args:
        name: a key of SPLITS.
        y_train, y_test: the labels of a set's training and test images.
        size: how many users hold.
        seed: keys who gets which.

    Raises:
        DataError: there are too few images of a class.
    """
    learned, tested = SPLITS[name](size, seed)
    parts: list[list[list[NDArray[np.int64]]]] = [[[] for _ in learned] for _ in range(3)]
    for label in range(CLASSES):
        dealt = _deal(y_train, label, learned[:, label], generator(seed, "image split", label))
        for user, hand in enumerate(dealt):
            parts[0][user].append(hand[np.arange(len(hand)) % VALIDATION != 0])
            parts[1][user].append(hand[::VALIDATION])
        for user, hand in enumerate(
            _deal(y_test, label, tested[:, label], generator(seed, "test images", label))
        ):
            parts[2][user].append(hand)
    order = [generator(seed, "image order", user) for user in range(len(learned))]
    shuffled = [draw.permutation(np.concatenate(mine)) for draw, mine in zip(order, parts[0], strict=True)]
    rest = [tuple(np.concatenate(mine) for mine in part) for part in parts[1:]]
    return Split(tuple(shuffled), rest[0], rest[1])


def _deal(
    labels: NDArray[np.int64], label: int, counts: NDArray[np.int64], draw: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Images of a class for each user, as many as they get (U,)."""
    there = draw.permutation(np.flatnonzero(labels == label))
    if counts.sum() > len(there):
        raise DataError(f"{counts.sum()} images of class {label} are needed, and there are {len(there)}.")
    return np.split(there[: counts.sum()], counts.cumsum()[:-1])
