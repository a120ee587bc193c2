"""PersaRank in its own environment: all workloads.

Its asynchronous runs also write the order of their events, which the per-client loop replays.
"""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
HERE = Path(__file__).resolve()
sys.path[:1] = [str(HERE.parents[1]), str(HERE.parents[3])]  # workload.py, and the product

import app  # noqa: F401, I001 -- must come before torch

from argparse import Namespace

import harness
import numpy as np
import ours
import scale
from workload import Problem, mean_loss

IMPORTED = time.perf_counter()


def synchronous(problem: Problem, given: Namespace) -> dict[str, object]:
    """w-sync, or w-scale on the data of a mapped file."""
    mapped = scale.Mapped(given.mapped, given.users) if given.workload == "w-scale" else None
    task = mapped.task(problem.start) if mapped else ours.Classification.of_problem(problem)
    ready = ours.clients(task, given.workload)
    start_s, compile_s = time.perf_counter() - IMPORTED, ours.warm_up_s(ready)
    rounds = max(given.rounds, given.gate_rounds)
    between = mapped.let_go if mapped else lambda: None
    seconds, gate = ours.run_rounds(ready, given.workload, rounds, given.gate_rounds, between)
    return {
        "start_s": start_s,
        "compile_s": compile_s,
        "round_seconds": seconds,
        "updates_per_round": min(ours.COHORT, ready.number),
        "gate_loss": mean_loss(gate, problem.X, problem.y),
    }


def asynchronous(problem: Problem, given: Namespace) -> dict[str, object]:
    """w-async or w-me."""
    ready = ours.clients(ours.Classification.of_problem(problem), given.workload)
    start_s, compile_s = time.perf_counter() - IMPORTED, ours.warm_up_s(ready)
    ran = ours.run_arrivals(ready, given.workload, given.arrivals, given.gate_arrivals, given.skipped)
    if given.events:
        np.savez(given.events, users=ran.users, versions=ran.versions, server_lr=ran.server_lr)
    return {
        "start_s": start_s,
        "compile_s": compile_s,
        "seconds": ran.seconds,
        "updates": given.arrivals - given.skipped,
        "gate_loss": mean_loss(ran.gate, problem.X, problem.y),
    }


def main() -> None:
    """Run one workload and print its result."""
    stdout = harness.reserve_stdout()
    parser = harness.parser("w-sync", "w-async", "w-me", "w-scale")
    parser.add_argument("--arrivals", type=int, default=10_000, help="arrivals to run")
    parser.add_argument("--gate-arrivals", type=int, default=200, help="the gate's loss is taken after these")
    parser.add_argument("--skipped", type=int, default=0, help="arrivals to run before the clock starts")
    parser.add_argument("--events", type=Path, help="where to write the order of events (.npz)")
    parser.add_argument("--mapped", type=Path, help="w-scale: the file that scale.write wrote")
    parser.add_argument("--users", type=int, help="w-scale: how many users it holds")
    given = parser.parse_args()
    if given.workload == "w-scale" and not (given.mapped and given.users):
        parser.error("w-scale needs --mapped and --users")
    if not 0 <= given.skipped < given.arrivals or not 0 < given.gate_arrivals <= given.arrivals:
        parser.error("--skipped and --gate-arrivals must lie within --arrivals")
    problem = Problem.load(given.data)
    run = asynchronous if given.workload in ("w-async", "w-me") else synchronous
    result = run(problem, given)
    result |= {
        "engine": "persarank",
        "workload": given.workload,
        "import_s": IMPORTED - STARTED,
        "peak_memory_mb": harness.peak_memory_mb(),
    }
    harness.print_line(stdout, result)


if __name__ == "__main__":
    main()
