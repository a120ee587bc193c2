"""What stands in short: the verdict first, by paired differences, and nothing that is not so."""

from copy import deepcopy
from typing import Any

import pytest

from app.reports.pages.blocks import Points
from app.reports.pages.short import in_short


@pytest.fixture
def data(told: dict[str, Any]) -> dict[str, Any]:
    dataset: dict[str, Any] = deepcopy(told["datasets"][0])
    return dataset


def points(dataset: dict[str, Any]) -> list[str]:
    return [point for block in in_short(dataset, 2) if isinstance(block, Points) for _, point in block.points]


def alone(dataset: dict[str, Any]) -> dict[str, Any]:
    dataset["groups"] = dataset["groups"][:1]
    for family in dataset["within"].values():
        family[:] = [pair for pair in family if pair["group"] == "A"]
    return dataset


@pytest.mark.parametrize(
    ("mean", "p", "verdict"),
    [
        (-0.02, 0.01, "worse: A (-0.0200)"),
        (0.02, 0.01, "better: A (+0.0200)"),
        (0.02, 0.2, "not told from chance: A (+0.0200)"),
        (0.02, None, "not told from chance: A (+0.0200)"),
    ],
)
def test_the_verdict_against_history_comes_first(
    data: dict[str, Any], mean: float, p: float | None, verdict: str
) -> None:
    pair = next(p for p in alone(data)["within"]["nmrr"] if p["against"] == "history")
    pair |= {"mean": mean, "p_holm": p}
    first, second, *rest = points(data)
    assert first.startswith("Against what the user searched before, which needs no training (NMRR 0.")
    assert first.endswith(f"): {verdict}.")
    assert second.startswith("Against what is popular")
    assert "highest" not in " ".join(rest), "one ranker is not the best of any"


def test_of_several_the_best_is_named_after_the_verdicts(data: dict[str, Any]) -> None:
    figures = {group["group"]: group["metrics"]["personal"]["nmrr"] for group in data["groups"]}
    best = max(figures, key=lambda letter: figures[letter])
    told = points(data)
    assert told[2].startswith(f"Of these rankers, {best} (")
    assert told[2].endswith(f"has the highest NMRR: {figures[best]:.4f}.")
    for letter in figures:
        assert f"{letter} (" in told[0]


def test_pools_of_one_are_said_where_they_are_most(data: dict[str, Any]) -> None:
    assert not any("single" in point for point in points(data))
    data |= {"slates": 96, "single": 65}
    data["yardsticks"]["random"]["nmrr"] = 0.875
    expected = "65 of 96 searches had a single suggestion to choose from, which every ranker ranks alike: "
    assert f"{expected}chance alone gives 0.8750." in points(data)


@pytest.mark.parametrize(
    ("nobody", "identical", "better", "expected"),
    [
        (True, True, 0, "everyone keeps the common model, since on validation searches nobody was better"),
        (False, True, 0, "own models rank what was wanted exactly as the common model does."),
        (False, False, 0, "own models change nobody's NMRR by more than 0.01."),
        (False, False, 3, "own models serve 3 users better than the common model, 17 about the same, and 0"),
    ],
)
def test_alike_is_said_only_where_it_is_so(
    data: dict[str, Any], nobody: bool, identical: bool, better: int, expected: str
) -> None:
    changes = alone(data)["groups"][0]["spread"]["changes"]["global"]
    changes |= {"identical": identical, "better": better, "same": 20 - better, "worse": 0}
    for run in data["runs"]:
        run["own_models"] = {"nobody": nobody}
    (point,) = (point for point in points(data) if point.startswith("With A"))
    assert expected in point


def test_rankers_without_own_models_say_nothing_of_them(data: dict[str, Any]) -> None:
    data["groups"] = [group for group in data["groups"] if group["group"] == "B"]
    assert not data["groups"][0]["own_models"], "federated averaging has none"
    assert not any(point.startswith("With B") for point in points(data))
