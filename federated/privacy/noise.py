"""Gaussian noise for sums of clipped updates: where it is drawn, and how it is correlated over merges.

All noise is in units of σC, the noise multiplier times the clipping norm, and float64, so that whoever adds
it to an update of another type rounds once, after scaling. A merge adds its noise to the *sum* of the
clipped updates, before the sum is divided by anything.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Protocol

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.special import ndtri
from torch import Tensor

from data.randomness import generator
from federated.privacy import accounting

State = dict[str, Tensor]
"""What a mechanism remembers between two merges, named for a `Snapshot`; empty before the first."""

PREFIX = "noise."
Whole = Annotated[int, Field(ge=1)]


class Source(Protocol):
    """Where standard normal numbers come from."""

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        """Independent standard normal numbers, float64.

        Args:
            number: how many.
            merge: for which merge, from 0.
            extra: tells the draws of one merge apart: 0 for updates, more for whatever else needs noise.
        """
        ...


@plain_dataclass(frozen=True)
class Keyed:
    """Noise that can be repeated, for experiments: whoever knows the seed can subtract it.

    Attributes:
        seed: the run's seed, ≥ 0.
    """

    seed: int

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        """See `Source.normal`; the same arguments give the same numbers."""
        return torch.from_numpy(generator(self.seed, "privacy", merge, extra).standard_normal(number))


@plain_dataclass(frozen=True)
class System:
    """Noise that nobody can repeat, for deployment.

    Every number is made of 64 fresh bits of the operating system's cryptographic generator (`os.urandom`):
    one is the sign, 63 choose a point of the lower tail, to which the inverse of the normal distribution
    function is applied. No generator of a library has part in it, whose state could be inferred from
    coordinates in which nothing but noise is published. The greatest number possible is about 9.1.

    The numbers are still floating-point ones: which of them can occur, and which sums, depends on the update
    they are added to. An adversary who sees every bit of a sum may learn from that more than ε allows
    (Mironov 2012 for Laplace, Jin 2022 for Gaussian noise). There is no protection against it here; whoever
    needs one must round sums to a grid and add discrete noise (Canonne 2020).
    """

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        """See `Source.normal`; every call gives other numbers."""
        words = np.frombuffer(os.urandom(8 * number), np.uint64)
        tail = ((words >> np.uint64(1)) + 0.5) * 2.0**-64
        sign = 1.0 - 2.0 * (words & np.uint64(1))
        return torch.from_numpy(sign * ndtri(tail))


class Mechanism(Protocol):
    """How the noise of merges is correlated, and what of a user's participations it can pay for."""

    def squared_sensitivity(self, participations: int) -> float:
        """s² of a user's participations, in units of C²; μ = √s²/σ (see `accounting`).

        Args:
            participations: k ≥ 1, the most that the server allows a user; each as `free_from` says.
        """
        ...

    def free_from(self, last_merge: int) -> int:
        """The first merge in which a user may take part again after having taken part in one; both from 0."""
        ...

    def next(self, state: State, merge: int, number: int, source: Source) -> tuple[Tensor, State]:
        """The noise of a merge, and what is remembered of it.

        Args:
            state: what the merge before returned; {} at the first.
            merge: which one, counted from 0 without a gap.
            number: P, parameters.
            source: where normal numbers come from; asked once a merge.

        Returns:
            (P,) noise, in units of σC, that is added to the sum of this merge's clipped updates; the state is
            a new one, which holds all that later merges need.

        Raises:
            ValueError: the state is not that of the merge before.
        """
        ...


@dataclass(frozen=True)
class Independent:
    """Fresh noise at every merge (Dwork 2006): a user may take part in every one."""

    def squared_sensitivity(self, participations: int) -> float:
        """See `Mechanism`: k."""
        return accounting.gaussian_squared_sensitivity(participations)

    def free_from(self, last_merge: int) -> int:
        """See `Mechanism`: the next one."""
        return last_merge + 1

    def next(self, state: State, merge: int, number: int, source: Source) -> tuple[Tensor, State]:
        """See `Mechanism`."""
        return source.normal(number, merge), {}


@dataclass(frozen=True)
class Tree:
    """Binary trees (Dwork 2010, Chan 2011; DP-FTRL, Kairouz 2021): sums of merges have little noise.

    After t merges of a tree their sum has the noise N_t of as many nodes as t has binary ones, each node the
    sum of 2^i merges in a row. A merge adds N_t − N_{t−1}: the noise of the node that it completes, less that
    of the smaller nodes which this one replaces. A restart leaves the old tree's last N in the model and
    begins from 0 on top of it. Nodes are used as they are, without Honaker's weighting.

    Attributes:
        leaves: T, merges until the tree is restarted; a user is in each tree at most once.
    """

    leaves: Whole

    def squared_sensitivity(self, participations: int) -> float:
        """See `Mechanism`: k (⌊log₂ T⌋ + 1), for k trees."""
        return accounting.tree_squared_sensitivity(self.leaves, participations)

    def free_from(self, last_merge: int) -> int:
        """See `Mechanism`: the first of the next tree."""
        return (last_merge // self.leaves + 1) * self.leaves

    def next(self, state: State, merge: int, number: int, source: Source) -> tuple[Tensor, State]:
        """See `Mechanism`; the state holds the noise (P,) of every node that N is a sum of, by its level."""
        before = merge % self.leaves
        nodes = {
            level: f"{PREFIX}node.{level}" for level in range(before.bit_length()) if before >> level & 1
        }
        if before:
            _expect(state, dict.fromkeys(nodes.values(), (number,)), merge)
        leaf = before + 1
        completed = (leaf & -leaf).bit_length() - 1
        node = source.normal(number, merge)
        noise = node.clone()
        for level, name in nodes.items():
            if level < completed:
                noise -= state[name]
        kept = {name: state[name] for level, name in nodes.items() if level > completed}
        return noise, kept | {f"{PREFIX}node.{completed}": node}


@dataclass(frozen=True)
class Banded:
    """Banded Toeplitz matrix factorisation (Choquette-Choo 2023; Kalinin & Lampert 2024): noise C⁻¹z.

    C is lower triangular with `accounting.toeplitz_root` on its first diagonals and 0 below them; z is
    independent noise. Much of a merge's noise is taken back by the next ones.

    Attributes:
        band: b, diagonals; two participations of a user are at least b merges apart.
    """

    band: Whole

    def squared_sensitivity(self, participations: int) -> float:
        """See `Mechanism`: k Σ c_j²."""
        return accounting.banded_squared_sensitivity(participations, self.band)

    def free_from(self, last_merge: int) -> int:
        """See `Mechanism`: b merges later."""
        return last_merge + self.band

    def next(self, state: State, merge: int, number: int, source: Source) -> tuple[Tensor, State]:
        """See `Mechanism`; y_t = z_t − Σ_{0<j<b} c_j y_{t−j}, since c_0 = 1.

        The state holds the last b − 1 noises (b − 1, P), the latest first, as far as there are so many.
        """
        name, known = f"{PREFIX}recent", min(merge, self.band - 1)
        if known:
            _expect(state, {name: (known, number)}, merge)
        recent = state[name] if known else torch.zeros(0, number, dtype=torch.float64)
        noise = source.normal(number, merge)
        for c, earlier in zip(accounting.toeplitz_root(known + 1)[1:], recent, strict=True):
            noise = noise - c * earlier  # one by one: the same bits wherever the tensors lie
        if self.band == 1:
            return noise, {}
        return noise, {name: torch.cat([noise[None], recent[: self.band - 2]])}


def unpack(tensors: Mapping[str, Tensor]) -> State:
    """A mechanism's state, among other tensors of a `Snapshot`."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}


def _expect(state: State, shapes: dict[str, tuple[int, ...]], merge: int) -> None:
    """Noise that does not cancel what was added before would be paid for and be of no use, or worse."""
    if {name: tuple(tensor.shape) for name, tensor in state.items()} != shapes:
        raise ValueError(f"The state of the noise is not the one that merge {merge} follows.")
