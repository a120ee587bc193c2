"""`train --dry-run` tells what `train` then does, refuses what it refuses, and leaves no trace."""

import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from app.runs import trying
from app.runs.settings import resolve
from data.folders import LOCK
from federated.algorithms import ALGORITHMS
from federated.clients import Clients
from federated.course import course
from federated.events import Merged
from ranking.rankers.forest import Forest
from ranking.rankers.trees import Constant
from ranking.slates import Slates, StoredSlates

Cli = Callable[..., Any]

FEW = ("--updates", 45, "--evaluations", 1, "--set", "personal_samples=2")
TRAININGS: dict[str, tuple[object, ...]] = {
    "buffered": (*FEW, "--set", "max_staleness=0"),
    "preset": ("--preset", "talk", *FEW, "--set", "concurrency=3"),
    "cohort": ("--algorithm", "fedavg", *FEW, "--set", "cohort=15"),
    "gossip": ("--algorithm", "pars-push", *FEW),
    "stopped early": ("--algorithm", "pooled", *FEW, "--until", 21, "--seed", 3),
    "trees": ("--ranker", "forest", "--algorithm", "pooled", "--set", "n_estimators=2"),
}


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (directory, *directory.rglob("*"))
    }


@pytest.mark.parametrize("arguments", TRAININGS.values(), ids=TRAININGS)
def test_it_is_what_training_then_does(
    cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: Any, arguments: tuple[object, ...]
) -> None:
    monkeypatch.setattr(trying, "MOMENT", 0.0)
    command = ("train", "--data", tiny, "--out", tmp_path / "run", *arguments, "--json")
    before = contents(tmp_path) | contents(tiny)
    called = cli(*command, "--dry-run")
    assert called.code == 0, called.err
    assert contents(tmp_path) | contents(tiny) == before
    told = json.loads(called.out)

    summary = json.loads(cli(*command).out)
    assert told["settings"] == tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert told["updates"] == summary["updates"]
    if told["course"] is not None:
        for name in ("staleness", "virtual_time", "concurrency"):
            assert told["course"][name] == summary[name]
    done = {phase for phase, seconds in summary["phases"].items() if seconds > 0} - {"saving"}
    assert done <= set(told["seconds"]) | {"growing trees"}
    assert told["data"]["users"] == 20


def test_parameters_and_table(cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(trying, "MOMENT", 0.0)
    monkeypatch.setenv("COLUMNS", "80")
    command = ("train", "--data", tiny, "--out", tmp_path / "run", *FEW, "--set", "hidden=[8]", "--dry-run")
    told = json.loads(cli(*command, "--json").out)
    features = told["data"]["features"]
    assert told["parameters"] == (features + 1) * 8 + 8 + 1
    out = cli(*command).out
    assert f"{tmp_path / 'run' / 'config.toml'} would be:" in out
    assert 'algorithm = "persa-fl-ditto"' in out
    assert f"│ {told['parameters']}" in out
    assert "nothing is written" in out


REFUSED: dict[str, tuple[object, ...]] = {
    "algorithm": ("--algorithm", "fedavgg"),
    "setting": ("--set", "lr=-1"),
    "trees have no updates": ("--ranker", "forest", "--algorithm", "pooled", "--updates", 3),
    "divergence": ("--algorithm", "fedavg", *FEW, "--set", "lr=1e30"),
    "endless": ("--algorithm", "fedavg", "--set", "local_steps=1000000"),
}


def alike(cli: Cli, code: int, *command: object) -> None:
    """Both refuse, with the same sentence."""
    trained, tried = cli(*command), cli(*command, "--dry-run")
    assert (tried.code, tried.out, tried.err) == (trained.code, trained.out, trained.err)
    assert tried.code == code
    assert tried.err.startswith("persarank: ")


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_it_refuses_settings_that_training_refuses(
    cli: Cli, tiny: Path, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    alike(cli, 4, "train", "--data", tiny, "--out", tmp_path / "run", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_it_refuses_places_that_training_refuses(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.toml").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    before = contents(tmp_path)
    for place in ("full", "full/mine", "full/mine/run", "unfinished", "nowhere/run"):
        alike(cli, 5, "train", "--data", tiny, "--out", tmp_path / place, *FEW)
    assert contents(tmp_path) == before


def test_it_refuses_data_that_training_refuses(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "none"):
        alike(cli, 3, "train", "--data", data, "--out", tmp_path / "run")
    edges = tmp_path / "edges.txt"
    edges.write_text("0 1\n1 0")
    gossip = ("--algorithm", "pars-push", "--set", "graph=file", "--set", f"edge_list={edges}")
    alike(cli, 3, "train", "--data", tiny, "--out", tmp_path / "run", *gossip)
    assert not (tmp_path / "run").exists()


def test_a_place_that_is_only_seemingly_taken(cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(trying, "MOMENT", 0.0)
    (tmp_path / LOCK).touch()
    called = cli("train", "--data", tiny, "--out", tmp_path, *FEW, "--dry-run", "--json")
    assert called.code == 0, called.err
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


# estimates


def test_time_is_measured(cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Clients that take twenty milliseconds a cohort make 25 of them take half a second."""
    monkeypatch.setattr(trying, "MOMENT", 0.1)
    computed = Clients.deltas

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.02)
        return computed(*arguments)

    monkeypatch.setattr(Clients, "deltas", slowly)
    command = ("train", "--data", tiny, "--out", tmp_path / "run", "--algorithm", "fedavg", "--dry-run")
    command = (*command, "--updates", 2_000, "--until", 500, "--evaluations", 0, "--json")
    told = json.loads(cli(*command).out)
    assert told["updates"] == 500
    assert 25 * 0.02 < told["seconds"]["training"] < 10 * 25 * 0.02
    assert told["seconds"]["personal models"] == 0.0, "fedavg has none"


def test_memory_is_measured() -> None:
    before = trying.peak_memory()
    held = torch.ones(before // 4)  # as much again, 4 bytes each
    assert trying.peak_memory() >= before
    assert trying.peak_memory() >= held.nbytes


def test_costs_grow_with_what_is_added() -> None:
    one, some = trying.Cost(1.0, 0.5, 100), trying.Cost(3.0, 0.5, 120)
    assert vars(some.beyond(one, 10)) == {"fitting": 23.0, "validating": 0.5, "memory": 320}


def test_what_only_the_first_trees_cost_is_not_multiplied(tiny_slates: Slates, monkeypatch: Any) -> None:
    """Imports, say: here 100 s and all the memory. Each tree takes 3 s more, and needs 5 bytes."""
    tried = []

    def costs(_: Any, number: int, *rest: Any) -> trying.Cost:
        tried.append(number)
        return trying.Cost(3.0 * number + (100 if len(tried) == 1 else 0), 0.1 * number, 900 + 5 * number)

    monkeypatch.setattr(trying, "_tried", costs)
    settings = resolve({"ranker": "forest", "algorithm": "pooled"}, {"n_estimators": 60})
    cost = trying.trees(settings, tiny_slates, tiny_slates, 3)
    assert vars(cost) == pytest.approx({"fitting": 180, "validating": 6, "memory": 1200})
    assert tried[0] == tried[1] == torch.get_num_threads() < tried[2] < 10


def test_trees_of_each_user(tiny_slates: Slates, monkeypatch: Any) -> None:
    """Two of three users are tried, whose trees take a tenth of a second each."""
    slates = StoredSlates.of(tiny_slates)
    slates = slates.subset((slates.user < 3).nonzero().squeeze(1))
    fitted = []

    def fit(self: Forest, theirs: StoredSlates, loss: str, seed: int) -> Constant:
        time.sleep(0.1)
        fitted.extend(theirs.user.unique().tolist())
        return Constant()

    monkeypatch.setattr(Forest, "fit", fit)
    monkeypatch.setattr(trying, "USERS", 2)
    cost = trying.trees(resolve({"ranker": "forest", "algorithm": "local"}, {}), slates, slates, 3)
    assert fitted == [0, 2]
    assert 0.3 <= cost.fitting < 0.6
    assert cost.memory >= trying.peak_memory() / 2


def test_a_course_takes_no_work() -> None:
    """The course of the talk's algorithm: 5 in flight, so that four versions pass meanwhile."""
    samples = torch.full((200,), 30)
    merges = [
        event for event in course(ALGORITHMS["persa-fl"], 0, 1500, samples) if isinstance(event, Merged)
    ]
    assert len(merges) == 1500
    assert sum(merge.staleness[0] for merge in merges) / 1500 == pytest.approx(4, abs=0.02)
    assert {merge.in_flight for merge in merges} == {5}
