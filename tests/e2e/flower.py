"""A Flower network of a test: its command line, its nodes, and what its server has told until now."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.runs.flower.network import HOME, Network
from app.runs.flower.processes import free_port, living_in

PROGRAM = Path(sys.executable).parent / "persarank"
LIMIT = 150
"""Seconds that anything may take here."""


def environment() -> dict[str, str]:
    """That of a user whose PATH begins with the programs beside this Python: Flower finds its own there."""
    path = os.pathsep.join([str(PROGRAM.parent), os.environ.get("PATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PATH": path}


def command(*words: object) -> subprocess.Popen[str]:
    """`persarank` with these words, begun."""
    return subprocess.Popen(
        [str(PROGRAM), *map(str, words)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(*words: object) -> dict[str, Any]:
    """What `persarank … --json` says."""
    process = command(*words, "--json")
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def wait_until(true: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Until something is true."""
    ends = time.monotonic() + limit
    while not true():
        assert time.monotonic() < ends, f"{what}: not within {limit} seconds"
        time.sleep(0.1)


def events(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics that are whole."""
    file = run / "metrics.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def told(network: Network) -> list[Any]:
    """What the server of the newest training has told."""
    jobs = sorted(network.directory.glob("jobs/*/events.jsonl"), key=lambda file: file.stat().st_mtime)
    return [json.loads(line) for line in jobs[-1].read_text().split("\n")[:-1]] if jobs else []


def intruder(network: Network, *trust: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A SuperNode that wants to take part, and what it says."""
    log = network.directory / "logs" / f"intruder-{free_port()}.log"
    where = ["--superlink", f"127.0.0.1:{network.port}", "--port", str(free_port())]
    program = Path(sys.executable).parent / "flower-supernode"
    own = {HOME: str(network.directory / "flwr-intruder"), "FLWR_TELEMETRY_ENABLED": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(program), *trust, *where, "--max-wait-time", "20"],
            env=environment() | own | {"FLWR_DISABLE_UPDATE_CHECK": "1", "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process, log


def processes_of(directory: Path) -> list[str]:
    """Commands of processes whose environment or command names a folder: all that a network has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes()
            said = (place / "environ").read_bytes() + command
        except OSError:
            continue
        if command and str(directory).encode() in said and int(place.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


def kill_all(network: Network, name: str) -> None:
    """Kill a process of the network and all that it has started, as when a machine fails."""
    for process in living_in(HOME, network.directory / f"flwr-{name}"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
