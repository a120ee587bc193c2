"""Budgets of releases, how they are spent, and that OpenDP agrees."""

import json
import math
from dataclasses import asdict
from typing import Any

import pytest

from data.privacy import Budget, PrivacyError, delta_of, plan, require_mechanism, rules_of, threshold
from data.public_counts import Bounds
from data.schema import DataError

SPENT = {
    "name": "queries",
    "share": 1.0,
    "rho": 1.0,
    "delta": 5e-4,
    "noise": 2.0,
    "count_noise": 0.0,
    "threshold": 9,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epsilon", bad) for bad in (0, -1, math.nan, math.inf, 1000, "2", True)],
        *[("delta", bad) for bad in (0, -1e-3, 1.0, math.nan)],
        *[("things", bad) for bad in (0, 1.5, 20_000)],
        ("times", 0),
    ],
)
def test_what_is_no_budget(name: str, value: Any) -> None:
    with pytest.raises(PrivacyError, match=f"public {name} = "):
        Budget(**{"epsilon": 1.0, name: value})


def test_delta_goes_by_the_number_of_users() -> None:
    Budget(1, 1e-3).require_users(999)
    with pytest.raises(PrivacyError, match=r"1/1000 = 0\.001: give a smaller --public-delta"):
        Budget(1, 1e-3).require_users(1000)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1, 8, 100])
@pytest.mark.parametrize("delta", [1e-9, 1e-3, 0.1])
def test_all_of_the_budget_is_spent_and_no_more(epsilon: float, delta: float) -> None:
    rho = Budget(epsilon, delta).rho
    assert delta_of(rho, epsilon) <= delta / 2 < delta_of(1.001 * rho, epsilon)


@pytest.mark.parametrize("times", [1, 5])
def test_shares_add_up_to_the_budget(times: int) -> None:
    """A table's noise costs L/(2σ²) for the users, and where counts are released LT²/(2σ²) for those."""
    budget = Budget(2, 1e-3, 7, times)
    spent = [plan(budget, "some", share) for share in (0.5, 0.3, 0.2)]
    rho = sum(7 / (2 * one.noise**2) for one in spent)
    if times > 1:
        rho += sum(7 * times**2 / (2 * one.count_noise**2) for one in spent)
    assert rho == pytest.approx(budget.rho) == sum(one.rho for one in spent)
    assert sum(one.delta for one in spent) == pytest.approx(budget.delta / 2)


@pytest.mark.parametrize("epsilon", [1, 4, 8])
@pytest.mark.parametrize("things", [1, 16])
def test_opendp_agrees(epsilon: float, things: int) -> None:
    """Its accountant finds no more than the budget, and not much less."""
    dp = pytest.importorskip("opendp.prelude", reason="needs the extra privacy")
    dp.enable_features("contrib")
    budget = Budget(epsilon, 1e-3, things)
    spent = plan(budget, "queries", 1.0)
    whole = dp.atom_domain(T="i64")
    distance = dp.l02inf_distance(dp.absolute_distance(T="i64"))
    table = dp.m.make_gaussian_threshold(
        dp.map_domain(whole, whole), distance, scale=spent.noise, threshold=spent.threshold
    )
    rho, delta = table.map((things, things, 1))
    assert rho == pytest.approx(spent.rho, rel=1e-6)
    assert delta <= spent.delta
    number = dp.m.make_gaussian(whole, dp.absolute_distance(T="i64"), scale=math.sqrt(1 / (2 * rho)))
    found = dp.c.make_zCDP_to_approxDP(number).map(1).epsilon(budget.delta / 2)
    assert 0.99 * epsilon < found < 1.001 * epsilon


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.6, 30.0])
@pytest.mark.parametrize("things", [1, 10])
def test_a_threshold_is_the_least_that_one_users_things_hardly_reach(noise: float, things: int) -> None:
    delta = 1e-3
    least = threshold(noise, things, delta)
    weight = {z: math.exp(-((z / noise) ** 2) / 2) for z in range(-2000, 2001)}
    whole = sum(weight.values())

    def reached(at: int) -> float:
        return 1 - (1 - sum(w for z, w in weight.items() if 1 + z >= at) / whole) ** things

    assert reached(least) <= delta * (1 + 1e-9) < reached(least - 1)


def test_rules_of_a_manifest() -> None:
    assert rules_of({}) is None
    assert rules_of({"options": {"public_counts": {"users": 2, "things": 3, "times": 4}}}) == Bounds(2, 3, 4)
    budget = Budget(2.0, 1e-3, 5, 1)
    manifest = {"options": {"public_counts": asdict(budget)}, "release": {"tables": {"0": SPENT}}}
    assert rules_of(json.loads(json.dumps(manifest))) == budget
    with pytest.raises(DataError, match="released once, with noise: nodes cannot count them again"):
        Bounds.of(manifest)


@pytest.mark.parametrize(
    ("options", "release"),
    [
        ({"epsilon": "much"}, {"tables": {"0": SPENT}}),
        ({"epsilon": 2.0, "more": 1}, {"tables": {"0": SPENT}}),
        ({"epsilon": 2.0}, None),
        ({"epsilon": 2.0}, {"tables": [SPENT]}),
        ({"epsilon": 2.0}, {"tables": {"zero": SPENT}}),
        ({"epsilon": 2.0}, {"tables": {"0": {"name": "queries"}}}),
        ({"epsilon": 2.0}, {"tables": {"0": SPENT | {"threshold": 1.5}}}),
    ],
)
def test_a_damaged_manifest(options: Any, release: Any) -> None:
    with pytest.raises(DataError, match="public"):
        rules_of({"options": {"public_counts": options}, "release": release})


def test_counts_with_noise_know_no_moments() -> None:
    options = {"public_counts": asdict(Budget(1.0)), "strict_time": True}
    with pytest.raises(DataError, match="leave strict time out"):
        rules_of({"options": options, "release": {"tables": {}}})


def test_without_opendp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.privacy.find_spec", lambda name: None)
    with pytest.raises(PrivacyError, match=r"pip install 'persarank\[privacy\]'"):
        require_mechanism()


def test_a_smaller_share_is_noisier() -> None:
    small, large = (plan(Budget(4), "some", share) for share in (0.1, 0.9))
    assert small.noise == pytest.approx(3 * large.noise)
    assert small.threshold > large.threshold
