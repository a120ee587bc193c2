"""`Defence`: outliers of any size, the order of updates, how many are survived, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from federated.server import aggregation
from federated.server.rules import RULES, Defence

DTYPES = (torch.float32, torch.float64)
ROBUST = ("trimmed-mean", "median", "krum", "multi-krum", "geometric-median", "centred-clipping")
NAMES = ("mean", *ROBUST)
PREFIXES = ("", "clip+", "nnm+", "clip+nnm+", "nnm+clip+")
HUGE = 1e12


def drawn(number: int, size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# hostile updates


def bound(name: str, honest: Tensor) -> float:
    """How far from zero a result can lie: in the box of the honest, at one of them, or a few times as far."""
    longest = float(honest.norm(dim=1).max())
    if name == "geometric-median":
        return 3 * longest
    return longest * (honest.shape[1] ** 0.5) + longest


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("number", [5, 9, 20])
def test_as_many_outliers_as_a_rule_survives_do_not_move_it_far(
    name: str, prefix: str, number: int, dtype: torch.dtype
) -> None:
    defence = Defence(prefix + name)
    f = defence.survives(number)
    assert f >= 1
    for seed, size in enumerate((HUGE, -HUGE, 1e18)):
        updates = drawn(number, 4, seed, dtype)
        updates[:f] = size
        updates[0, 1] *= -0.5
        for before in (None, torch.zeros(4, dtype=dtype)):
            assert float(defence(updates, before).norm()) <= bound(name, updates[f:])


@pytest.mark.parametrize("name", ["trimmed-mean", "median"])
def test_coordinate_wise_rules_stay_in_the_box_of_the_honest(name: str) -> None:
    for number in range(3, 12):
        updates = drawn(number, 6, number)
        f = Defence(name).survives(number)
        updates[:f] = HUGE
        found, honest = Defence(name)(updates), updates[f:]
        assert (found >= honest.min(0).values).all()
        assert (found <= honest.max(0).values).all()


@pytest.mark.parametrize("prefix", ["", "nnm+"])
def test_krum_chooses_among_the_honest(prefix: str) -> None:
    updates = drawn(11, 4, dtype=torch.float32)
    updates[[0, 3, 5, 9]] = torch.tensor([HUGE, 2 * HUGE, -HUGE, HUGE])[:, None]
    honest = updates.abs().amax(1) < 100
    candidates = aggregation.nnm(updates, 4) if prefix else updates
    found = Defence(f"{prefix}krum", f=4)(updates)
    assert (candidates[honest] == found).all(1).any()
    assert found.abs().max() < 100


def test_one_outlier_moves_the_mean_and_one_too_many_moves_the_others() -> None:
    updates = drawn(7, 3)
    updates[0] = HUGE
    assert float(Defence("mean")(updates).norm()) > HUGE / 7
    assert float(Defence("nnm")(updates).norm()) > HUGE / 49, "mixing alone hands the outlier on"
    updates[:3] = HUGE
    assert float(Defence("trimmed-mean", f=2)(updates).norm()) > HUGE / 7
    updates[:4] = HUGE
    for name in ("median", "krum", "multi-krum", "geometric-median"):
        assert float(Defence(name, iterations=300)(updates).norm()) > HUGE / 7


def test_clipped_outliers_move_the_mean_by_no_more_than_their_share_of_the_norm() -> None:
    updates = drawn(10, 3)
    clean = aggregation.clip(updates, 1.0)
    for f in range(1, 10):
        updates[:f] = HUGE
        moved = Defence("clip", clip=1.0)(updates) - clean.mean(0)
        assert float(moved.norm()) <= 2 * f / 10 + 1e-9


# properties


@settings(max_examples=60, deadline=None)
@given(
    st.integers(5, 14),
    st.integers(1, 5),
    st.integers(0, 10**6),
    st.sampled_from(NAMES),
    st.sampled_from(PREFIXES),
)
def test_the_order_of_updates_makes_no_difference(
    number: int, size: int, seed: int, name: str, prefix: str
) -> None:
    assume("krum" not in name or "nnm" not in prefix)  # mixtures can be equal in pairs; then position decides
    updates, before = drawn(number, size, seed), torch.zeros(size, dtype=torch.float64)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(number))
    defence = Defence(prefix + name)
    torch.testing.assert_close(
        defence(updates[order], before), defence(updates, before), rtol=1e-9, atol=1e-9
    )
    assert defence(updates, before).equal(defence(updates, before))


@pytest.mark.parametrize("name", ["mean", "trimmed-mean", "median", "krum", "multi-krum"])
def test_rules_move_with_the_updates(name: str) -> None:
    updates, defence = drawn(9, 4), Defence(name)
    torch.testing.assert_close(defence(3 * updates + 2), 3 * defence(updates) + 2)


# how many, and what is refused


def test_how_many_are_survived() -> None:
    def survived(rule: str, f: int | None = None) -> list[int]:
        return [Defence(rule, f=f).survives(number) for number in (1, 2, 3, 4, 5, 8, 9, 20)]

    for rule in ("mean", "clip", "nnm", "clip+nnm+mean"):
        assert survived(rule) == [0] * 8
    for rule in ("median", "geometric-median", "centred-clipping", "clip+median"):
        assert survived(rule) == [0, 0, 1, 1, 2, 3, 4, 9]
    for rule in ("trimmed-mean", "nnm+median"):
        assert survived(rule) == [0, 0, 1, 1, 1, 2, 3, 6], "by default at most a third"
        assert survived(rule, f=3) == [0, 0, 0, 0, 0, 3, 3, 3]
    for rule in ("krum", "multi-krum", "clip+nnm+krum"):
        assert survived(rule) == [0, 0, 0, 0, 1, 2, 3, 6]
        assert survived(rule, f=3) == [0, 0, 0, 0, 0, 0, 3, 3]
    assert [Defence("basgd", buffers=7).survives(users) for users in (6, 7, 100)] == [0, 3, 3]


@pytest.mark.parametrize(
    "rule", [p + n for n in (*NAMES, "basgd") for p in PREFIXES if n != "basgd" or not p]
)
@pytest.mark.parametrize("f", [None, 0, 1, 3])
def test_what_is_not_refused_runs_and_survives_what_it_was_asked_to(rule: str, f: int | None) -> None:
    try:
        defence = Defence(rule, f=f, buffers=7)
    except ValueError:
        assert f
        assert rule in ("mean", "clip+mean")
        return
    robust = not rule.endswith("mean") or rule.endswith("trimmed-mean")
    for number in range(1, 12):
        try:
            defence.require(number)
        except ValueError as error:
            told = [int(word) for word in re.findall(r"at least (\d+)", str(error))]
            assert defence.require(told[-1]) is None if told else rule == "basgd"  # type: ignore[func-returns-value]
            with pytest.raises(ValueError, match=re.escape(str(error))):
                defence(drawn(number, 3), users=torch.arange(number))
        else:
            assert defence(drawn(number, 3), users=torch.arange(number)).shape == (3,)
            assert not robust or defence.survives(number) >= (1 if f is None else f)


@pytest.mark.parametrize(
    ("defence", "updates", "sentence"),
    [
        (
            Defence("trimmed-mean", f=3),
            6,
            "trimmed-mean with f = 3 needs at least 7 updates in a merge, and it has 6: merge at least 7, "
            "or set a smaller f",
        ),
        (
            Defence("clip+krum"),
            4,
            "clip+krum survives a hostile update only among 5 updates or more, and a merge has 4: "
            "merge at least 5",
        ),
        (
            Defence("basgd", buffers=7),
            6,
            "basgd with 7 buffers needs at least 7 users, and there are 6: set fewer buffers",
        ),
    ],
)
def test_sentences_name_the_smallest_merge(defence: Defence, updates: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        defence.require(updates)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rule": "medain"}, "unknown rule 'medain'; did you mean 'median'?"),
        ({"rule": "clip+trimed-mean"}, "unknown rule 'trimed-mean'; did you mean 'trimmed-mean'?"),
        ({"rule": "xyz"}, "unknown rule 'xyz'; known are mean, trimmed-mean"),
        ({"rule": ""}, "unknown rule ''; known are"),
        ({"rule": "median+clip"}, "median must come last; clip or nnm can come before it"),
        ({"rule": "clip+clip"}, "each step can be taken only once"),
        ({"rule": "clip+basgd"}, "nothing can come before basgd"),
        (
            {"rule": "clip", "f": 1},
            "rule = clip survives no hostile update: set f = 0, or end with trimmed-mean",
        ),
        ({"rule": "basgd", "f": 3}, "basgd survives f = 3 with at least 7 buffers"),
        ({"f": -1}, "greater than or equal to 0"),
        ({"clip": 0.0}, "greater than 0"),
        ({"buffers": 2}, "greater than or equal to 3"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        replace(Defence(), **settings)  # type: ignore[arg-type]


def test_the_table_says_of_everything_what_it_is_and_where_it_is_from() -> None:
    assert {*NAMES, "basgd", "clip", "nnm"} == RULES.keys()
    for name, rule in RULES.items():
        assert "\n" not in rule.about
        assert re.search(r" \d{4}$", rule.source), name
        Defence(name)


def test_basgd_is_the_median_of_the_means_of_its_buffers() -> None:
    """User u is in buffer u mod B; the seventh update is of buffer 1 again."""
    updates = torch.tensor([[1.0], [2], [3], [4], [1e9], [10], [6]])
    users = torch.tensor([0, 1, 2, 3, 4, 8, 6])
    defence = Defence("basgd", buffers=5)
    assert defence(updates, users=users).tolist() == [4.0], "of 1, (2 + 6)/2, 3, (4 + 10)/2 and 10⁹"
    assert not defence.full([0, 1, 2, 3, 5, 6], 5)
    assert defence.full(users.tolist(), 100)
    with pytest.raises(ValueError, match="a buffer of basgd is still empty"):
        defence(updates[:5], users=torch.tensor([0, 1, 2, 3, 5]))
