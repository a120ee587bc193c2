"""Noise of mechanisms against dense matrices, resumed states, and what a source promises."""

import os
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from scipy.linalg import solve_triangular, toeplitz
from scipy.stats import kstest
from torch import Tensor

from data.randomness import generator
from federated.privacy.accounting import toeplitz_root
from federated.privacy.noise import Banded, Independent, Keyed, Mechanism, Source, System, Tree, unpack

Matrix = NDArray[np.float64]
MECHANISMS = (Independent(), Tree(1), Tree(4), Tree(7), Banded(1), Banded(2), Banded(5))
each = pytest.mark.parametrize("mechanism", MECHANISMS, ids=str)


class Units:
    """A source whose draw for merge t is the t-th unit vector: noise becomes a row of a matrix."""

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        return torch.eye(number, dtype=torch.float64)[merge]


class Once:
    """System noise that can be asked for once a merge, and is remembered by the test."""

    def __init__(self) -> None:
        self.drawn: dict[int, Tensor] = {}

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        assert merge not in self.drawn, "drawn again"
        self.drawn[merge] = System().normal(number, merge)
        return self.drawn[merge].clone()


class Again:
    """What another source has drawn, from a merge on."""

    def __init__(self, drawn: dict[int, Tensor], first: int) -> None:
        self.drawn, self.first = drawn, first

    def normal(self, number: int, merge: int, extra: int = 0) -> Tensor:
        assert merge >= self.first, "the noise of an earlier merge is gone"
        return self.drawn[merge].clone()


def run(mechanism: Mechanism, merges: range, number: int, source: Source, state: Any = None) -> list[Tensor]:
    noises, state = [], state or {}
    for merge in merges:
        noise, state = mechanism.next(state, merge, number, source)
        noises.append(noise)
    return noises


def decoder(mechanism: Mechanism, merges: int) -> Matrix:
    """B (T, T) of the noise B z that T merges add."""
    return torch.stack(run(mechanism, range(merges), merges, Units())).numpy()


def squared_norm(mechanism: Mechanism, merges: int, taken: tuple[int, ...]) -> float:
    """s² of one who adds 1 at these merges: what B z must hide is seen as B⁻¹u in independent noise."""
    added = np.zeros(merges)
    added[list(taken)] = 1
    return float(np.sum(np.linalg.solve(decoder(mechanism, merges), added) ** 2))


def allowed(mechanism: Mechanism, taken: tuple[int, ...]) -> bool:
    return all(b >= mechanism.free_from(a) for a, b in pairwise(taken))


@pytest.mark.parametrize("leaves", [1, 2, 5, 8])
def test_sums_of_tree_noise_have_as_many_nodes_as_binary_ones(leaves: int) -> None:
    sums = np.cumsum(decoder(Tree(leaves), 3 * leaves), axis=0)
    for merge, row in enumerate(sums):
        full, leaf = divmod(merge + 1, leaves)
        nodes = full * leaves.bit_count() + leaf.bit_count()
        assert set(row) <= {0.0, 1.0}
        assert row.sum() == nodes


@pytest.mark.parametrize("band", [1, 2, 3, 6, 20])
def test_banded_noise_is_the_triangular_solve(band: int) -> None:
    column = np.zeros(12)
    column[: min(band, 12)] = toeplitz_root(band)[:12]
    dense = toeplitz(column, np.zeros(12))
    z = torch.stack([Keyed(3).normal(5, merge) for merge in range(12)]).numpy()
    found = torch.stack(run(Banded(band), range(12), 5, Keyed(3))).numpy()
    assert found == pytest.approx(solve_triangular(dense, z, lower=True), rel=1e-12, abs=1e-12)


def test_a_full_band_makes_sums_of_little_noise() -> None:
    merges = 64
    ends = {
        str(m): (np.cumsum(decoder(m, merges), axis=0)[-1] ** 2).sum() for m in (Independent(), Banded(64))
    }
    assert ends["Independent()"] == merges
    assert ends["Banded(band=64)"] == pytest.approx(sum(c * c for c in toeplitz_root(64)), rel=1e-9)


@each
@pytest.mark.parametrize("participations", [1, 2, 3])
def test_no_permitted_user_is_seen_better_than_the_accounting_says(
    mechanism: Mechanism, participations: int
) -> None:
    merges = 11
    claimed = mechanism.squared_sensitivity(participations)
    encoder = np.linalg.inv(decoder(mechanism, merges))
    assert encoder.min() > -1e-12, "users who always add the same are the worst case"
    patterns = [taken for taken in combinations(range(merges), participations) if allowed(mechanism, taken)]
    for taken in patterns:
        assert np.sum(encoder[:, list(taken)].sum(1) ** 2) <= claimed + 1e-9


@pytest.mark.parametrize(
    ("mechanism", "merges", "worst", "too_close"),
    [
        (Independent(), 3, (0, 2), None),
        (Tree(4), 8, (0, 4), (0, 1)),
        (Tree(7), 14, (0, 7), (0, 1)),
        (Banded(5), 12, (0, 5), (0, 4)),
    ],
    ids=str,
)
def test_the_accounting_is_tight_and_its_condition_needed(
    mechanism: Mechanism, merges: int, worst: tuple[int, int], too_close: tuple[int, int] | None
) -> None:
    claimed = mechanism.squared_sensitivity(2)
    assert allowed(mechanism, worst)
    assert squared_norm(mechanism, merges, worst) == pytest.approx(claimed, rel=1e-9)
    if too_close is not None:
        assert not allowed(mechanism, too_close)
        assert squared_norm(mechanism, merges, too_close) > claimed * 1.01


def test_from_when_on_a_user_may_take_part_again() -> None:
    assert all(mechanism.free_from(3) > 3 for mechanism in MECHANISMS), "never twice in one merge"
    assert [Independent().free_from(last) for last in range(3)] == [1, 2, 3]
    assert [Tree(4).free_from(last) for last in (0, 1, 3, 4)] == [4, 4, 4, 8]
    assert [Banded(3).free_from(last) for last in range(3)] == [3, 4, 5]


@each
def test_a_resumed_run_adds_the_same_bits(mechanism: Mechanism) -> None:
    merges, source = 10, Once()
    whole = run(mechanism, range(merges), 7, source)
    for stop in range(merges):
        state: dict[str, Tensor] = {}
        for merge in range(stop):
            _, state = mechanism.next(state, merge, 7, Again(source.drawn, 0))
        packed = save({"w": torch.zeros(7), **state})
        rest = run(mechanism, range(stop, merges), 7, Again(source.drawn, stop), unpack(load(packed)))
        assert all(torch.equal(a, b) for a, b in zip(whole[stop:], rest, strict=True))


@each
def test_what_the_caller_does_to_the_noise_is_its_own_affair(mechanism: Mechanism) -> None:
    expected, state = run(mechanism, range(9), 4, Keyed(0)), {}
    for merge, wanted in enumerate(expected):
        kept = {name: tensor.clone() for name, tensor in state.items()}
        before = state
        noise, state = mechanism.next(state, merge, 4, Keyed(0))
        assert torch.equal(noise, wanted)
        assert all(torch.equal(before[name], tensor) for name, tensor in kept.items())
        noise.zero_()


@pytest.mark.parametrize("mechanism", [Tree(4), Banded(3)], ids=str)
def test_a_state_of_another_merge_is_refused(mechanism: Mechanism) -> None:
    _, state = mechanism.next({}, 0, 4, Keyed(0))
    for wrong, merge, number in (({}, 1, 4), (state, 2, 4), (state, 1, 5)):
        with pytest.raises(ValueError, match=f"not the one that merge {merge} follows"):
            mechanism.next(wrong, merge, number, Keyed(0))


@pytest.mark.parametrize("kind", [Tree, Banded])
def test_no_leaf_and_no_band_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        kind(0)


def test_keyed_noise_belongs_to_its_key() -> None:
    first = Keyed(5).normal(1000, 3, 1)
    assert first.dtype == torch.float64
    assert np.array_equal(first.numpy(), generator(5, "privacy", 3, 1).standard_normal(1000))
    others = [Keyed(5).normal(1000, 3), Keyed(5).normal(1000, 1, 3), Keyed(6).normal(1000, 3, 1)]
    for other in others:
        assert abs(np.corrcoef(first.numpy(), other.numpy())[0, 1]) < 0.2


@pytest.mark.parametrize("source", [System(), Keyed(1)], ids=str)
def test_numbers_are_standard_normal(source: Source) -> None:
    drawn = source.normal(200_000, 0).numpy()
    assert kstest(drawn, "norm").pvalue > 1e-6
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


def test_system_noise_is_never_the_same() -> None:
    assert not torch.equal(System().normal(3, 0), System().normal(3, 0))
    assert System().normal(0, 0).shape == (0,)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, -9.16), (1, 9.16), (2**64 - 2, 0.0), (2**64 - 1, 0.0), (1 << 63, -0.6745), (1 << 63 | 1, 0.6745)],
)
def test_extreme_bits_make_finite_numbers(
    bits: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: bits.to_bytes(8, "little") * (size // 8))
    assert System().normal(2, 0).tolist() == pytest.approx([expected] * 2, abs=5e-3)


def test_points_of_the_tail_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.array([0, 1 << 1, 1 << 20, 1 << 40, 1 << 60, 1 << 63, (1 << 64) - 2], np.uint64)
    monkeypatch.setattr(os, "urandom", lambda size: words.tobytes())
    assert all(a < b for a, b in pairwise(System().normal(len(words), 0).tolist()))
