"""Every ranker × loss × {local, pooled}, federated forests, every network × every algorithm, to figures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runs.verdict import worthless
from federated.algorithms import ALGORITHMS, FITTED
from ranking.rankers import RANKERS, TREES

ENDS = [(r, loss, a) for r, row in RANKERS.items() for loss in row.losses for a in ("local", "pooled")]
ENDS += [("forest", loss, "federated") for loss in RANKERS["forest"].losses]
GRID = [
    (r, "nmrr" if ALGORITHMS[a].policy else row.losses[0], a)
    for r, row in RANKERS.items()
    for a in ALGORITHMS
    if r not in TREES and a not in ("local", "pooled")
]
METRICS = {"accuracy@10", "plain_accuracy@10", "nmrr", "mrr@10", "success@1", "success@10", "p10_user_nmrr"}


@pytest.mark.parametrize(("ranker", "loss", "algorithm"), ENDS + GRID)
def test_trains_and_evaluates(
    ranker: str, loss: str, algorithm: str, tiny: Path, tmp_path: Path, cli: Callable[..., object]
) -> None:
    out = tmp_path / "run"
    small = ["--set", "n_estimators=20"] if ranker in TREES else ["--updates", "20", "--evaluations", "1"]
    if ranker not in TREES:
        names = {"personal_steps", "adapt_steps", "maml_steps"} & vars(ALGORITHMS[algorithm].objective).keys()
        for name in ("local_steps", *names):
            small += ["--set", f"{name}=2"]
    if ranker == "mlp-cnn":
        small += ["--set", "filters=4", "--set", "characters=8"]
    options = ["--algorithm", algorithm, "--ranker", ranker, "--loss", loss, *small]
    called = cli("train", "--data", tiny, "--out", out, "--json", *options)
    summary = json.loads(called.out)
    assert called.code == (6 if worthless(summary["warnings"]) else 0), called.err  # it has hardly learned
    assert (summary["algorithm"], summary["ranker"], summary["loss"]) == (algorithm, ranker, loss)
    assert summary["updates"] >= (1 if ranker in TREES else 20)

    called = cli("evaluate", out, "--json")
    assert called.code == 0, called.err
    (run,) = json.loads(called.out)["runs"]
    assert (run["users"], run["missed"]) == (20, 0)
    shown = run["metrics"]
    apart = (ALGORITHMS | FITTED)[algorithm].cell[1] in ("local", "gossip")
    assert (shown["global"] is None) == apart
    for metrics in filter(None, shown.values()):
        assert set(metrics) == METRICS
        assert all(0 <= value <= 1 for value in metrics.values())
    if ranker in TREES:
        assert summary["warnings"] == []
        assert shown["personal"]["nmrr"] > shown["random"]["nmrr"] + 0.05, "a fitted ranker beats chance"
