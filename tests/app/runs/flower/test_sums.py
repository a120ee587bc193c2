"""Metrics as sums over users: of several nodes they are those of one place, and untrue ones are refused."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from app.runs.flower.sums import MetricSums
from app.runs.verdict import COMMON, OWN, RANDOM
from ranking.metrics import METRICS, per_user


def metrics(slates: int, seed: int) -> dict[str, dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    return {by: {n: torch.rand(slates, generator=draw) for n in METRICS} for by in (RANDOM, COMMON, OWN)}


def test_sums_of_two_nodes_are_the_means_of_one_place() -> None:
    found, user = metrics(40, 0), torch.arange(40) // 4
    first, second = user < 3, user >= 3

    def part(of: torch.Tensor) -> MetricSums:
        chosen = {by: {n: v[of] for n, v in values.items()} for by, values in found.items()}
        sent = json.loads(json.dumps(MetricSums.of(chosen, user[of]).pack()))
        return MetricSums.unpack(sent, most=10)

    both = MetricSums.together([part(first), MetricSums(), part(second)])
    assert (both.users, both.slates) == (10, 40)
    for by, values in found.items():
        for name, value in values.items():
            assert both.means()[by][name] == pytest.approx(per_user(value, user)[1].mean())
    differences = per_user(found[OWN]["nmrr"] - found[COMMON]["nmrr"], user)[1]
    beside = both.difference(OWN, COMMON)
    assert beside is not None
    half = 1.96 * np.std(differences, ddof=1) / np.sqrt(10)
    assert beside["mean"] == pytest.approx(differences.mean())
    assert (beside["low"], beside["high"]) == pytest.approx((beside["mean"] - half, beside["mean"] + half))


UNTRUE: dict[str, dict[str, Any]] = {
    "more users than it has": {},
    "users that are no whole number": {"users": 2.5},
    "fewer slates than users": {"slates": 1},
    "slates beyond counting": {"slates": 10**30},
    "no rankings": {"metrics": {}},
    "no squares": {"squares": {}},
    "nothing": {"users": None},
}


@pytest.mark.parametrize("name", UNTRUE)
def test_what_cannot_be_true_is_refused(name: str) -> None:
    packed = MetricSums.of(metrics(8, 1), torch.arange(8) // 2).pack()
    assert MetricSums.unpack(packed, most=4).users == 4
    with pytest.raises(ValueError, match="metrics"):
        MetricSums.unpack(packed | UNTRUE[name], most=3 if name == "more users than it has" else 4)


def test_a_metric_is_at_most_one_a_user() -> None:
    packed = MetricSums.of(metrics(8, 1), torch.arange(8) // 2).pack()
    packed["metrics"][OWN]["nmrr"] = 4.1
    with pytest.raises(ValueError, match="metrics"):
        MetricSums.unpack(packed, most=4)


def test_doubts_are_those_that_sums_can_show() -> None:
    worse = metrics(200, 2)
    user = torch.arange(200) // 2
    worse[COMMON]["nmrr"] = worse[RANDOM]["nmrr"] * 0.2 + 0.8
    worse[OWN]["nmrr"] = worse[COMMON]["nmrr"] - 0.2
    kinds = [(doubt.kind, doubt.ranking) for doubt in MetricSums.of(worse, user).doubts()]
    assert kinds == [("worse than what they are made from", OWN)]
    chance = metrics(200, 3)
    assert {doubt.ranking for doubt in MetricSums.of(chance, user).doubts()} >= {COMMON, OWN}
