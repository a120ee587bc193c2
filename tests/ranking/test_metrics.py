"""Metrics against their literal definitions over every order, and against what must hold of any metric."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.metrics import METRICS, missed, nmrr, paired_bootstrap, per_user, slate_metrics, summarise
from ranking.slates import pad

EXACT = 1e-12
PATTERNS = [  # places in the reference of up to 6 candidates (0: outside it), and the reference's length
    ((1, 0, 0, 0, 0, 0), 1),
    ((1, 2, 3, 0, 0, 0), 3),
    ((2, 0, 5, 3, 0, 0), 5),  # r_1 and r_4 are not in the pool
    ((4, 0, 1, 2, 0, 3), 4),
    ((0, 0, 0, 0, 0, 0), 2),  # a miss
]


def harmonic(n: int) -> float:
    return sum(1 / j for j in range(1, n + 1))


def literal(ranked: tuple[int, ...], m: int, k: int) -> dict[str, float]:
    """The definitions as `ranking.metrics` states them; ``ranked`` are places in ranked order."""
    cut = min(k, m)
    hits = [0 < place <= cut for place in ranked[:cut]]
    own = ranked.index(1) + 1 if 1 in ranked else None
    return {
        f"accuracy@{k}": sum(hit / j for j, hit in enumerate(hits, 1)) / harmonic(cut),
        f"plain_accuracy@{k}": sum(hits) / cut,
        "nmrr": sum(1 / j for j, place in enumerate(ranked, 1) if place) / harmonic(m),
        f"mrr@{k}": 1 / own if own and own <= k else 0.0,
        "success@1": float(own == 1),
        f"success@{k}": float(own is not None and own <= k),
    }


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("size", range(1, 7))
def test_every_order_and_every_tie_scores_its_expectation(make_slates, size, k):
    """All weak orders of the pool: each must score the mean over all orders that agree with it."""
    weak = [s for s in product(range(size), repeat=size) if set(s) == set(range(max(s) + 1))]
    scores = torch.tensor(weak, dtype=torch.float32)
    orders = np.array(list(permutations(range(size))))
    agrees = (np.diff(np.array(weak, dtype=np.int8)[:, orders], axis=2) <= 0).all(2)
    for places, m in PATTERNS:
        pool = places[:size]
        slates = make_slates([pool] * len(weak), wanted=[m] * len(weak))
        found = slate_metrics(scores, slates, k)
        truth = [literal(tuple(pool[c] for c in order), m, k) for order in orders]
        for name, values in found.items():
            expected = agrees @ np.array([t[name] for t in truth]) / agrees.sum(1)
            np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=EXACT, err_msg=name)


def test_one_slate_by_hand(make_slates):
    # pool a b c d, reference c > a; ranked c b a d
    found = slate_metrics(torch.tensor([[2.0, 3, 4, 1]]), make_slates([[2, 0, 1, 0]]))
    assert set(found) == set(METRICS)
    by_hand = {"accuracy@10": 2 / 3, "plain_accuracy@10": 1 / 2, "nmrr": (1 + 1 / 3) / 1.5}
    by_hand |= {"mrr@10": 1, "success@1": 1, "success@10": 1}
    assert {name: float(v) for name, v in found.items()} == pytest.approx(by_hand, abs=EXACT)


def test_a_choice_beyond_the_cutoff_counts_for_nmrr_alone(make_slates):
    slates = make_slates([[0] * 10 + [1]])
    found = slate_metrics(-torch.arange(11.0)[None], slates)
    assert float(found.pop("nmrr")) == pytest.approx(1 / 11)
    assert {name: float(v) for name, v in found.items()} == dict.fromkeys(found, 0.0)


@pytest.mark.parametrize(("size", "chance"), [(1, 1.0), (6, 0.408), (75, 0.065)])
def test_a_constant_scorer_scores_chance(make_slates, size, chance):
    slates = make_slates([[0] * (size - 1) + [1]], width=80)
    nmrr = float(slate_metrics(torch.zeros(1, 80), slates)["nmrr"])
    assert nmrr == pytest.approx(harmonic(size) / size, abs=1e-12)
    assert nmrr == pytest.approx(chance, abs=5e-4)


@st.composite
def moments(draw, low=-4, high=4):
    """A pool's integer scores, with ties, and its candidates' places in the reference."""
    size = draw(st.integers(1, 8))
    scores = draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
    reference = draw(st.permutations(range(size)))[: draw(st.integers(1, size))]
    places = [reference.index(c) + 1 if c in reference else 0 for c in range(size)]
    return scores, places


def figures(make_slates, scores, places, k=3, width=0):
    slates = make_slates([places], width=width)
    padded = torch.nn.functional.pad(torch.as_tensor(scores).double(), (0, width and width - len(scores)))
    return {name: float(v) for name, v in slate_metrics(padded[None], slates, k).items()}


@settings(derandomize=True, deadline=None)
@given(moments())
def test_moving_a_relevant_candidate_up_never_lowers_a_metric(make_slates, moment):
    scores, places = moment
    before = figures(make_slates, scores, places)
    for low, high in permutations(range(len(places)), 2):
        if places[low] and not places[high] and scores[low] <= scores[high]:
            better = list(scores)
            better[low], better[high] = scores[high], scores[low]
            after = figures(make_slates, better, places)
            assert all(after[name] >= before[name] - 1e-12 for name in before)
            if scores[low] < scores[high]:
                assert after["nmrr"] > before["nmrr"]


@settings(derandomize=True, deadline=None)
@given(st.lists(moments(), min_size=1, max_size=6))
def test_nmrr_alone_is_what_it_is_among_all_metrics(make_slates, several):
    """With ties, misses, and references that are longer than what of them is in the pool."""
    places = [[] if sum(scores) == 7 else places for scores, places in several]
    slates = make_slates(places, wanted=[max(1, *p, 0) + len(p) % 2 for p in places])
    scores = [scores if row else [] for row, (scores, _) in zip(places, several, strict=True)]
    padded = pad([torch.tensor(row, dtype=torch.float64) for row in scores], value=float("nan"))
    if padded.shape[1]:
        expected = slate_metrics(padded, slates)["nmrr"]
        torch.testing.assert_close(nmrr(padded, slates), expected, atol=1e-12, rtol=0)


@settings(derandomize=True, deadline=None)
@given(moments(), st.sampled_from([lambda s: s**3 + s, torch.exp, lambda s: 1e30 * s - 7, torch.atan]))
def test_strictly_increasing_maps_change_nothing(make_slates, moment, increasing):
    scores, places = moment
    mapped = increasing(torch.tensor(scores).double())
    before = figures(make_slates, scores, places, width=10)
    assert figures(make_slates, mapped, places, width=10) == before


@pytest.mark.parametrize("padding", [0.0, 1e9, -1e9, float("nan"), float("inf")])
def test_padding_changes_nothing_whatever_its_score(make_slates, padding):
    places, scores = [2, 0, 1, 0, 3], torch.tensor([[1.0, 1, 2, 4, -3]])
    plain = slate_metrics(scores, make_slates([places]))
    padded = torch.nn.functional.pad(scores, (0, 7), value=padding)
    wide = slate_metrics(padded, make_slates([places], width=12))
    assert {n: float(v) for n, v in wide.items()} == {n: float(v) for n, v in plain.items()}


def test_a_miss_scores_0_and_is_counted_alone_and_in_a_batch(make_slates):
    """allRank masked the whole batch by one slate's misses: empty slates scored 1 there."""
    places, wanted = [[0, 0, 0], [1, 0, 2], [0, 0, 0, 0], [0, 1]], [3, 2, 1, 1]
    scores = torch.tensor([[3.0, 2, 1, 0], [1, 3, 2, 0], [0, 0, 0, 0], [1, 2, 0, 0]])
    batch = make_slates(places, wanted)
    assert missed(batch).tolist() == [True, False, True, False]
    found = slate_metrics(scores, batch)
    for s, (place, m) in enumerate(zip(places, wanted, strict=True)):
        one = make_slates([place], [m])
        assert missed(one).tolist() == [not any(place)]
        alone = slate_metrics(scores[s : s + 1, : len(place)], one)
        for name, values in found.items():
            assert float(values[s]) == float(alone[name])
            assert any(place) or float(values[s]) == 0
    assert all(float(v[3]) == 1 for v in found.values())


def test_nan_raises(make_slates):
    with pytest.raises(ValueError, match="NaN"):
        slate_metrics(torch.tensor([[1.0, torch.nan]]), make_slates([[1, 0]]))


def test_users_weigh_the_same_however_many_slates_they_have():
    user, values = torch.tensor([7, 2, 7, 7]), torch.tensor([0.0, 1, 0.5, 1])
    users, means = per_user(values, user)
    assert (users.tolist(), means.tolist()) == ([2, 7], [1.0, 0.5])
    by_user = summarise({"nmrr": values, "mrr@10": 1 - values}, user)
    assert by_user == pytest.approx({"nmrr": 0.75, "mrr@10": 0.25, "p10_user_nmrr": 0.55})
    assert summarise({"nmrr": values}, user, over="slates")["nmrr"] == pytest.approx(2.5 / 4)
    assert summarise({"mrr@10": values}, user, over="slates") == pytest.approx({"mrr@10": 2.5 / 4})


def test_bootstrap_is_deterministic_and_zero_for_equal_models():
    differences = np.random.default_rng(0).normal(size=30)
    assert paired_bootstrap(differences, seed=1) == paired_bootstrap(differences, seed=1)
    assert paired_bootstrap(differences, seed=1) != paired_bootstrap(differences, seed=2)
    assert paired_bootstrap([0.0] * 30) == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_bootstrap_intervals_cover_the_mean_95_times_in_100():
    samples = np.random.default_rng(0).normal(0.3, 1.0, size=(200, 60))
    intervals = [paired_bootstrap(s, seed=i, resamples=400) for i, s in enumerate(samples)]
    assert all(i["mean"] == pytest.approx(s.mean()) for i, s in zip(intervals, samples, strict=True))
    assert 0.9 <= np.mean([i["low"] < 0.3 < i["high"] for i in intervals]) <= 0.98
    width = np.mean([i["high"] - i["low"] for i in intervals])
    assert width == pytest.approx(2 * 1.96 / np.sqrt(60), rel=0.05)
