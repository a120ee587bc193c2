"""Nodes that answer what cannot be true: it is left out and counted, and the training goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="the engine flower is not installed")

from app.runs.flower.home import Home
from federated.engines.messages import Content
from tests.app.runs.flower.nodes import LocalPost, network, trained

Run = tuple[Path, dict[str, Any], LocalPost]
"""Its directory, its summary, and the nodes."""


Lie = Callable[[Content], Content]

LIES: dict[str, tuple[str, Lie]] = {
    "other hashes than ascending ones": (
        "marks",
        lambda c: Content(c.plain, {n: a[::-1] for n, a in c.arrays.items()}),
    ),
    "names that were not asked for": ("names", lambda c: Content(c.plain, {"named": c.arrays["named"][:40]})),
    "more metrics than users": (
        "finish",
        lambda c: Content({**c.plain, "splits": _ten_times(c.plain["splits"])}, {}),
    ),
    "losses that are no numbers": (
        "rehearse",
        lambda c: Content(c.plain, {**c.arrays, "sums": c.arrays["sums"] * np.nan}),
    ),
    "validation better than perfect": (
        "judge",
        lambda c: Content({**c.plain, "sums": {"loss": 0.0, "nmrr": 1e9}}, {}),
    ),
    "no users": ("begin", lambda c: Content({**c.plain, "users": 0}, {})),
    "other features": ("begin", lambda c: Content({**c.plain, "features": 3}, {})),
}


def _ten_times(splits: Any) -> Any:
    worse = json.loads(json.dumps(splits))
    worse["test"]["metrics"]["personal"]["nmrr"] = 10.0 * worse["test"]["users"]
    return worse


@pytest.mark.parametrize("name", LIES)
def test_an_answer_that_cannot_be_true_is_left_out_and_counted(
    name: str, shared: Path, tmp_path: Path
) -> None:
    kind, lie = LIES[name]
    post = network(shared, 3, tmp_path)
    post.spoil = {3: lambda said, content: lie(content) if said == kind else content}
    summary = trained(post, shared, tmp_path / "run", 40)
    assert summary["network"]["rejected"] + summary["network"]["errors"] >= 1 or kind in (
        "finish",
        "rehearse",
    )
    assert summary["nodes"]["test"]["users"] == (8 if kind in ("begin", "finish") else 12)
    assert summary["validation_nmrr"]["personal"] <= 1


def test_who_claims_anothers_place_with_other_users_takes_nothing_from_it(
    shared: Path, tmp_path: Path
) -> None:
    post = network(shared, 3, tmp_path)
    name = Home(Path(post.configs[1]["home"])).name

    def claiming(kind: str, content: Content) -> Content:
        claim = {"name": name, "users": 9} if kind == "begin" else {}
        return Content({**content.plain, **claim}, content.arrays)

    post.spoil = {3: claiming}
    summary = trained(post, shared, tmp_path / "run", 60)
    assert summary["nodes"]["test"]["users"] == 8, "of the two whose places these are"
    assert summary["network"]["users"] == 8


EMPTY = {"users": 4, "slates": 9, "metrics": {}, "squares": {}}
LIES_OF_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "more users than it has": ("judge", {"users": 10**400}),
    "a negative figure": ("judge", {"sums": {"loss": 0.1, "nmrr": -5.0}}),
    "more users at the rehearsal": ("rehearse", {"users": 500}),
    "no metrics at all": (
        "finish",
        {"splits": dict.fromkeys(("validation", "test"), EMPTY)},
    ),
    "a lost number of models": ("finish", {"lost": 10**400}),
}


@pytest.mark.parametrize("name", LIES_OF_NUMBERS)
def test_one_node_cannot_weigh_more_than_its_users(name: str, shared: Path, tmp_path: Path) -> None:
    kind, lie = LIES_OF_NUMBERS[name]
    post = network(shared, 3, tmp_path)
    post.spoil = {3: lambda said, c: Content({**c.plain, **lie}, c.arrays) if said == kind else c}
    summary = trained(post, shared, tmp_path / "run", 40)
    assert summary["network"]["rejected"] >= 1
    assert summary["nodes"]["test"]["users"] == (8 if kind == "finish" else 12)
    assert set(summary["nodes"]["test"]["metrics"]) == {"random", "global", "personal"}


def test_numbers_that_are_not_finite_are_not_read() -> None:
    from flwr.app import ArrayRecord, ConfigRecord, RecordDict

    from federated.engines.flower.messages import unpacked

    for number in ("1e999", "-1e999", "NaN", "Infinity"):
        plain = ConfigRecord({"kind": "judge", "plain": f'{{"users": {number}}}'})
        with pytest.raises(ValueError, match="another make"):
            unpacked(RecordDict({"arrays": ArrayRecord(), "plain": plain}))
