"""`reproduce mnist` on a few made-up images: what it writes, that budgets are equal, and that it goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.experiments import image_runs, images
from app.experiments.image_runs import AT_WORK, METHODS, Steps, candidates, row_of
from app.experiments.image_tables import _sooner, tabled
from data.image_splits import SPLITS
from federated.personal import Choice
from ranking.metrics import paired_bootstrap

SMALL = images.Scale((0, 1), a=4, per_class=40, gradients={"multinomial": 1000}, looks=2, personal_samples=20)
FEW = ("fedavg", "pfedme", "persa-fl-maml", "persa-fl-me", "local")
SCHEDULED = ("fedasync", "fedbuff", "persa-fl")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy patterns in the shape of MNIST."""
    chance, path = np.random.default_rng(0), tmp_path_factory.mktemp("images") / "images.npz"
    patterns = chance.integers(0, 200, (10, 28, 28))
    arrays = {}
    for part, each in (("train", 130), ("test", 940)):
        y = np.repeat(np.arange(10, dtype=np.uint8), each)
        noisy = patterns[y] + chance.normal(0, 90, (len(y), 28, 28))
        arrays |= {f"x_{part}": np.clip(noisy, 0, 255).astype(np.uint8), f"y_{part}": y}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: picture for name, picture in images.MNIST.figures.items() if "multinomial" in name}
    monkeypatch.setattr(images, "MNIST", replace(images.MNIST, quick=SMALL, figures=few))
    monkeypatch.setattr(images, "METHODS", FEW)
    monkeypatch.setattr(image_runs, "LRS", (0.03, 0.1))


@pytest.mark.usefixtures("small")
def test_the_experiment_is_made_and_goes_on_where_it_was_stopped(
    file: Path, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("reproduce", "mnist", "--quick", "--images", file, "--out", tmp_path / "out", "--json")
    called = cli(*command)
    assert called.code == 0, called.err
    out, result = tmp_path / "out", json.loads(called.out)
    assert json.loads((out / "result.json").read_text()) == result
    assert list(result["tables"]) == [f"{split}, multinomial" for split in SPLITS]
    for split in SPLITS:
        rows = result["tables"][f"{split}, multinomial"]
        assert tuple(rows) == FEW
        kept = {m: [_kept(out, f"{split}-multinomial-{m}-{seed}") for seed in (0, 1)] for m in FEW}
        best = {m: np.concatenate([np.array(one["own"][one["kept"]]) for one in kept[m]]) for m in FEW}
        for method, row in rows.items():
            assert row["own"] == paired_bootstrap(best[method])
            assert row["minus_fedavg"] == paired_bootstrap(best[method] - best["fedavg"])
            assert row["last"] == pytest.approx(np.mean([np.mean(one["own"][-1]) for one in kept[method]]))
            _require_equal_budget(split, method, row["gradients"])
            assert (row["common"] is None) == (method == "local")
            assert len(kept[method][0]["own"]) == 3
            choice = candidates(method, len(kept[method][0]["own"][0]))
            names = [f"{split}-multinomial-{method}-steps-{number}" for number in range(len(choice))]
            found = [_kept(out, name)["accuracy"] for name in names]
            assert row["sizes"].startswith(f"lr = {choice[int(np.argmax(found))].lr:g}")
        assert kept["fedavg"][0]["own"] == kept["fedavg"][0]["common"], "it has no own models"
        assert kept["fedavg"][0]["own"] != kept["fedavg"][1]["own"], "seeds differ"
        assert rows["persa-fl-me"]["own"]["low"] > rows["persa-fl-me"]["common"]["high"]
        assert rows["persa-fl-me"]["time"] < rows["pfedme"]["time"]
        assert (out / f"{split}-multinomial.svg").read_text().startswith("<svg")
    page = (out / "RESULTS.md").read_text()
    for words in (
        "not known here",
        "persarank reproduce mnist --quick",
        "| `persa-fl-me` |",
        "Not known: the",
    ):
        assert words in page
    made = {p: p.stat().st_mtime_ns for p in (out / "runs").iterdir()}
    lost, damaged = (
        out / "runs" / f"two-classes-multinomial-{name}.json" for name in ("pfedme-1", "local-0")
    )
    monkeypatch.setattr(images, "draw_curves", lambda *given: None)
    lost.unlink()
    damaged.write_text("{")
    again = cli(*command)
    assert (again.code, again.out) == (0, called.out)
    anew = {p for p in (out / "runs").iterdir() if p.stat().st_mtime_ns != made[p]}
    assert anew == {lost, damaged}


def _kept(out: Path, name: str) -> Any:
    return json.loads((out / "runs" / f"{name}.json").read_text())["made"]


def _require_equal_budget(split: str, method: str, gradients: int) -> None:
    """A round of updates, which is not begun in vain, can be too much."""
    row = row_of(method, candidates(method, 50)[0], 20)
    users = {"per-fedavg": 50, "two-classes": 20}[split] if method == "local" else AT_WORK
    round_ = row.local.local_steps * row.objective.gradients * users
    assert 0.95 * 1000 <= gradients < 1000 + round_


def test_gradients_are_counted_as_the_objectives_ask_for_them() -> None:
    costs = {"fedavg": 1, "fedbuff": 1, "per-fedavg": 4, "persa-fl-maml": 4, "pfedme": 5, "persa-fl-me": 5}
    for method, cost in costs.items():
        assert row_of(method, Steps(0.1), 20).objective.gradients == cost


def test_rows_differ_in_objective_and_schedule_alone() -> None:
    """Ten users at work, the same batches and steps for all; and C is pFedMe without waiting."""
    rows = {method: row_of(method, candidates(method, 50)[-1], 20) for method in METHODS}
    assert {(r.local.local_steps, r.local.batch_size) for r in rows.values()} == {(10, 20)}
    for row in rows.values():
        at_work = getattr(row.schedule, "cohort", None) or getattr(row.schedule, "concurrency", AT_WORK)
        assert at_work == AT_WORK
    assert rows["pfedme"].objective == rows["persa-fl-me"].objective
    assert rows["per-fedavg"].objective == rows["persa-fl-maml"].objective
    assert [rows[m].schedule.server_lr for m in SCHEDULED] == [0.6, 1.0, 1 / AT_WORK]  # type: ignore[attr-defined]
    assert candidates("persa-fl-me", 50)[0].server_lr == 1 / 50


def test_times_are_read_off_between_two_looks() -> None:
    """At accuracies .5, .7, .9 after times 0, 10, 30, half a point below .8 is reached at 10 + 20 · 0.475."""

    def made(own: list[float], times: list[float]) -> dict[str, Any]:
        seed = {"own": [[a, a] for a in own], "common": [[a, a] for a in own], "time": times, "kept": 2}
        seed |= {"updates": [0, 1, 2], "gradients": [0, 1, 2], "name": "", "strength": 0.0, "staleness": 0.0}
        return {"sizes": "", "seeds": [seed]}

    table = tabled(
        {
            "fedavg": made([0.1, 0.2, 0.3], [0, 1, 2]),
            "pfedme": made([0.5, 0.6, 0.8], [0, 20, 60]),
            "persa-fl-me": made([0.5, 0.7, 0.9], [0, 10, 30]),
        }
    )
    assert table["persa-fl-me"]["time_to_pfedme"] == pytest.approx(10 + 20 * 0.475)
    assert table["pfedme"]["time_to_pfedme"] == pytest.approx(20 + 40 * 0.975)
    assert table["fedavg"]["time_to_pfedme"] is None


def test_without_images_it_says_where_they_are_had(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for given in ((), ("--images", tmp_path / "none.npz")):
        called = cli("reproduce", "cifar10", "--quick", "--out", tmp_path / "out", *given)
        assert called.code == 3
        assert "--images FILE" in called.err
        assert "--images openml" in called.err
        assert not (tmp_path / "out" / "scale.json").exists()
    called = cli("reproduce", "memrl", "--images", "file", "--out", tmp_path / "out")
    assert called.code == 2
    assert "--images belongs to mnist and cifar10" in called.err


def test_images_are_fetched_if_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a file that is called so is a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(images, "fetch", lambda name, tell: tmp_path / f"fetched-{name}")
    assert images.found("mnist", Path("openml"), print) == tmp_path / "fetched-mnist"
    Path("openml").touch()
    assert images.found("mnist", Path("openml"), print) == Path("openml")


def test_step_sizes_are_judged_by_own_models_that_go_as_far_as_is_chosen(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the strength is infinite or chosen to be none, by the common model."""
    held = image_runs.Held(images.read(file, "mnist"))
    task = held.task(image_runs.Cell("mnist", "two-classes", "multinomial", image_runs.Size(4, 40), 0))
    row = row_of("pfedme", Steps(0.06), 20)
    found = {}
    for lam in (1.0, float("inf")):
        monkeypatch.setattr(image_runs, "choose", lambda clients, w, lam=lam: Choice("lam", lam))
        found[lam] = image_runs.validated(task, row, 0, 1000)
    assert found[1.0] > found[float("inf")] + 0.05
    nobody = Choice("lam", float("inf"), ((float("inf"), 0.1), (1.0, 0.2)), 20)
    monkeypatch.setattr(image_runs, "choose", lambda clients, w: nobody)
    assert image_runs.validated(task, row, 0, 1000) == found[float("inf")]


@pytest.mark.parametrize("method", ["fedavg", "pfedme"])
def test_of_a_training_that_diverges_in_the_end_the_best_model_on_validation_is_kept(
    file: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """As a step size does that was chosen by shorter trainings and is too large for this one."""
    held = image_runs.Held(images.read(file, "mnist"))
    task = held.task(image_runs.Cell("mnist", "two-classes", "multinomial", image_runs.Size(4, 40), 0))
    row, path = row_of(method, Steps(0.06), 20), image_runs._path
    sound = image_runs.trained(task, row, 0, 1000, 2)

    def diverging(*given: Any, **how: Any) -> Any:
        looks = path(*given, **how)
        return [*looks, replace(looks[-1], w=torch.full_like(looks[-1].w, torch.nan))]

    monkeypatch.setattr(image_runs, "_path", diverging)
    found = image_runs.trained(task, row, 0, 1000, 2)
    assert sound["kept"] > 0
    assert [found[key] for key in ("kept", "strength")] == [sound[key] for key in ("kept", "strength")]
    assert found["own"][:3] == sound["own"]
    assert np.mean(found["own"][3]) < np.mean(found["own"][found["kept"]])


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (20.0, 10.0, "1/2.0 of its time"),
        (0.3, 3.0, "10.0 times its time"),
        (1.0, 1.0, "1/1.0 of its time"),
        (0.0, 3.0, "–"),
        (5.0, None, "–"),
    ],
)
def test_times_are_shares_or_multiples(theirs: float, ours: float | None, told: str) -> None:
    assert _sooner(theirs, ours) == told
