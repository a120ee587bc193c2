"""Rankings as lists: for whoever reads them outside, where each candidate needs a place of its own.

Metrics here are expectations over all orders of tied candidates. A list has to choose one. It goes by a hash
of slate and candidate, which knows nothing of what is wanted, or of the order that pools come in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data.arrays import Int
from ranking.slates import Slates

DENORMAL = 2**23 - 1
"""Positive 32-bit numbers so small that some programs take them for 0."""


@dataclass(frozen=True)
class Lists:
    """The R candidates of S slates, slate by slate and the best first.

    Attributes:
        slate: (R,) which slate, ascending.
        candidate: (R,) its query id.
        rank: (R,) 1, 2, … in each slate.
        score: (R,) the scores as 32-bit numbers. Each is at least one step below that before it, so that
            whoever sorts by them finds this order.
        tied: (S,) how many candidates share their score with another.
        choice_tied: (S,) whether the user's own choice does.
        choice_place: (S,) its place, the mean of those that its equals take up; NaN where it is missed.
    """

    slate: Int
    candidate: NDArray[np.int32]
    rank: Int
    score: NDArray[np.float32]
    tied: Int
    choice_tied: NDArray[np.bool_]
    choice_place: NDArray[np.float64]


def lists(scores: Tensor, slates: Slates, numbers: Int) -> Lists:
    """Order the candidates of S slates.

    Args:
        scores: (S, N) finite.
        slates: the S slates.
        numbers: (S,) by which each is known outside.
    """
    mask = slates.mask.numpy()
    ranked = np.where(mask, scores.double().numpy(), -np.inf)
    candidate = slates.candidates.numpy()
    order = np.lexsort((_hash(numbers, candidate), -ranked), axis=1)
    ranked, mask = np.take_along_axis(ranked, order, 1), np.take_along_axis(mask, order, 1)
    above = np.zeros_like(mask)
    above[:, 1:] = (ranked[:, 1:] == ranked[:, :-1]) & mask[:, 1:]
    shares = above.copy()
    shares[:, :-1] |= above[:, 1:]
    chosen = np.take_along_axis(slates.position.numpy(), order, 1) == 1
    slate, place = np.nonzero(mask)
    return Lists(
        slate=slate,
        candidate=np.take_along_axis(candidate, order, 1)[mask],
        rank=place + 1,
        score=_descending(ranked, mask)[mask],
        tied=shares.sum(1),
        choice_tied=(shares & chosen).any(1),
        choice_place=_mean_place(above, chosen),
    )


def _hash(numbers: Int, candidate: NDArray[np.int32]) -> NDArray[np.uint64]:
    """(S, N) a number for each candidate of each slate, no two in a slate alike (SplitMix64, Steele 2014)."""
    mixed = numbers.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15) + candidate.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _mean_place(above: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S,) the place of what is chosen, the mean of its ties; ``above`` (S, N): tied with its predecessor."""
    place = np.arange(1, above.shape[1] + 1)
    first = np.maximum.accumulate(np.where(above, 0, place), axis=1)
    ends = np.where(np.append(above[:, 1:], np.zeros((len(above), 1), bool), axis=1), len(place) + 1, place)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    mean = np.where(chosen, (first + last) / 2, 0).sum(1)
    return np.where(chosen.any(1), mean, np.nan)


def _descending(ranked: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(S, N) the nearest 32-bit numbers that go down strictly, of numbers that go down.

    32-bit numbers are counted, 0 being the 0th, and every number is kept below its predecessor.
    """
    bits = np.where(mask, ranked, 0).astype(np.float32).view(np.int32).astype(np.int64)
    size = np.maximum((bits & 0x7FFFFFFF) - DENORMAL, 0)
    count = np.where(bits < 0, -size, size)
    step = np.arange(ranked.shape[1])
    kept = np.minimum.accumulate(np.where(mask, count, count.max(initial=0)) + step, axis=1) - step
    bits = np.where(kept == 0, 0, np.abs(kept) + DENORMAL)
    found: NDArray[np.float32] = bits.astype(np.int32).view(np.float32)
    return np.copysign(found, kept.astype(np.float32))
