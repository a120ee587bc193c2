"""Whole trainings on Ray: an actor that is killed, a cluster that is there already, Ctrl-C and going on.

Ray runs in processes of its own, so that nothing of it stays in this one. Each test has its own folders and
a limit of time, and looks whether any process that was seen below it is left.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from app.runs.directory import GROUPS
from federated import checkpoint
from federated.network.node_group import NodeGroup
from federated.network.topology import draw
from federated.network.weather import Faults
from tests.e2e.hostile import CALL, environment

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: the extra [ray]")

LIMIT = 120
"""Seconds, at most, that anything here may take."""

USERS, ACTORS, UPDATES = 20, 3, 600
FAULTS = {"wake_within": 3, "max_failures": 3, "failure_probability": 0.3}
"""Those of pars-push, but for delays, which are real."""

SLOWLY = 0.2
"""Seconds between wakings of groups that are to be interrupted before they have finished."""

QUIET = ("--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=100000000")


def descendants(pid: int) -> dict[int, str]:
    """All processes below one, with their command lines."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    found: dict[int, str] = {}
    before = -1
    while before < len(found):
        before = len(found)
        found |= {int(r[0]): r[2] for r in rows if int(r[1]) == pid or int(r[1]) in found}
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for has."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for it, and give what it gave."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited in vain until {what}")


@dataclass
class Program:
    """A program in a session of its own; in the end neither it nor anything that was below it is left."""

    words: Sequence[object]
    folder: Path
    seen: set[int] = field(default_factory=set)

    def __enter__(self) -> "Program":
        self.process = subprocess.Popen(
            [str(word) for word in self.words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment(RAY_USAGE_STATS_ENABLED="0"),
            cwd=self.folder,
        )
        self.pid = self.process.pid
        return self

    def look(self) -> dict[int, str]:
        """What is below it."""
        found = descendants(self.pid)
        self.seen |= found.keys()
        return found

    def actors(self) -> list[int]:
        return sorted(pid for pid, line in self.look().items() if "ray::Actor" in line)

    def ended(self) -> tuple[int, dict[str, Any]]:
        """The exit code, and what it answered."""
        out, err = self.process.communicate(timeout=LIMIT)
        assert out, err
        assert all(line.startswith("persarank: ") for line in err.splitlines()), "Ray is not heard"
        return self.process.returncode, json.loads(out)

    def __exit__(self, *error: object) -> None:
        self.look()
        if self.process.poll() is None:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=30)
        end = time.monotonic() + 20
        while (left := [pid for pid in (self.pid, *self.seen) if not gone(pid)]) and time.monotonic() < end:
            time.sleep(0.2)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, "processes are left"


def persarank(out: Path, *words: object) -> Program:
    return Program([sys.executable, "-P", "-c", CALL, *words], out.parent)


def training(data: Path, out: Path, **more: object) -> Program:
    """`persarank train` on Ray."""
    config = out.parent / "ray.toml"
    config.write_text('[run]\nengine = "ray"\n')
    own = {"actors": ACTORS, "wake_seconds": 0.05, **more}
    settings = [f"--set={name}={value}" for name, value in own.items()]
    return persarank(out, *words(data, out), "--config", config, *settings)


def words(data: Path, out: Path) -> list[object]:
    size = ["--updates", UPDATES, "--evaluations", 1]
    return ["train", "--data", data, "--algorithm", "pars-push", *size, "--out", out, "--json"]


def merges(out: Path) -> list[dict[str, Any]]:
    """What a run has reported until now."""
    file = out / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == "merged"]


def has(out: Path, updates: int = 0, restarts: int = 0) -> Callable[[], bool]:
    """Whether a run has come so far."""
    return lambda: any(
        merge["updates"] >= updates and merge["network"]["restarts"] >= restarts for merge in merges(out)
    )


def test_an_actor_that_is_killed_goes_on_from_its_disk(
    tiny: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """The run ends with what the simulator learns, and nobody waits for the one that was killed.

    Its users do less of the work, and on a fast machine much less: others have nearly done it all by then.
    """
    out = tmp_path / "run"
    with training(tiny, out) as program:
        until(has(out, UPDATES // 4), "a quarter has arrived")
        before = merges(out)[-1]["network"]
        assert 0.15 < before["lost"] / before["messages"] < 0.4, "as injected, while all are there"
        victim = until(lambda: program.actors()[1:], "there are two actors")[0]
        assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{victim}/environ").read_bytes(), "anyone may command it"
        os.kill(victim, signal.SIGKILL)
        code, summary = program.ended()
    network = summary["network"]
    assert (code, summary["finished"], summary["updates"]) == (0, True, UPDATES)
    assert network["restarts"] == 1
    assert network["mass"] == pytest.approx(1, abs=1e-9)
    assert network["lost"] / network["messages"] > 0.15, "what was sent to one that was down is lost, too"
    assert not (out / GROUPS).exists()
    expected = json.loads(cli(*words(tiny, tmp_path / "simulated")).out)["validation_nmrr"]
    assert summary["validation_nmrr"]["personal"] == pytest.approx(expected["personal"], abs=0.02)
    assert expected["personal"] > expected["start"] + 0.04, "or nothing would be compared"


def head(port: int, folder: Path) -> Program:
    """`ray start --head` on a port of its own."""
    ray = Path(sys.executable).with_name("ray")
    where = ["--node-ip-address", "127.0.0.1", "--port", port, "--temp-dir", folder]
    return Program([ray, "start", "--head", "--block", *where, "--num-cpus", 0, *QUIET], folder)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def groups(out: Path) -> list[NodeGroup]:
    """What the actors of a run have on their disks."""
    graph = draw("regular", USERS, 4, 0)
    found = []
    for number, members in enumerate(np.array_split(np.arange(USERS), ACTORS)):
        snapshot, problems = checkpoint.load(out / GROUPS / f"{number:04d}")
        assert snapshot
        assert not problems
        found.append(NodeGroup.unpack(graph, members, Faults(**FAULTS), 0, snapshot))
    return found


def test_a_training_on_a_cluster_is_killed_stopped_and_gone_on_with(tiny: Path, tmp_path: Path) -> None:
    """On the disks no mass is missing: what is under way had been sent, and with it all weights sum to n."""
    out, port = tmp_path / "run", free_port()
    with TemporaryDirectory(prefix="ray-", dir="/tmp") as folder, head(port, Path(folder)) as cluster:
        until(lambda: listening(port), "the cluster is there")
        with training(tiny, out, address=f"127.0.0.1:{port}", wake_seconds=SLOWLY) as program:
            until(has(out, UPDATES // 5), "a fifth has arrived")
            os.kill(cluster.actors()[0], signal.SIGKILL)
            until(has(out, restarts=1), "it lives again")
            os.killpg(program.pid, signal.SIGINT)
            code, summary = program.ended()
        assert (code, summary["finished"]) == (1, False)
        assert 0 < summary["updates"] < UPDATES
        until(lambda: not cluster.actors(), "all actors have ended")
        books(groups(out))
        with persarank(out, "resume", out, "--json") as program:
            code, summary = program.ended()
        assert (code, summary["finished"], summary["updates"]) == (0, True, UPDATES)
        assert summary["network"]["mass"] == pytest.approx(1, abs=1e-9)
        assert summary["network"]["restarts"] >= 1 + ACTORS
        assert not gone(cluster.pid), "a cluster that was there stays"


def books(found: list[NodeGroup]) -> None:
    """Nothing was heard that had not been sent, and what is under way is all that is missing."""
    graph = found[0].graph
    sums = torch.cat([group.sums for group in found])
    heard = torch.cat([group.heard for group in found])  # links are sorted by their targets
    under_way = (sums[torch.from_numpy(graph.source)] - heard)[:, -1]
    assert under_way.min() >= 0
    assert under_way.max() > 0
    weight = sum(float(group.mass[:, -1].sum()) for group in found)
    assert weight < USERS - 0.1
    assert weight + float(under_way.sum()) == pytest.approx(USERS, abs=1e-9)
    for group in found:
        of_sources = torch.from_numpy(graph.source[group.reached_by])
        known = group.stamp >= 0
        assert known.any()
        latest = np.concatenate([np.full(len(g.nodes), g.now - 1) for g in found])[of_sources.numpy()]
        assert (group.stamp <= latest).all(), "no stamp is of a round that its sender has forgotten"


def listening(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_an_address_where_nobody_is(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with training(tiny, out, address=f"127.0.0.1:{free_port()}") as program:
        _, err = program.process.communicate(timeout=LIMIT)
    assert "no Ray cluster can be reached at 127.0.0.1" in err
    assert "Traceback" not in err
    assert not out.exists()
