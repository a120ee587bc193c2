"""A whole experiment by one command: what it writes, that it goes on, and what it says when a child fails."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from app.experiments import children, grid, workspace
from app.runs.directory import RunError
from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write

SMALL = grid.Scale(users=8, seeds=(0, 1), updates=40, evaluations=4)
NAMES = ("local", "fedavg", "persa-fl-me")


@pytest.fixture(autouse=True)
def few_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "SERVED", NAMES)
    monkeypatch.setattr(grid, "EXPERIMENT", replace(grid.EXPERIMENT, quick=SMALL))


def test_the_grid_is_made_and_a_second_call_only_judges(tmp_path: Path, cli: Callable[..., object]) -> None:
    called = cli("reproduce", "persa-fl", "--quick", "--out", tmp_path, "--json")
    assert called.code == 0, called.err
    result = json.loads(called.out)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    (rows,) = result.values()
    assert tuple(rows) == NAMES
    for row in rows.values():
        assert 0 < row["nmrr"]["low"] <= row["nmrr"]["mean"] <= row["nmrr"]["high"] < 1
    assert rows["fedavg"]["minus_fedavg"] == {"mean": 0, "low": 0, "high": 0}
    assert rows["local"]["95 %"] is None, "nothing travels"
    assert rows["fedavg"]["95 %"]["updates"] <= rows["fedavg"]["99 %"]["updates"] <= 48
    gain = rows["persa-fl-me"]["nmrr"]["mean"] - rows["fedavg"]["nmrr"]["mean"]
    assert rows["persa-fl-me"]["minus_fedavg"]["mean"] == pytest.approx(gain)
    page = (tmp_path / "RESULTS.md").read_text()
    assert [line.split("|")[1].strip() for line in page.splitlines() if "| `" in line] == [
        f"`{name}`" for name in NAMES
    ]
    assert f"    persarank reproduce persa-fl --quick --out {tmp_path}\n" in page
    assert "seeds = 0 / 1" in page
    assert f"numba {version('numba')}" in page
    (picture,) = [line for line in page.splitlines() if line.startswith("![")]
    svg = (tmp_path / picture[picture.index("](") + 2 : -1]).read_text()
    assert all(name in svg for name in NAMES if name != "local")

    trained = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    assert len(trained) == 6
    again = cli("reproduce", "persa-fl", "--quick", "--out", tmp_path, "--json")
    assert (again.code, again.out) == (0, called.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")} == trained


def test_another_scale_is_refused(tmp_path: Path) -> None:
    workspace.same_scale(tmp_path, SMALL)
    workspace.same_scale(tmp_path, SMALL)
    with pytest.raises(RunError, match="another kind or scale"):
        workspace.same_scale(tmp_path, grid.Scale())


def test_marks_are_medians_over_seeds_and_need_every_seed(tmp_path: Path) -> None:
    def run(name: str, *evaluations: tuple[float, int, float]) -> Path:
        lines = []
        for time, updates, nmrr in evaluations:
            lines.append({"event": "merged", "updates": updates, "time": time, "staleness": []})
            lines.append({"event": "evaluated", "updates": updates, "metrics": {"nmrr": nmrr}})
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        return tmp_path / name

    yardsticks = [run("a", (1, 10, 0.9), (2, 20, 0.8)), run("b", (1, 10, 0.3), (2, 20, 0.6))]
    others = [run("c", (5, 1, 0.7), (6, 2, 0.76), (7, 3, 0.2)), run("d", (8, 4, 0.57))]
    assert grid._reached(others, yardsticks, 0.95) == {"time": 7, "updates": 3, "at_first_look": False}
    assert grid._reached(others, yardsticks, 0.99) is None, "neither 0.792 nor 0.594 is reached"


def test_a_child_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(children.ChildError, match=r"data check .*is not a PersaRank dataset"):
        children.run_all([["data", "check", str(tmp_path / "nothing")]], lambda done: None)


def test_another_experiment_is_unknown(tmp_path: Path, cli: Callable[..., object]) -> None:
    called = cli("reproduce", "everything", "--out", tmp_path)
    assert called.code == 2
    assert "EXPERIMENT is one of ranking, staleness, persa-fl, pars-push, memrl, " in called.err
    assert "not 'everything'" in called.err


def experiment(cli: Callable[..., object], out: Path, *more: object) -> object:
    return cli("reproduce", "persa-fl", "--quick", "--out", out, "--json", *more)


def test_data_or_a_run_of_something_else_is_not_taken_for_the_experiments(
    tmp_path: Path, cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained before it is told."""
    monkeypatch.setattr(grid, "SERVED", ("local", "fedavg"))
    assert experiment(cli, tmp_path).code == 0
    monkeypatch.setattr(grid, "run_all", None)
    runs = tmp_path / "runs" / "simulated"
    shutil.rmtree(runs / "local-0")  # which would be trained
    kept = shutil.move(runs / "fedavg-0", tmp_path / "kept")
    for other, why in (
        ("fedavg-1", "holds a run with other settings than this experiment's"),
        ("local-1", "holds a run with other settings than this experiment's"),
    ):
        shutil.copytree(runs / other, runs / "fedavg-0")
        called = experiment(cli, tmp_path)
        assert (called.code, called.out) == (5, "")
        assert f"{runs / 'fedavg-0'} {why}" in called.err
        shutil.rmtree(runs / "fedavg-0")
    shutil.move(kept, runs / "fedavg-0")
    data = tmp_path / "data" / "simulated-0"
    shutil.rmtree(data)
    write(simulate(8, 5), data)
    called = experiment(cli, tmp_path)
    assert called.code == 5
    assert f"{data} holds other data than 8 users of seed 0: remove it." in called.err


def test_a_run_on_data_that_was_made_anew_is_refused(tmp_path: Path) -> None:
    """As by another version, which simulates otherwise."""
    write(simulate(8, 0), tmp_path / "a")
    options = {"algorithm": "fedavg", "seed": 0, "updates": 20, "evaluations": 2}
    train_run(
        resolve(options, {}), tmp_path / "a", read(tmp_path / "a"), tmp_path / "run", lambda event: None
    )
    assert workspace.missing(tmp_path / "run", tmp_path / "a", options) is None
    with pytest.raises(RunError, match="other settings"):
        workspace.missing(tmp_path / "run", tmp_path / "a", options, {"lr": 0.01})
    write(simulate(8, 1), tmp_path / "b")
    with pytest.raises(RunError, match="was trained on data"):
        workspace.missing(tmp_path / "run", tmp_path / "b", options)


def test_another_log_is_another_experiment(
    tmp_path: Path, cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "SERVED", ("fedavg",))
    monkeypatch.setattr(grid, "EXPERIMENT", replace(grid.EXPERIMENT, quick=replace(SMALL, seeds=(0,))))
    log = tmp_path / "shell.csv"
    rows = [f"u{u},{1_600_000_000 + 60 * e},{'ls' if e % 2 else 'cd'},t" for u in range(8) for e in range(40)]
    log.write_text("\n".join(["user,timestamp,query,training", *rows]) + "\n")
    out = tmp_path / "out"
    first = experiment(cli, out, "--shell", log)
    assert first.code == 0, first.err
    assert set(json.loads(first.out)) == {"simulated", "shell"}
    moved = log.rename(tmp_path / "moved.csv")
    assert experiment(cli, out, "--shell", moved).out == first.out, "the same log elsewhere"
    moved.write_text(moved.read_text().replace("cd", "cp"))
    called = experiment(cli, out, "--shell", moved)
    assert (called.code, called.out) == (5, "")
    assert f"{out} holds the experiment on another log than {moved}: choose another --out." in called.err
