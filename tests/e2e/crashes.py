"""What the tests of ends that nobody planned share: how a process is killed, and what must come of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from federated.events import Event

ROOT = Path(__file__).resolve().parents[2]
OK, INTERRUPTED, BAD_RUN = 0, 1, 5
KILLED = -9
METRICS, MODEL, SUMMARY = "metrics.jsonl", "model.safetensors", "summary.json"
CHECKPOINT = "*-*.safetensors"


class Called(Protocol):
    code: int
    out: str
    err: str


Cli = Callable[..., Called]


class Host:
    """`tests.e2e.killed`, in whose forks commands are run and killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.e2e.killed"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PERSARANK_DEBUG": ""}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *error: object) -> None:
        with self._process:  # closing its stdin ends it
            pass

    def start(self, *jobs: dict[str, Any]) -> None:
        """Begin with these jobs, one after the other."""
        self._process.stdin.write(json.dumps(jobs, default=str) + "\n")

    def ended(self) -> tuple[list[int], str]:
        """The jobs' exit codes, and what they said on stderr."""
        codes, said = zip(*json.loads(self._process.stdout.readline()), strict=True)
        return list(codes), "".join(said)


Run = Callable[..., tuple[list[int], str]]
Kill = tuple[str, str, int]


def job(arguments: list[object], kill: Kill | None = None, **more: Any) -> dict[str, Any]:
    """A command, and perhaps when it is killed."""
    killed = {"kill": kill, "signal": "SIGKILL"} if kill else {}
    return {"arguments": [str(a) for a in arguments], **killed, **more}


def result(run: Path) -> dict[str, bytes]:
    """Every file of a run whose bytes the seed decides."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != SUMMARY)
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def summary(run: Path) -> dict[str, Any]:
    """The summary without what depends on the clock and the place."""
    told = json.loads((run / SUMMARY).read_text())
    return {key: told[key] for key in told if key not in ("run", "seconds", "updates_per_second", "phases")}


def assert_same(run: Path, whole: Path) -> None:
    assert result(run) == result(whole)
    assert summary(run) == summary(whole)
    assert MODEL in result(run)


class Crash(BaseException):
    """What no handler of the product takes."""


TRAIN = {"algorithm": "persa-fl", "updates": 100, "evaluations": 5, "checkpoint_every": 20}


def ignore(event: Event) -> None:
    pass


def crash_at(updates: int) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if event.updates >= updates:
            raise Crash

    return watch


def checkpoints(run: Path) -> list[Path]:
    """Newest last."""
    return sorted((run / "checkpoints").glob(CHECKPOINT))


def assert_sentence(called: Called, code: int, *parts: str) -> None:
    """One sentence on stderr with these parts, and this exit code."""
    assert called.code == code, called.err
    assert called.err.startswith("persarank: ")
    assert len(called.err.splitlines()) == 1, called.err
    for part in parts:
        assert part in called.err
