"""Hostile users: who they are, what they send, and that honest rows keep their bits."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor

from federated.hostile import ATTACKS, Attack, Kind, hidden_deviations

KINDS: tuple[Kind, ...] = get_args(Kind)


def drawn(number: int, size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mask(number: int, *hostile: int) -> Tensor:
    chosen = torch.zeros(number, dtype=torch.bool)
    chosen[list(hostile)] = True
    return chosen


# who


@pytest.mark.parametrize(
    ("share", "users", "number"),
    [(0.0, 200, 0), (0.1, 200, 20), (0.5, 200, 100), (0.001, 200, 1), (0.1, 7, 1), (0.3, 5, 2), (0.5, 1, 1)],
)
def test_so_many_are_hostile(share: float, users: int, number: int) -> None:
    hostile = Attack(share=share).hostile_users(users, 3)
    assert hostile.shape == (users,)
    assert hostile.dtype == torch.bool
    assert int(hostile.sum()) == number


def test_who_is_hostile_depends_on_the_seed_and_grows_with_the_share() -> None:
    few, more = (Attack(share=share).hostile_users(200, 0) for share in (0.1, 0.2))
    assert few.equal(Attack("ipm", share=0.1).hostile_users(200, 0))
    assert not few.equal(Attack(share=0.1).hostile_users(200, 1))
    assert (more | ~few).all()


@pytest.mark.parametrize("share", [-0.1, 0.51, float("nan")])
def test_a_majority_or_less_than_nobody_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"less than or equal to 0\.5|greater than or equal to 0"):
        Attack(share=share)


# what


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.booleans(), min_size=1, max_size=9),
    st.integers(0, 10**6),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_honest_rows_keep_their_bits(kind: Kind, chosen: list[bool], seed: int, dtype: torch.dtype) -> None:
    updates = drawn(len(chosen), 3, seed, dtype)
    kept, hostile = updates.clone(), torch.tensor(chosen)
    arrived = Attack(kind, share=0.5).sent(updates, hostile, seed, 4)
    assert arrived.shape == updates.shape
    assert arrived.dtype == updates.dtype
    assert torch.isfinite(arrived).all()
    assert arrived[~hostile].equal(updates[~hostile])
    assert updates.equal(kept), "what is given stays as it is"
    assert arrived.equal(Attack(kind, share=0.5).sent(updates, hostile, seed, 4))


UPDATES = torch.tensor([[1.0, 2], [3, 6], [5, 4], [-7, 1]])
HOSTILE = mask(4, 3)


@pytest.mark.parametrize(
    ("attack", "lie"),
    [
        (Attack("sign-flip"), [7, -1]),
        (Attack("sign-flip", scale=10), [70, -10]),
        (Attack("scaled"), [-70, 10]),
        (Attack("scaled", scale=3), [-21, 3]),
        (Attack("ipm"), [-6, -8]),
        (Attack("ipm", tau=0.5), [-1.5, -2]),
        (Attack("alie", tau=1.5), [0, 1]),
        (Attack("alie"), [3, 4]),  # n = 4, f = 1, s = 2: Φ⁻¹(1/3) < 0
        (Attack("label-flip"), [-7, 1]),
        (Attack("mimic"), [1, 2]),
    ],
)
def test_closed_forms(attack: Attack, lie: list[float]) -> None:
    assert attack.sent(UPDATES, HOSTILE, 0, 0)[3].tolist() == pytest.approx(lie)


def test_only_flipped_labels_poison_data() -> None:
    assert [kind for kind in KINDS if Attack(kind).poisons_data] == ["label-flip"]


def test_alone_they_go_by_their_own_honest_updates() -> None:
    everyone = torch.ones(3, dtype=torch.bool)
    own = UPDATES[:3]
    assert Attack("ipm").sent(own, everyone, 0, 0).tolist() == [[-6, -8]] * 3
    assert Attack("mimic").sent(own, everyone, 0, 0).tolist() == [[1, 2]] * 3
    assert Attack("alie").sent(own, everyone, 0, 0).tolist() == [[0, 1]] * 3
    assert Attack("ipm").sent(own[:1], everyone[:1], 0, 0).tolist() == [[-2, -4]]


def test_all_who_collude_send_the_same_and_the_others_their_own() -> None:
    updates, hostile = drawn(9, 4), mask(9, 1, 2, 7)
    for kind in KINDS:
        lies = Attack(kind).sent(updates, hostile, 0, 0)[hostile]
        assert lies[0].equal(lies[1]) == (kind in ("ipm", "alie", "mimic", "min-max"))


def test_noise_is_keyed_by_merge_and_row() -> None:
    attack, updates, hostile = Attack("gaussian", sigma=2.0), torch.zeros(5, 4000), mask(5, 1, 3)
    first, second = attack.sent(updates, hostile, 0, 0), attack.sent(updates, hostile, 0, 1)
    assert not first[1].equal(second[1])
    assert not first[1].equal(first[3])
    assert first[3].equal(attack.sent(updates, mask(5, 3), 0, 0)[3])
    assert float(first[hostile].std()) == pytest.approx(2, abs=0.1)
    assert float(first[hostile].mean()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("updates", "hostile", "z"),
    [
        (50, 24, norm.ppf(24 / 26)),  # the paper's own example: s = 2
        (20, 4, norm.ppf(9 / 16)),
        (20, 10, norm.ppf(0.9)),
        (10, 2, 0),
        (2, 1, 0),
        (3, 2, 1.5),
        (4, 4, 1.5),
    ],
)
def test_deviations_that_hide(updates: int, hostile: int, z: float) -> None:
    assert hidden_deviations(updates, hostile) == pytest.approx(z)


def test_a_little_is_so_many_standard_deviations_from_the_mean() -> None:
    updates, hostile = drawn(20, 6), mask(20, 3, 8, 9, 19)
    honest = updates[~hostile].numpy()
    expected = honest.mean(0) - norm.ppf(9 / 16) * honest.std(0, ddof=1)
    np.testing.assert_allclose(Attack("alie").sent(updates, hostile, 0, 0)[8], expected, rtol=1e-12)


@pytest.mark.parametrize("number", [2, 3, 9])
def test_min_max_goes_as_far_as_it_can_without_standing_out(number: int) -> None:
    """Its twin halves the step, as the paper does."""
    updates = drawn(number + 1, 5, number)
    honest = updates[:-1].numpy()
    lie = Attack("min-max").sent(updates, mask(number + 1, number), 0, 0)[-1].numpy()
    widest = max(float(np.linalg.norm(a - b)) for a in honest for b in honest)
    mean, along = honest.mean(0), -honest.std(0, ddof=1)
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        inside = np.linalg.norm(mean + middle * along - honest, axis=1).max() <= widest
        low, high = (middle, high) if inside else (low, middle)
    np.testing.assert_allclose(lie, mean + low * along, rtol=1e-6, atol=1e-9)


def test_where_the_honest_agree_nobody_can_hide_elsewhere() -> None:
    updates = torch.cat([torch.full((4, 3), 0.5), torch.ones(1, 3)])
    for kind in ("min-max", "alie", "mimic"):
        assert Attack(kind).sent(updates, mask(5, 4), 0, 0)[4].tolist() == [0.5] * 3  # type: ignore[arg-type]


def test_the_table_says_of_every_attack_what_it_is_and_where_it_is_from() -> None:
    assert set(KINDS) == ATTACKS.keys()
    for attack in ATTACKS.values():
        assert "\n" not in attack.about
        assert attack.source.split()[-1].isdigit()
    with pytest.raises(ValueError, match="sign-flip"):
        Attack("nothing")  # type: ignore[arg-type]
