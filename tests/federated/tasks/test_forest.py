"""A forest that users grow together: what travels, a slow twin of a tree, and what each user adds at home."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from app.runs.fitting import weighed
from federated.personal import best_for_each
from federated.tasks import growing
from federated.tasks.forest import judged, learn_together, with_evidence
from federated.tasks.growing import Shape, edges_of, grow_one
from federated.tasks.tree_sums import UNIT, Array, Devices, Splits, Standing, begin_of, cell_of
from federated.trees import Growing
from ranking.metrics import per_user, slate_metrics
from ranking.rankers.forest import Forest
from ranking.shared_forest import LEAST, SharedForest
from ranking.slates import Slates, StoredSlates

USERS = 6
WHOLE = Growing(bins=8, max_depth=4, sample=1, own_depth=2)
"""Trees that see everything."""


def quiet(phase: str, done: int, total: int) -> None:
    """Hears nothing."""


def taste(seed: int, slates: int = 40, pool: int = 8) -> StoredSlates:
    """Users of whom the even ones want a high feature 0, and the odd ones a low one; the rest is noise."""
    draw = np.random.default_rng(seed)
    features = np.round(draw.normal(size=(USERS * slates, pool, 4)), 2).astype(np.float32)
    user = np.repeat(np.arange(USERS), slates)
    liked = features[..., 0] * np.where(user % 2 == 0, 1, -1)[:, None] + features[..., 1]
    position = (liked == liked.max(axis=1, keepdims=True)).astype(np.int16)
    return StoredSlates.of(
        Slates(
            features=torch.from_numpy(features),
            mask=torch.ones(position.shape, dtype=torch.bool),
            position=torch.from_numpy(position),
            wanted=torch.ones(len(user), dtype=torch.int16),
            user=torch.from_numpy(user),
            candidates=torch.from_numpy(draw.integers(99, size=position.shape)).int(),
            typed=torch.ones(len(user), dtype=torch.int16),
        )
    )


def learned(slates: StoredSlates, **given: Any) -> SharedForest:
    ranker = Forest(n_estimators=8, min_samples_leaf=3, max_features=0.5)
    how = replace(Growing(max_depth=6, own_depth=3), **given)
    return weighed(learn_together(slates, taste(1, slates=12), USERS, ranker, "bce", how, 0, quiet))


@pytest.fixture(scope="module")
def slates() -> StoredSlates:
    return taste(0)


@pytest.fixture(scope="module")
def devices(slates: StoredSlates) -> Devices:
    return Devices.of(slates, "bce", 0)


def edges_and_bins(devices: Devices, bins: int) -> tuple[list[Array], Array]:
    edges = [edges_of(devices.spread(f), bins) for f in range(devices.features.shape[1])]
    return edges, devices.binned(edges)


def nmrr(forest: SharedForest, slates: StoredSlates, by: str, shift: int = 0) -> float:
    """Mean over users, each served by the votes of the user so many further on."""
    some = slates.all()
    scores = getattr(forest, by)(replace(some, user=(some.user + shift) % USERS))
    return float(per_user(slate_metrics(scores, some)["nmrr"], some.user)[1].mean())


def test_cells_keep_the_order_of_numbers_and_begin_where_they_say() -> None:
    values = np.array([-3e38, -7.5, -1, -1e-30, -0.0, 0.0, 1e-30, 0.3, 1, 1.004, 1.01, 8, 3e38], np.float32)
    cells = cell_of(values)
    assert (np.diff(cells) >= 0).all()
    assert cells[4] == cells[5], "0 is 0, whatever its sign"
    assert cells[8] == cells[9] != cells[10], "a part of 128 is a cell"
    assert np.array_equal(cell_of(begin_of(cells)), cells)
    assert (begin_of(cells) <= values).all()


def test_bins_are_few_and_hold_everything(devices: Devices) -> None:
    for begins in edges_and_bins(devices, 8)[0]:
        assert 5 <= len(begins) <= 7
    assert len(edges_of(np.zeros(100, np.int64), 8)) == 0
    assert edges_of(np.array([0, 5, 0, 7, 900]), 8).tolist() == [3, 4], "few values have bins of their own"


def test_what_all_answer_is_the_sum_of_what_each_would(devices: Devices) -> None:
    """At the root, after a split, and of what the leaves hold; so the answers can be added up unseen."""
    edges, bins = edges_and_bins(devices, 8)
    asked = np.array([[0, 1, 3]], np.int32)
    splits = Splits(0, np.array([1], np.int32), np.array([4], np.int32), np.array([1], np.int32))
    below = np.array([[2, 0], [1, 3]], np.int32)

    def answers(some: Devices) -> list[Array]:
        standing = Standing.at_root(some, some.binned(edges), 0, 0.5)
        first = standing.sums(0, asked, 8)
        standing.follow(splits)
        spread = [some.spread(f) for f in range(4)]
        return [first, standing.sums(1, below, 8), standing.totals(3), *spread]

    each = [answers(devices.of_user(user)) for user in range(USERS)]
    for whole, *parts in zip(answers(devices), *each, strict=True):
        assert whole.dtype == np.int64
        assert np.array_equal(whole, np.sum(parts, axis=0))
        assert whole.any()
    assert bins.shape == devices.features.shape


def test_no_event_is_in_what_travels(slates: StoredSlates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hears whole numbers, as many as it asked for, which tell cells and labels apart, no more."""
    heard: list[Array] = []

    def listen(where: type, name: str) -> None:
        answer = getattr(where, name)

        def heard_too(*arguments: Any) -> Array:
            heard.append(answer(*arguments))
            return heard[-1]

        monkeypatch.setattr(where, name, heard_too)

    for where, name in ((Devices, "spread"), (Standing, "sums"), (Standing, "totals")):
        listen(where, name)

    def told(of: StoredSlates) -> list[Array]:
        heard.clear()
        devices = Devices.of(of, "bce", 0)
        growing.grow(devices, WHOLE, 2, 3, 0.5, quiet, "")
        return list(heard)

    whole = told(slates)
    assert all(answer.dtype == np.int64 and (answer >= 0).all() for answer in whole)
    rounded = torch.from_numpy(begin_of(cell_of(slates.features.numpy())))
    nameless = replace(
        slates,
        features=rounded,
        candidates=slates.candidates * 0,
        typed=slates.typed * 0,
        wanted=slates.wanted * 9,
    )
    assert all(np.array_equal(a, b) for a, b in zip(whole, told(nameless), strict=True))
    twice = told(StoredSlates.of(slates[torch.arange(len(slates)).repeat_interleave(2)]))
    assert [answer.ndim for answer in twice[:4]] == [answer.ndim for answer in whole[:4]]
    assert twice[0].shape == whole[0].shape, "an answer is not longer because there is more data"
    assert np.array_equal(twice[0], 2 * whole[0])


def test_a_server_reaches_for_nothing_else(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growing works just as well where candidates cannot be looked at, but by asking."""

    class Sealed:
        """Devices of which the server sees only what it may ask, and how many features there are."""

        seed = devices.seed
        features = np.empty((0, 4))

        def __getattr__(self, name: str) -> Any:
            assert name in ("spread", "binned"), f"the server looks at {name}"
            return getattr(devices, name)

    open_standing = Standing.at_root
    monkeypatch.setattr(growing.Standing, "at_root", lambda sealed, *rest: open_standing(devices, *rest))
    sealed: Any = Sealed()
    for ours, theirs in zip(
        growing.grow(sealed, WHOLE, 2, 3, 0.5, quiet, ""),
        growing.grow(devices, WHOLE, 2, 3, 0.5, quiet, ""),
        strict=True,
    ):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def slow_tree(bins: Array, label: Array, depth: int, least: int) -> Array:
    """Everybody's data on one machine: the mean label of each row's leaf, by splits of least variance."""
    usual, votes = label.mean(), np.empty(len(label))

    def split(rows: Array, depth: int) -> None:
        options = []
        for feature in range(bins.shape[1]) if depth else ():
            for at in range(1, 8):
                left = bins[rows, feature] < at
                if min(left.sum(), (~left).sum()) >= least:
                    inside = sum(label[rows[s]].var() * s.sum() for s in (left, ~left))
                    options.append((round(inside, 9), feature, at))
        if options and min(options)[0] < label[rows].var() * len(rows) - 1e-7:
            _, feature, at = min(options)
            left = bins[rows, feature] < at
            split(rows[left], depth - 1)
            split(rows[~left], depth - 1)
        else:
            votes[rows] = (label[rows].sum() + usual) / (len(rows) + 1)

    split(np.arange(len(label)), depth)
    return votes


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_a_tree_is_that_of_the_same_data_on_one_machine(slates: StoredSlates, loss: str) -> None:
    places = slates.position.clone()
    places[1::3] = (torch.arange(len(places[1::3])) % 3).to(places.dtype)
    devices = Devices.of(replace(slates, position=places), loss, 0)
    edges, bins = edges_and_bins(devices, 8)
    tree = grow_one(devices, WHOLE, edges, bins, Shape(least=9, tried=4), 0)
    forest = SharedForest(
        root=np.zeros(1, np.int32),
        evidence=np.zeros((1, 1, 4, 2), np.float32),
        price=np.ones(1),
        **{name: getattr(tree, name) for name in ("feature", "threshold", "vote")},
        left=tree.left.astype(np.int32),
        cell=tree.cell.astype(np.int32),
    )
    slow = slow_tree(bins, devices.label / UNIT, depth=4, least=9)
    assert len(np.unique(slow)) > 8
    np.testing.assert_allclose(forest.votes(devices.features), slow, rtol=0, atol=1e-9)


def test_each_tree_sees_its_part_of_each_users_slates(devices: Devices) -> None:
    seen = devices.seen_by(3, 0.5)
    for user in range(USERS):
        own = devices.user == user
        assert np.array_equal(devices.of_user(user).seen_by(3, 0.5), seen[own]), "it depends on nobody else"
        for slate in range(40):
            assert len(set(seen[own & (devices.slates == slate)])) == 1, "a slate is seen whole"
    assert 0.4 < seen.mean() < 0.6
    assert not np.array_equal(seen, devices.seen_by(4, 0.5))


def test_what_users_add_is_a_newton_step_a_branch(slates: StoredSlates, devices: Devices) -> None:
    forest = learned(slates, own_price=2.0)
    row = int(np.flatnonzero(devices.user == 3)[7])
    p = np.clip(forest.votes(devices.features), LEAST, 1 - LEAST)
    own = devices.user == 3
    steps = []
    for tree in range(8):
        there = branch_of(forest, devices.features, tree)
        same = own & (there == there[row])
        steps.append((devices.label / UNIT - p)[same].sum() / ((p * (1 - p))[same].sum() + 2.0))
    expected = np.log(p[row] / (1 - p[row])) + np.mean(steps)
    user, price = np.array([3]), np.full((USERS, 1), 2.0)
    assert forest.own(devices.features[[row]], user, price)[0, 0] == pytest.approx(expected, abs=1e-5)
    assert len({tuple(branch_of(forest, devices.features, tree)) for tree in range(8)}) > 1


def branch_of(forest: SharedForest, rows: Array, tree: int) -> Array:
    found = []
    for row in rows:
        node = forest.root[tree]
        while forest.feature[node] >= 0:
            node = forest.left[node] + (row[forest.feature[node]] >= forest.threshold[node])
        found.append(forest.cell[node])
    return np.array(found)


def test_own_votes_win_where_users_differ_and_only_for_their_owner(slates: StoredSlates) -> None:
    forest, unseen = learned(slates), taste(2)
    common, own = (nmrr(forest, unseen, by) for by in ("global_scores", "personal_scores"))
    assert own > common + 0.05
    assert nmrr(forest, unseen, "personal_scores", shift=2) > common, "of the same taste"
    assert nmrr(forest, unseen, "personal_scores", shift=1) < common - 0.05, "of the other one"
    assert (forest.price < np.inf).all()


def test_whose_own_votes_do_not_win_keeps_the_common_ones() -> None:
    slates = taste(0)
    noise = replace(slates, position=slates.position[torch.randperm(len(slates.position))])
    forest = learned(noise)
    rows = noise.all()
    lost = nmrr(forest, taste(1, slates=12), "global_scores") - nmrr(
        forest, taste(1, slates=12), "personal_scores"
    )
    assert lost < 0.03
    assert torch.isfinite(forest.personal_scores(rows)).all()


def test_prices_are_chosen_by_ones_own_slates_drawn_to_everybodys() -> None:
    few = [[0.5, 0.6, 0.7], [0.5, 0.6, 0.7], [0.9, 0.8, 0.1], [0.5, 0.52, 0.49], [np.nan] * 3]
    worth, many = torch.tensor(few), torch.tensor([1000, 1000, 1000, 1, 0])
    assert best_for_each(worth, many).tolist() == [2, 2, 0, 1, 1]
    assert not best_for_each(torch.full((2, 3), 0.5), torch.tensor([9, 9])).any(), "ties: the first"
    assert not best_for_each(torch.full((2, 3), torch.nan), torch.zeros(2)).any()
    assert not best_for_each(worth[:, :1], many).any()


def test_what_is_judged_is_made_from_older_slates(devices: Devices) -> None:
    older = devices.older(np.array([0, 1, 39, 40, 100, 5]))
    kept = [len(np.unique(older.slates[older.user == user])) for user in range(USERS)]
    assert kept == [40, 39, 1, 0, 0, 35]
    assert older.slates[older.user == 1].max() == 38, "the latest are left out"


def test_prices_are_judged_by_what_older_slates_say(slates: StoredSlates, devices: Devices) -> None:
    ahead = taste(1, slates=12)
    whole = learn_together(slates, ahead, USERS, Forest(n_estimators=2), "bce", Growing(), 0, quiet)
    older = with_evidence(whole.forest, devices.older(np.full(USERS, 12)), quiet)
    prices = Growing().prices
    np.testing.assert_array_equal(whole.nmrr, judged(older, ahead, prices, quiet))
    assert not np.array_equal(whole.nmrr, judged(whole.forest, ahead, prices, quiet)), (
        "all of them rank later"
    )


def test_judging_is_each_users_own_mean(slates: StoredSlates) -> None:
    forest, some = learned(slates), taste(4, slates=5)
    table = judged(forest, some, (np.inf, 1.0), quiet)
    user, common = per_user(slate_metrics(forest.global_scores(some.all()), some.all())["nmrr"], some.user)  # type: ignore[arg-type]
    np.testing.assert_allclose(table[user, 0], common, atol=1e-12)
    at_one = replace(forest, price=np.ones(USERS))
    own = per_user(slate_metrics(at_one.personal_scores(some.all()), some.all())["nmrr"], some.user)[1]
    np.testing.assert_allclose(table[:, 1], own, atol=1e-12)
    assert np.isnan(judged(forest, some.subset(torch.arange(3)), (1.0,), quiet)[1:]).all()


def test_threads_change_no_bit(slates: StoredSlates) -> None:
    usual = torch.get_num_threads()
    try:
        contents = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            contents.append(learned(slates).dump())
    finally:
        torch.set_num_threads(usual)
    assert contents[0] == contents[1]


def test_a_large_question_is_asked_in_parts(slates: StoredSlates, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learned(slates).dump()
    monkeypatch.setattr(growing, "AT_ONCE", 3)
    assert learned(slates).dump() == whole


def test_evidence_is_everybodys_own(slates: StoredSlates, devices: Devices) -> None:
    forest = learned(slates)
    alone = with_evidence(forest, devices.of_user(4), quiet).evidence
    assert np.array_equal(alone[4], with_evidence(forest, devices, quiet).evidence[4])
    assert not alone[:4].any()
