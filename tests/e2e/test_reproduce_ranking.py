"""The talk's table, small: which cells it has, with which settings, and that its figures are `evaluate`'s."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.experiments import ranking, ranking_tables
from app.experiments.ranking_cells import DEFAULT, DEFAULTS, Scale, cells, options, sets
from app.experiments.workspace import imported
from app.runs.directory import open_run
from app.runs.presets import PRESETS
from app.runs.settings import resolve
from data.storage import read
from ranking.rankers import TREES

SMALL = Scale(users=8, seeds=(0,), mlp_updates=20, cnn_updates=10, default_updates=20, rankers=("mlp",))


def test_all_cells_of_the_talk() -> None:
    every = cells(Scale())
    assert len(every) == len(set(every))
    assert ("persa-fl-me", "mlp-cnn", "mse") in every
    for ranker in TREES:
        assert {("local", ranker, "bce"), ("pooled", ranker, "mse")} < set(every)
        assert ("fedavg", ranker, "bce") not in every
        assert {algorithm for algorithm, other, _ in every if other == ranker} == set(
            TREES[ranker].ALGORITHMS
        )


def test_settings_are_the_presets_as_far_as_an_algorithm_has_them() -> None:
    scale = Scale()
    talk = PRESETS["talk"]
    for cell in cells(scale):
        settings = resolve(options(cell, scale), sets(cell, scale))
        row = settings.row
        if settings.fitted:
            assert settings.ranker.n_estimators == scale.trees  # type: ignore[union-attr]
            continue
        assert (row.local.lr, row.local.local_steps, row.local.batch_size) == (0.05, 10, 4)
        assert settings.keep == "last"
        if cell[0].startswith("persa-fl"):
            assert (row.schedule.server_lr, row.schedule.concurrency) == (1 / 200, 5)
        if cell[0] in ("pfedme", "persa-fl-me"):
            assert row.objective.lam == 15
        if cell[0] in ("per-fedavg", "persa-fl-maml"):
            assert row.objective.personal_steps == row.objective.maml_steps == 1
        if cell[0] == "persa-fl-me":
            named = {f"{section}.{k}": v for section, p in settings.sections().items() for k, v in p.items()}
            expected = {k: 1 / 200 if v == "1/n" else v for k, v in talk.sets.items()}
            expected.pop("ranker.hidden")
            assert expected.items() <= named.items()
    for cell in DEFAULTS:
        given = dict(zip(("algorithm", "ranker", "loss"), cell, strict=True))
        assert resolve(options(cell, scale), sets(cell, scale)) == resolve(given, {})


def test_the_experiment(tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "EXPERIMENT", replace(ranking.EXPERIMENT, quick=SMALL))
    monkeypatch.setattr(ranking, "cells", lambda scale: [("fedavg", "mlp", "bce"), ("local", "mlp", "mse")])
    few = (("fedavg", *DEFAULT[1:]), DEFAULT)
    for module in (ranking, ranking_tables):
        monkeypatch.setattr(module, "DEFAULTS", few)
    called = cli("reproduce", "ranking", "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)["simulated users"]
    assert [row["algorithm"] for row in result["talk"]] == ["fedavg", "local"]
    assert [(r["algorithm"], r["ranker"], r["loss"]) for r in result["defaults"]] == list(few)
    run = tmp_path / "runs" / "simulated" / "fedavg-mlp-bce-0"
    (judged,) = json.loads(cli("evaluate", run, "--json").out)["runs"]
    for metric in ("nmrr", "accuracy@10"):
        figures = judged["metrics"]
        assert result["talk"][0][metric]["mean"] == pytest.approx(figures["personal"][metric], abs=1e-12)
        assert result["yardsticks"]["random"][metric] == figures["random"][metric]
    own = {row["algorithm"]: row for row in result["defaults"]}
    ahead = own["persa-fl-ditto"]["nmrr"]["mean"] - own["fedavg"]["nmrr"]["mean"]
    assert own["fedavg"]["default_minus"]["mean"] == pytest.approx(ahead, abs=1e-12)
    assert own["persa-fl-ditto"]["default_minus"] == {"mean": 0, "low": 0, "high": 0}
    assert open_run(run).settings.updates == 20
    page = (tmp_path / "RESULTS.md").read_text()
    assert f"| `fedavg` | {result['talk'][0]['nmrr']['mean']:.3f} | – |" in page
    assert "| oracle |" in page


def test_seeds_of_one_dataset_see_the_same_users() -> None:
    def report(fingerprint: str, *figures: float) -> dict[str, Any]:
        users = [{"personal": {"nmrr": figure}} for figure in figures]
        return {"result": {"fingerprint": fingerprint}, "users": users}

    same = ranking._users([report("a", 0.2, 0.4), report("a", 0.4, 1.0)], "nmrr")
    assert same == pytest.approx([0.3, 0.7])
    other = ranking._users([report("a", 0.2, 0.4), report("b", 0.4, 1.0)], "nmrr")
    assert other == pytest.approx([0.2, 0.4, 0.4, 1.0])


def test_a_log_that_is_not_there_is_missed_before_anything_is_made(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    for option in ("--shell", "--packages"):
        called = cli("reproduce", "ranking", "--quick", "--out", tmp_path / "out", option, tmp_path / "none")
        assert called.code == 2
        assert "there is no such file" in called.err
        assert not (tmp_path / "out").exists()


def test_quotes_are_ordinary_in_a_tsv(tmp_path: Path) -> None:
    """A log made from `git log` has them where a commit has."""
    lines = [f'u{i % 2}\t{1_700_000_000 + 60 * i}\t"a" {"xyz"[i % 3]}' for i in range(80)]
    log = tmp_path / "commits.tsv"
    log.write_text("\n".join(["user\ttimestamp\tquery", *lines]) + "\n")
    place = imported(tmp_path / "out", "commits", log, None, lambda told: None)
    assert set(read(place).queries.column("text").to_pylist()) == {'"a" x', '"a" y', '"a" z'}
