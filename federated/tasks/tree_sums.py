"""What users answer while a forest is grown: sums of counts, over all of them, and nothing else.

Everybody's rows lie in one stack here, as clients' do elsewhere, and one call adds them all up: to the bit
what the users' own answers add up to, since sums of whole numbers have no order. A deployment would add them
up under encryption (secure aggregation), so that nobody sees the answer of one user.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.randomness import generator
from ranking.slates import StoredSlates

Array = NDArray[Any]
UNIT = 2**20
"""Labels are whole multiples of 1/UNIT."""

CELLS = 2**16
"""Of the real numbers: they share sign, exponent and the first seven bits of the mantissa."""


class Splits(NamedTuple):
    """What users are told of M nodes: by which feature each is split, at which bin, and where that leads.

    ``first`` is the first node's number; the arrays are those of `kernels.trees.step_down`.
    """

    first: int
    feature: Array
    bin: Array
    left: Array


@dataclass(frozen=True)
class Devices:
    """The training candidates of users, which stay where they are.

    Attributes:
        features: (R, F) float32.
        label: (R,) int64, in units of 1/UNIT.
        user: (R,) int64, whose each is.
        slates: (R,) int64, which of its user's slates each is from.
        seed: of the run.
    """

    features: Array
    label: Array
    user: Array
    slates: Array
    seed: int

    @classmethod
    def of(cls, slates: StoredSlates, loss: str, seed: int) -> "Devices":
        """Of the slates to be learned from, by user: labels are membership, for ``mse`` 1/position."""
        size, position = slates.offsets.diff().numpy(), slates.position.numpy()
        target = 1 / np.maximum(position, 1) if loss == "mse" else np.ones(len(position))
        label = np.where(position > 0, np.rint(target * UNIT), 0).astype(np.int64)
        user = slates.user.numpy()
        number = np.arange(len(user)) - np.searchsorted(user, user)
        features = np.ascontiguousarray(slates.features.numpy())
        return cls(features, label, np.repeat(user, size), np.repeat(number, size), seed)

    def of_user(self, user: int) -> "Devices":
        """One of them alone."""
        return self._only(self.user == user)

    def by_user(self) -> list[tuple[int, slice]]:
        """Every user who has a candidate, and where theirs are."""
        users, begin, count = np.unique(self.user, return_index=True, return_counts=True)
        rows = map(slice, begin.tolist(), (begin + count).tolist())
        return list(zip(users.tolist(), rows, strict=True))

    def older(self, latest: Array) -> "Devices":
        """Without so many of each user's latest slates, (U,)."""
        last = np.zeros(len(latest), np.int64)
        last[self.user] = self.slates  # of several the last one stays
        return self._only(self.slates <= (last - latest)[self.user])

    def _only(self, rows: Array) -> "Devices":
        return Devices(self.features[rows], self.label[rows], self.user[rows], self.slates[rows], self.seed)

    def spread(self, feature: int) -> Array:
        """(CELLS,) int64, how many candidates have a feature's value in each cell."""
        return np.bincount(cell_of(self.features[:, feature]), minlength=CELLS)

    def binned(self, edges: list[Array]) -> Array:
        """(R, F) uint8, in which bin each value is, given the cells where the second and later bins begin."""
        columns = [
            np.searchsorted(begins, cell_of(self.features[:, f]), "right") for f, begins in enumerate(edges)
        ]
        return np.stack(columns, axis=1).astype(np.uint8)

    def seen_by(self, tree: int, sample: float) -> Array:
        """(R,) bool, which candidates a tree sees: each user draws among their own slates."""
        seen = np.zeros(len(self.user), bool)
        for user, rows in self.by_user():
            most = int(self.slates[rows][-1]) + 1
            drawn = generator(self.seed, "slates of a tree", user, tree).random(most) < sample
            seen[rows] = drawn[self.slates[rows]]
        return seen


@dataclass(frozen=True)
class Standing:
    """Where users' candidates stand in one tree that is growing.

    Attributes:
        devices: whose they are.
        bins: (R, F) uint8, as `Devices.binned` has them.
        seen: (R,) bool, which the tree sees.
        place: (R,) int32, the node where each stands.
    """

    devices: Devices
    bins: Array
    seen: Array
    place: Array

    @classmethod
    def at_root(cls, devices: Devices, bins: Array, tree: int, sample: float) -> "Standing":
        """All in node 0."""
        return cls(devices, bins, devices.seen_by(tree, sample), np.zeros(len(bins), np.int32))

    def sums(self, first: int, asked: Array, bins: int) -> Array:
        """(M, K, bins, 2) int64: candidates and labels by bin of the K features asked for in M nodes."""
        from ranking.kernels.trees import add_sums

        sums = np.zeros((*asked.shape, bins, 2), np.int64)
        add_sums(self.bins, self.devices.label, self.seen, self.place, first, asked, sums)
        return sums

    def follow(self, splits: Splits) -> None:
        """Move on to the children of nodes that are split."""
        from ranking.kernels.trees import step_down

        step_down(self.bins, self.place, *splits)

    def totals(self, nodes: int) -> Array:
        """(nodes, 2) int64: candidates and labels where they stand, also of those the tree did not see."""
        counts = np.bincount(self.place, minlength=nodes)
        labels = np.bincount(self.place, self.devices.label, nodes)  # exact below 2**53
        return np.stack([counts, labels.astype(np.int64)], axis=1)


def cell_of(values: Array) -> Array:
    """(R,) the cells, in their order, of numbers (R,) float32."""
    bits = (values + np.float32(0)).view(np.int32)  # −0 is 0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return np.asarray((ordered >> 16) + CELLS // 2)


def begin_of(cells: Array) -> Array:
    """The least number, float32, of each cell."""
    ordered = ((cells.astype(np.int64) - CELLS // 2) << 16).astype(np.int32)
    return np.asarray((ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32))
