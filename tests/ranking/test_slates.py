"""Slates and their rows: indexing, checking, packing and unpacking."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import DataError, column
from ranking.building import build
from ranking.features import features
from ranking.metrics import missed
from ranking.slates import Rows, Slates, StoredSlates


@st.composite
def masks(draw):
    """(C, B, N) masks, some slates or clients without a candidate, but not all."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(3))
    seed, share = draw(st.integers(0, 2**16)), draw(st.floats(0.1, 1))
    mask = np.random.default_rng(seed).random(shape) < share
    mask.flat[draw(st.integers(0, mask.size - 1))] = True
    return torch.from_numpy(mask)


def numbered(mask: torch.Tensor) -> Slates:
    """Slates whose every number tells where it stands."""
    place = torch.arange(mask.numel()).view(mask.shape)
    return Slates(
        features=torch.where(mask[..., None], torch.stack([place, -place], -1).float(), 0),
        mask=mask,
        position=torch.zeros(mask.shape, dtype=torch.int16),
        wanted=torch.ones(mask.shape[:-1], dtype=torch.int16),
        user=torch.arange(mask[..., 0].numel()).view(mask.shape[:-1]),
        candidates=torch.where(mask, place, -1).int(),
        typed=torch.arange(mask[..., 0].numel(), dtype=torch.int16).view(mask.shape[:-1]),
    )


@settings(derandomize=True, deadline=None)
@given(masks())
def test_rows_hold_every_candidate_and_unpack_puts_each_back(mask):
    slates = numbered(mask)
    rows = Rows.of(slates)
    assert rows.features.shape[:2] == (len(mask), int(mask.flatten(1).sum(1).max()))
    assert torch.equal(rows.unpack(rows.features[..., 0])[mask], slates.features[..., 0][mask])
    assert torch.equal(rows.unpack(rows.features[..., 1])[mask], slates.features[..., 1][mask])
    assert torch.equal(rows.unpack(rows.candidates)[mask], slates.candidates[mask])
    assert torch.equal(rows.unpack(rows.typed)[mask], slates.typed[..., None].expand(mask.shape)[mask])
    assert rows.candidates.min() >= 0, "rows that stand in for padding must still be queries"
    for client, own in enumerate(mask.flatten(1).sum(1).tolist()):
        place = rows.slot[client][mask[client]]
        assert sorted(place.tolist()) == list(range(own)), "each candidate has a row of its own"


def test_indexing_selects_slates_and_an_index_with_axes_gives_slates_with_axes(tiny_slates):
    index = torch.tensor([[3, 0], [5, 3]])
    picked = tiny_slates[index]
    for f in fields(Slates):
        whole, part = getattr(tiny_slates, f.name), getattr(picked, f.name)
        assert part.shape[:2] == (2, 2)
        assert torch.equal(part[1, 0], whole[5])
        assert torch.equal(part[0, 0], part[1, 1])
    assert len(tiny_slates[torch.tensor([4])]) == 1


def test_where_user_keeps_the_order(make_slates):
    slates = make_slates([[1]] * 5, user=[2, 0, 1, 0, 2])
    slates = replace(slates, typed=torch.arange(5, dtype=torch.int16))
    assert slates.where_user(torch.tensor([2, 0])).typed.tolist() == [0, 1, 3, 4]
    assert len(slates.where_user(torch.tensor([9]))) == 0


@settings(derandomize=True, deadline=None)
@given(masks())
def test_stored_slates_give_what_padded_ones_give(mask):
    """The padded slates are the twin: the same slates, marks, rows, chunks and misses for any index."""
    mask = mask.flatten(0, 1).sort(dim=1, descending=True).values  # candidates come first
    slates = numbered(mask[:, None])
    flat = replace(slates, **{f.name: getattr(slates, f.name).squeeze(1) for f in fields(Slates)})
    flat = replace(flat, position=(flat.candidates % 3 == 1).short(), wanted=torch.full_like(flat.wanted, 2))
    stored = StoredSlates.of(flat)
    draw = torch.Generator().manual_seed(len(flat))
    index = torch.randint(len(flat), (3, 2), generator=draw)
    assert len(stored) == len(flat)
    assert stored.widest == flat.widest
    assert_same(stored.all(), flat)
    assert_same(stored[index], flat[index])
    assert_same(stored.subset(index[:, 0]).all(), flat[index[:, 0]])
    for ours, theirs in zip(stored.chunks(2), flat.chunks(2), strict=True):
        assert_same(ours, theirs)
    for ours, theirs in zip(stored.marks(index), flat.marks(index), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(stored.missed, missed(flat))
    for real in (torch.ones(3, 2, dtype=torch.bool), torch.rand(3, 2, generator=draw) < 0.5):
        ours, theirs = stored.rows(index, real), flat.rows(index, real)
        wanted = flat.mask[index] & real[..., None]
        assert ours.features.shape == theirs.features.shape
        if wanted.any():
            for name in ("features", "candidates", "typed"):
                a, b = getattr(ours, name), getattr(theirs, name)
                a, b = (rows[..., 0] if rows.dim() == 3 else rows for rows in (a, b))
                assert torch.equal(ours.unpack(a)[wanted], theirs.unpack(b)[wanted]), name


def assert_same(ours, theirs):
    for f in fields(Slates):
        assert torch.equal(getattr(ours, f.name), getattr(theirs, f.name)), f.name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_feature_that_is_no_number_is_named(value, tiny_dataset, monkeypatch):
    def spoiled(past, moments):
        values = features(past, moments)
        values[2, 1] = value
        return values

    monkeypatch.setattr("ranking.building.features", spoiled)
    text = tiny_dataset.queries.column("text")[tiny_dataset.slates.column("pool")[0][2].as_py()].as_py()
    with pytest.raises(DataError, match=f"the feature 'group popularity' of the candidate {text!r} is NaN"):
        build(tiny_dataset)


def test_slates_on_disk_are_those_in_memory_and_a_split_is_in_user_order(tiny_dataset, tiny_slates, tmp_path):
    of_event = column(tiny_dataset.slates, "event_id")
    chosen = torch.from_numpy(np.flatnonzero(column(tiny_dataset.events, "split")[of_event] == "train"))
    picked = tiny_slates[chosen]
    expected = picked[torch.argsort(picked.user, stable=True)]
    stored = build(tiny_dataset, split="train", directory=tmp_path / "slates")
    assert (tmp_path / "slates" / "features").stat().st_size == 4 * stored.features.numel()
    width = stored.widest
    for f in fields(Slates):
        whole = getattr(expected, f.name)
        assert torch.equal(getattr(stored.all(), f.name), whole if whole.dim() == 1 else whole[:, :width])
    assert not expected.mask[:, width:].any()
    in_memory = build(tiny_dataset, split="train")
    assert torch.equal(in_memory.features, stored.features)
