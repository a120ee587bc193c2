"""The benchmark itself: its engines learn the same, and its verdicts follow from its figures."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # its scripts find each other beside them, as when they are run
import bench
import data_path
import logs
import ours
import results
import runs
import scale
from workload import LAYERS, Problem, make, mean_loss

sys.path[:] = [path for path in sys.path if path != str(HERE)]

USERS, ROUNDS, ARRIVALS = 6, 3, 20


@dataclass(frozen=True)
class Tiny:
    """A small problem, and what the per-client loop prints about it."""

    problem: Problem
    loop: dict[str, dict[str, Any]]


def replayed(workload: str, problem: Problem, folder: Path) -> list[str]:
    """The options by which the loop repeats what PersaRank has done."""
    if workload == "w-sync":
        return ["--rounds", str(ROUNDS), "--gate-rounds", str(ROUNDS)]
    ran = arrived(workload, problem)
    events = folder / f"{workload}.npz"
    np.savez(events, users=ran.users, versions=ran.versions, server_lr=ran.server_lr)
    return ["--events", str(events), "--arrivals", str(ARRIVALS), "--gate-arrivals", str(ARRIVALS)]


def arrived(workload: str, problem: Problem) -> ours.Arrived:
    ready = ours.clients(ours.Classification.of_problem(problem), workload)
    return ours.run_arrivals(ready, workload, ARRIVALS, ARRIVALS, skipped=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("bench")
    problem = make(USERS)
    problem.save(folder / "problem.npz")
    script = [sys.executable, str(HERE / "engines" / "loop.py"), "--data", str(folder / "problem.npz")]
    started = {
        workload: subprocess.Popen(
            [*script, "--workload", workload, *replayed(workload, problem, folder)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # as in the benchmark; three of them run at a time
        )
        for workload in ("w-sync", "w-async", "w-me")
    }
    return Tiny(problem, {name: json.loads(each.communicate()[0]) for name, each in started.items()})


def test_rounds_reach_the_loops_loss(tiny: Tiny) -> None:
    ready = ours.clients(ours.Classification.of_problem(tiny.problem), "w-sync")
    seconds, gate = ours.run_rounds(ready, "w-sync", ROUNDS, ROUNDS)
    assert len(seconds) == ROUNDS
    loss = mean_loss(gate, tiny.problem.X, tiny.problem.y)
    assert loss == pytest.approx(tiny.loop["w-sync"]["gate_loss"], rel=1e-6)
    assert loss < mean_loss(tiny.problem.start, tiny.problem.X, tiny.problem.y) - 0.001


@pytest.mark.parametrize("workload", ["w-async", "w-me"])
def test_arrivals_reach_the_loops_loss(tiny: Tiny, workload: str) -> None:
    ran = arrived(workload, tiny.problem)
    assert max(np.arange(ARRIVALS) - ran.versions) > 0, "nobody was late: the replay shows nothing"
    loss = mean_loss(ran.gate, tiny.problem.X, tiny.problem.y)
    assert loss == pytest.approx(tiny.loop[workload]["gate_loss"], rel=1e-6)


def test_a_mapped_file_holds_the_same_problem(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale.write(tmp_path / "all.bin", USERS)
    mapped = scale.Mapped(tmp_path / "all.bin", USERS)
    ready = ours.clients(mapped.task(tiny.problem.start), "w-scale")
    _, gate = ours.run_rounds(ready, "w-scale", ROUNDS, ROUNDS, mapped.let_go)
    loss = mean_loss(gate, tiny.problem.X, tiny.problem.y)
    assert loss == pytest.approx(tiny.loop["w-sync"]["gate_loss"], rel=1e-6)
    monkeypatch.setattr(scale, "USERS", 4)  # two chunks, the second with a draw of its own
    scale.write(tmp_path / "chunks.bin", USERS)
    task = scale.Mapped(tmp_path / "chunks.bin", USERS).task(tiny.problem.start)
    features, wanted = task.train.features.view(USERS, -1, LAYERS[0]), task.train.position.view(USERS, -1)
    assert np.array_equal(features[:4], make(4).X)
    assert np.array_equal(wanted[4:], make(2, seed=1).y)


def test_the_script_prints_its_result(tiny: Tiny, tmp_path: Path) -> None:
    tiny.problem.save(tmp_path / "problem.npz")
    events = tmp_path / "events.npz"
    engine = runs.engine(
        sys.executable,
        "persarank",
        1,
        data=tmp_path / "problem.npz",
        workload="w-async",
        arrivals=ARRIVALS,
        gate_arrivals=ARRIVALS,
        skipped=5,
        events=events,
    )
    result = runs.run(engine, tmp_path, timeout=60)
    assert result["gate_loss"] == pytest.approx(tiny.loop["w-async"]["gate_loss"], rel=1e-6)
    assert result["updates"] == ARRIVALS - 5
    assert result["peak_memory_mb"] > 50
    assert np.load(events)["users"].shape == (ARRIVALS,)


def test_rate_leaves_the_first_rounds_out() -> None:
    assert results.rate({"round_seconds": [9, 9, 1, 3], "updates_per_round": 200}) == 100
    assert results.rate({"round_seconds": [2], "updates_per_round": 200}) == 100
    assert results.rate({"seconds": 4, "updates": 200}) == 50


def ran(loss: float | None, *seconds: float) -> list[dict[str, Any]]:
    return [
        {"seconds": s, "updates": 100, "gate_loss": loss, "start_s": 1.0, "peak_memory_mb": s}
        for s in seconds
    ]


def test_summary_is_of_medians() -> None:
    summary = results.summarise("w-sync", ran(0.5, 1, 2, 100), peak_gflops=100)
    assert summary["updates_per_s"] == 50
    assert summary["runs"] == [100, 50, 1]
    assert summary["peak_memory_mb"] == 100
    assert summary["gemm_fraction"] == pytest.approx(50 * results.UPDATE_FLOPS["w-sync"] / 1e11)
    slow = results.summarise("w-sync", ran(0.5, 10), peak_gflops=100)
    assert results.ratios({"persarank": summary, "loop": slow}) == {"loop": 5}


@pytest.mark.parametrize(
    ("loss", "passes"), [(0.5, True), (0.50004, True), (0.50006, False), (float("nan"), False), (None, True)]
)
def test_gate(loss: float | None, passes: bool) -> None:
    found = results.disagreements({"persarank": ran(0.5, 1), "other": [*ran(0.5, 1), *ran(loss, 1)]})
    assert bool(found) is not passes
    assert all("other" in sentence for sentence in found)


def summary(rate: float) -> dict[str, Any]:
    return results.summarise("w-sync", ran(0.5, 100 / rate), peak_gflops=100)


def test_targets() -> None:
    sync = {"persarank": summary(400), "flower": summary(10), "pfl": summary(40)}
    scaled = {"200": summary(130), "2000": summary(120), "20000": summary(101)}
    document = {
        "w-sync": results.published("w-sync", sync),
        "w-scale": results.published("w-scale", scaled),
    }
    met = {entry["what"]: entry["met"] for entry in results.targets(document)}
    assert list(met.values()) == [False, False, False, True, True]
    assert results.targets({}) == []


class Fakes:
    """Engines whose results are given; those without one fail."""

    def __init__(self, losses: dict[str, float]) -> None:
        self.losses = losses
        self.order: list[str] = []

    def run(self, engine: runs.Engine, cache: Path, timeout: float) -> dict[str, Any]:
        name = Path(engine.command[1]).stem
        self.order.append(name)
        if name not in self.losses:
            raise runs.EngineFailedError("it is not here")
        return ran(self.losses[name], 1.0)[0]


@pytest.fixture
def run_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(fakes: Fakes, *arguments: str) -> int:
        monkeypatch.setattr(runs, "run", fakes.run)
        monkeypatch.setattr(runs, "peak_gflops", lambda: 100.0)
        monkeypatch.setattr(runs, "QUICK", replace(runs.QUICK, users=(200,)))
        monkeypatch.setattr(bench.environments, "build_all", lambda peers, root: ({}, {"pfl": "no network"}))
        monkeypatch.setattr(sys, "argv", ["bench.py", "--quick", "--out", str(tmp_path), *arguments])
        return bench.main()

    return call


def test_a_run_alternates_names_who_is_missing_and_adds_to_the_file(
    run_bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes = Fakes({"persarank": 0.5, "loop": 0.5})
    assert run_bench(fakes, "--only", "w-sync") == 0
    assert fakes.order == ["persarank", "loop", "persarank", "loop"]
    assert "pfl: no network" in capsys.readouterr().out
    assert run_bench(fakes, "--only", "w-scale", "--json") == 0
    document = json.loads((tmp_path / "benchmark.json").read_text())
    assert json.loads(capsys.readouterr().out) == document
    assert document["w-sync"]["engines"].keys() == {"persarank", "loop"}
    keys = {"engines", "gemm_fraction", "peak_memory_mb"}
    assert document["w-sync"].keys() == document["w-scale"]["200"].keys() == keys
    assert document["detail"]["w-sync"]["left_out"]["pfl"] == "no network"
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]


def test_another_loss_refuses_the_workload(
    run_bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bench(Fakes({"persarank": 0.5, "loop": 0.5})) == 0
    assert run_bench(Fakes({"persarank": 0.5, "loop": 0.6}), "--only", "w-me") == 1
    assert "w-me is refused: loop reaches" in capsys.readouterr().err
    assert "w-me" not in json.loads((tmp_path / "benchmark.json").read_text())
    assert run_bench(Fakes({"loop": 0.5}), "--only", "w-me") == 1
    assert "w-me has no result: persarank failed: it is not here" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--only", "w"], ["--pfllib", "nowhere"], ["--x"]])
def test_bad_arguments_get_one_sentence(
    run_bench: Callable[..., int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_bench(Fakes({}), *arguments)
    assert capsys.readouterr().err.count("\n") == 1


def test_large_logs_are_measured(
    run_bench: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command is run and its cost written down; a commit that does not exist is one sentence."""
    small = data_path.Size(many=2000, some=1000, distinct=300, most=3000, updates=20)
    monkeypatch.setattr(data_path, "TRIAL", small)
    assert run_bench(Fakes({}), "--only", "data") == 0
    document = json.loads((tmp_path / "data.json").read_text())
    assert len(document) == 7
    assert all(by["here"].keys() == {"cpu_s", "wall_s", "peak_mb"} for by in document.values())
    assert all(by["here"]["peak_mb"] > 50 for by in document.values())
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]
    capsys.readouterr()
    assert run_bench(Fakes({}), "--only", "data", "--against", "no-such-commit") == 1
    assert "git worktree" in capsys.readouterr().err


def test_logs_of_one_seed_are_equal_and_as_large_as_asked(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        logs.write_log(tmp_path / name, events=3000, users=40, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    assert a.count(b"\n") == 3001
    logs.write_distinct(tmp_path / "distinct", 500)
    lines = (tmp_path / "distinct").read_text().splitlines()[1:]
    assert len({line.split(",")[2] for line in lines}) == 500
