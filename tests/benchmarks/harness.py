"""What every engine's script shares: its options, its clock's bookkeeping, its one line of result."""

import argparse
import json
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray
from workload import Problem, mean_loss


@dataclass(frozen=True)
class Options:
    """What a run of synchronous rounds is asked for."""

    data: Path
    gate_rounds: int
    rounds: int


@dataclass(frozen=True)
class Timings:
    """Seconds of each part of a run; the rounds leave evaluation out."""

    import_s: float
    start_s: float
    compile_s: float
    round_seconds: list[float]


def parser(*workloads: str) -> argparse.ArgumentParser:
    """The options that all engines take; ``workloads`` are those that this engine can run."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True, help="the .npz that workload.py wrote")
    options.add_argument("--workload", choices=workloads, default=workloads[0])
    options.add_argument("--gate-rounds", type=int, default=5, help="the gate's loss is taken after these")
    options.add_argument("--rounds", type=int, default=10, help="rounds to run and time, the gate's included")
    return options


def options() -> Options:
    """Options of an engine that runs synchronous rounds only."""
    given = parser("w-sync").parse_args()
    return Options(given.data.resolve(), given.gate_rounds, max(given.rounds, given.gate_rounds))


def reserve_stdout() -> int:
    """Send whatever libraries print to stderr; the returned descriptor is the real stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def report_rounds(
    stdout: int, engine: str, problem: Problem, gate: NDArray, timings: Timings, memory: float
) -> None:
    """Print the result of synchronous rounds; ``gate`` is the flat model after the gate's rounds."""
    result = {
        "engine": engine,
        "workload": "w-sync",
        **vars(timings),
        "updates_per_round": problem.users,
        "gate_loss": mean_loss(gate, problem.X, problem.y),
        "peak_memory_mb": memory,
    }
    print_line(stdout, result)


def print_line(stdout: int, result: dict[str, object]) -> None:
    """Print one JSON line on the real stdout."""
    os.write(stdout, (json.dumps(result) + "\n").encode())


def peak_memory_mb() -> float:
    """Peak resident memory of this process and its living descendants, summed, in MiB.

    Pages that processes share count once for each of them. Call it while the workers still live.
    """
    if not Path("/proc/self/status").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
    return sum(_status(pid, "VmHWM") for pid in _family(os.getpid())) / 2**10


def _family(root: int) -> list[int]:
    """A process and all its descendants."""
    parents = {int(p.name): _status(int(p.name), "PPid") for p in Path("/proc").iterdir() if p.name.isdigit()}
    family = [root]
    for member in family:
        family.extend(pid for pid, parent in parents.items() if parent == member)
    return family


def _status(pid: int, field: str) -> int:
    """A number out of a process's status; 0 where the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)
