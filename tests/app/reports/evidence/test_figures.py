"""The figures of a report are those of `evaluate`, grouped by seed, and compared as they should be."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.reports.evidence import figures
from app.reports.evidence.differences import within
from app.reports.evidence.gains import AXES, Axis, gains, values
from app.reports.evidence.gathering import Gathered
from app.reports.evidence.groups import Group, grouped, settings
from app.reports.evidence.people import spread
from app.runs.evaluation import compare, describe, judge, users_table
from ranking.metrics import per_user
from ranking.slates import Slates
from ranking.sources import earlier


@pytest.fixture
def data(told: dict[str, Any]) -> dict[str, Any]:
    (dataset,) = told["datasets"]
    return dict(dataset)


@pytest.fixture(scope="session")
def groups(gathered: Gathered) -> list[Group]:
    return grouped(gathered.judged, lambda run, why: pytest.fail(why))


def test_every_run_is_described_and_compared_as_by_evaluate(gathered: Gathered, data: dict[str, Any]) -> None:
    for run, judged in zip(data["runs"], gathered.judged, strict=True):
        assert {name: run[name] for name in describe(judged)} == describe(judged)
    first, *others = gathered.judged
    assert data["differences"] == [compare(judged, first) for judged in others]
    for name, metrics in data["yardsticks"].items():
        assert metrics == data["runs"][0]["metrics"][name]


def test_seeds_are_one_group_whose_figures_are_their_means(
    gathered: Gathered, data: dict[str, Any], groups: list[Group]
) -> None:
    assert [group["seeds"] for group in data["groups"]] == [[0, 1], [0], [0], [0]]
    assert [group["group"] for group in data["groups"]] == ["A", "B", "C", "D"]
    two = [describe(judged)["metrics"] for judged in gathered.judged[:2]]
    for ranking in ("global", "personal"):
        for name in ("nmrr", "mrr@10", "accuracy@10", "success@1"):
            each = [metrics[ranking][name] for metrics in two]
            assert data["groups"][0]["metrics"][ranking][name] == pytest.approx(np.mean(each))
            assert data["groups"][0]["over_seeds"][ranking][name] == [min(each), max(each)]
    by_seed = [[row["personal"]["nmrr"] for row in users_table(judged)] for judged in gathered.judged[:2]]
    assert data["groups"][0]["metrics"]["personal"]["p10_user_nmrr"] == pytest.approx(
        np.percentile(np.mean(by_seed, axis=0), 10)
    ), "of users whose seeds are averaged"
    for number, group in enumerate(data["groups"][1:], start=2):
        alone = describe(gathered.judged[number])["metrics"]
        for ranking in ("global", "personal"):
            assert group["metrics"][ranking] == pytest.approx(alone[ranking])
    assert data["groups"][2]["metrics"]["global"] is None, "local has no common model"


def test_differences_of_single_runs_are_those_of_evaluate(gathered: Gathered, data: dict[str, Any]) -> None:
    """C − B, two groups of one run each."""
    for metric in ("nmrr", "mrr@10"):
        pairs = {(p["group"], p["against"]): p for p in data["between"][metric]}
        assert len(pairs) == 6
        pair = pairs["C", "B"]
        told = compare(gathered.judged[3], gathered.judged[2])[metric]
        assert {name: pair[name] for name in told} == pytest.approx(told, abs=1e-12)
        own = next(d for d in data["within"][metric] if (d["group"], d["against"]) == ("B", "global"))
        told = describe(gathered.judged[2])["personal_minus_global"][metric]
        assert {name: own[name] for name in told} == pytest.approx(told, abs=1e-12)
    assert not any((d["group"], d["against"]) == ("C", "global") for d in data["within"]["nmrr"])


def test_p_values_are_corrected_for_the_whole_family(data: dict[str, Any]) -> None:
    for family in (*data["between"].values(), *data["within"].values()):
        ordered = sorted(family, key=lambda pair: pair["p"])
        corrected = 0.0
        for place, pair in enumerate(ordered):
            corrected = max(corrected, min(1, pair["p"] * (len(family) - place)))
            assert pair["p_holm"] == pytest.approx(corrected)


def test_names_and_settings_tell_groups_apart(groups: list[Group]) -> None:
    names = [tuple(group.label.split(" × ")[:2]) for group in groups]
    assert names == [("persa-fl-me", "mlp"), ("fedavg", "mlp"), ("local", "mlp"), ("pooled", "forest")]
    told = settings(groups)
    assert told["differing"]["algorithm"] == dict(
        zip("ABCD", ("persa-fl-me", "fedavg", "local", "pooled"), strict=True)
    )
    assert set(told["partly"]["updates"]) == {"A", "B", "C"}, "forests have no updates"
    assert "seed" not in str(told)
    assert not any(told["shared"].keys() & told["differing"].keys())


def test_a_group_that_differs_in_one_setting_is_named_by_it(gathered: Gathered) -> None:
    first = gathered.judged[0]
    other = replace(first.run.settings, updates=61)
    two = [first, replace(first, run=replace(first.run, settings=other))]
    assert [group.label.rpartition(", ")[2] for group in grouped(two, lambda run, why: None)] == [
        "updates 60",
        "updates 61",
    ]


def test_what_was_stopped_is_no_seed_of_what_was_finished(gathered: Gathered) -> None:
    first, second = gathered.judged[:2]
    stopped = replace(second, run=replace(second.run, summary={**second.run.summary, "finished": False}))
    both = grouped([first, stopped], lambda run, why: None)
    assert both[1].label == f"{both[0].label}, stopped after 60"


def test_a_copy_counts_once_and_is_named(gathered: Gathered) -> None:
    first = gathered.judged[0]
    copy = replace(first, run=replace(first.run, directory=Path("copy")))
    left: list[tuple[str, str]] = []
    (group,) = grouped([first, copy], lambda run, why: left.append((str(run.run.directory), why)))
    assert group.runs == [first]
    ((name, why),) = left
    assert name == "copy"
    assert str(first.run.directory) in why


def test_gains_are_those_of_a_loop(gathered: Gathered, groups: list[Group]) -> None:
    """Every bin by hand: a user's slates in it first, then users."""
    ground = groups[0].ground
    found = gains(groups[:2], "test")
    by_axis = values(ground, "test")
    events = ground.source.dataset.events.to_pylist()
    slates = ground.source.dataset.slates.to_pylist()
    rows = [slate for slate in slates if events[slate["event_id"]]["split"] == "test"]
    assert by_axis["typed"].tolist() == [len(slate["prefix"]) for slate in rows]
    assert by_axis["pool"].tolist() == [len(slate["pool"]) for slate in rows]
    for slate, number in zip(rows, by_axis["history"].tolist(), strict=True):
        mine = events[slate["event_id"]]
        before = [e for e in events if e["user_id"] == mine["user_id"] and e["timestamp"] < mine["timestamp"]]
        assert number == len(before)
    user = ground.slates.user.tolist()
    for axis in AXES:
        number, labels = axis.bins(by_axis[axis.name])
        told = [
            row for row in found if (row["axis"], row["group"], row["against"]) == (axis.name, "A", "global")
        ]
        assert sum(row["slates"] for row in told) == len(user)
        own, common = groups[0].metrics["personal"], groups[0].metrics["global"]
        assert own is not None
        assert common is not None
        gain = (own["nmrr"] - common["nmrr"]).tolist()
        for row in told:
            mine = [place for place in range(len(user)) if labels[number[place]] == row["bin"]]
            by_user: dict[int, list[float]] = {}
            for place in mine:
                by_user.setdefault(user[place], []).append(gain[place])
            assert row["slates"] == len(mine)
            assert row["users"] == len(by_user)
            assert row["mean"] == pytest.approx(np.mean([np.mean(v) for v in by_user.values()]))
            if row["low"] is not None:
                assert row["low"] <= row["mean"] <= row["high"]


def test_what_happens_at_once_is_not_earlier() -> None:
    user, time = np.array([1, 0, 1, 1, 0, 1]), np.array([5, 9, 5, 7, 2, -3])
    assert earlier(user, time).tolist() == [1, 1, 1, 3, 0, 0]


def test_bins_have_the_values_they_say() -> None:
    number, labels = Axis("x", "x", (1, 2, 6)).bins(np.array([1, 2, 5, 6, 600]))
    assert [labels[n] for n in number] == ["1", "2–5", "2–5", "6+", "6+"]


def test_who_loses_is_named_with_how_much(groups: list[Group]) -> None:
    group = groups[1]
    judged = group.runs[0]
    common = judged.metrics["global"]
    assert common is not None
    user = judged.ground.slates.user
    shift = torch.zeros(len(user), dtype=torch.float64)
    shift[user == 3], shift[user == 5], shift[user == 7], shift[user == 8] = -0.2, -0.3, 0.1, -0.009
    own = {name: of + shift for name, of in common.items()}
    changed = replace(group, runs=[replace(judged, metrics={**judged.metrics, "personal": own})])
    told = spread(changed)["changes"]["global"]
    assert (told["better"], told["same"], told["worse"]) == (1, 17, 2)
    names = judged.ground.source.dataset.users.column("name").to_pylist()
    assert [loser["user"] for loser in told["losers"]] == [names[5], names[3]], "the hardest hit first"
    assert [loser["difference"] for loser in told["losers"]] == pytest.approx([-0.3, -0.2])
    before = per_user(common["nmrr"], user)[1]
    assert told["losers"][0]["before"] == pytest.approx(before[5])
    assert told["losers"][0]["own"] == pytest.approx(before[5] - 0.3)


class Constant:
    """A model that gives every candidate the same score."""

    has_common, has_own = True, False

    def global_scores(self, slates: Slates) -> torch.Tensor:
        return torch.zeros(slates.mask.shape)

    personal_scores = global_scores


def test_a_constant_scorer_is_chance_everywhere(
    gathered: Gathered, groups: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = gathered.judged[0].run
    monkeypatch.setattr(type(run), "model", lambda *_: Constant())
    judged = judge(run, groups[0].ground, "test")
    (told,) = figures.report(Gathered([judged]), "test")["datasets"]
    (group,) = told["groups"]
    chance = told["yardsticks"]["random"]
    assert 0 < chance["nmrr"] < 0.7
    for ranking in ("global", "personal"):
        assert group["metrics"][ranking] == pytest.approx(chance)
    for metric, family in told["within"].items():
        than_history = next(d for d in family if d["against"] == "history")
        assert than_history["mean"] == pytest.approx(chance[metric] - told["yardsticks"]["history"][metric])
    assert {row["mean"] for row in told["gains"] if row["against"] == "global"} == {0.0}
    assert [warning["kind"] for warning in told["runs"][0]["warnings"]] == ["no better than chance"]
    assert group["spread"]["percentiles"]["personal"][-1] < 1


def test_one_user_has_means_and_nothing_more(groups: list[Group]) -> None:
    """There is nothing to draw from; every figure is a number or nothing, for JSON has no NaN."""
    judged = groups[1].runs[0]
    alone = (judged.ground.slates.user == 2).nonzero().squeeze(1)
    ground = replace(judged.ground, slates=judged.ground.slates.subset(alone))
    metrics = {
        name: None if of is None else {metric: values[alone] for metric, values in of.items()}
        for name, of in judged.metrics.items()
    }
    one = replace(groups[1], runs=[replace(judged, ground=ground, metrics=metrics)])
    for pair in within([one], "nmrr"):
        assert math.isfinite(pair["mean"])
        assert (pair["low"], pair["p"], pair["p_holm"]) == (None, None, None)


def test_who_loses_and_who_gains_is_named_beside_every_ranking(
    data: dict[str, Any], groups: list[Group]
) -> None:
    for told, group in zip(data["groups"], groups, strict=True):
        rows = {row["user"]: row for row in data["users_by_name"]}
        for than, changes in told["spread"]["changes"].items():
            assert (len(changes["losers"]), len(changes["gainers"])) == (changes["worse"], changes["better"])
            assert changes["better"] + changes["same"] + changes["worse"] == len(rows)
            for kind, sign in (("losers", -1), ("gainers", 1)):
                sizes = [sign * user["difference"] for user in changes[kind]]
                assert sizes == sorted(sizes, reverse=True)
                assert all(size > 0.01 for size in sizes)
            if than == "history":
                for user in changes["losers"]:
                    row = rows[user["user"]]
                    assert user["before"] == row["history"]
                    assert user["own"] == row["groups"][group.letter]["personal"]
    assert [told["spread"]["changes"].get("global", {}).get("identical") for told in data["groups"]] == [
        False,
        True,
        None,
        True,
    ], "federated averaging and a pooled forest rank alike for everyone"


def test_pools_of_one_candidate_are_counted(data: dict[str, Any], gathered: Gathered) -> None:
    sizes = gathered.judged[0].ground.slates.offsets.diff().tolist()
    assert data["single"] == sum(size == 1 for size in sizes)
