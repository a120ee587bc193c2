"""What is run: each workload's engines, how long, with how many threads; each run is a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
"""For PersaRank and for the machine's peak."""

Result = dict[str, Any]


class EngineFailedError(RuntimeError):
    """An engine gave no result; the message says why."""


@dataclass(frozen=True)
class Plan:
    """How much is run.

    Attributes:
        rounds: of each engine in w-sync; slower engines run fewer, since a rate is a rate.
        gate_rounds: after so many the losses are compared.
        arrivals: PersaRank's, by workload; of these the first ``skipped`` are not timed.
        loop_arrivals: the per-client loop's; after so many the losses are compared.
        pfllib_rounds: rounds of pFedMe after its first.
        scale_rounds: rounds in w-scale, of 200 updates each.
        timeout: seconds that one run may take.
    """

    repeats: int = 5
    rounds: dict[str, int] = field(
        default_factory=lambda: {"persarank": 40, "flower": 7, "pfl": 8, "drjax": 40, "loop": 10}
    )
    gate_rounds: int = 5
    arrivals: dict[str, int] = field(default_factory=lambda: {"w-async": 10_000, "w-me": 3_000})
    skipped: int = 200
    loop_arrivals: dict[str, int] = field(default_factory=lambda: {"w-async": 2_000, "w-me": 400})
    pfllib_rounds: int = 3
    scale_rounds: int = 100
    users: tuple[int, ...] = (200, 2_000, 20_000)
    timeout: float = 600


QUICK = Plan(
    repeats=2,
    rounds={"persarank": 10, "flower": 4, "pfl": 4, "drjax": 10, "loop": 4},
    gate_rounds=3,
    arrivals={"w-async": 1_500, "w-me": 500},
    loop_arrivals={"w-async": 300, "w-me": 100},
    pfllib_rounds=1,
    scale_rounds=20,
)


@dataclass(frozen=True)
class Engine:
    """A command that prints a result; ``threads`` None leaves their number to its libraries."""

    command: tuple[str, ...]
    threads: int | None


def engine(python: Path | str, script: str, threads: int | None, **options: object) -> Engine:
    """An engine's script with its options; an option that is True stands alone, None is left out."""
    command = [str(python), str(HERE / "engines" / f"{script}.py")]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return Engine(tuple(command), threads)


def synchronous(peers: dict[str, Path], plan: Plan, data: Path) -> dict[str, Engine]:
    """w-sync's engines, in the order of every repeat. The peers' threads are what each is fastest with."""
    common = {"data": data, "gate_rounds": plan.gate_rounds}
    threads = {"flower": 1, "pfl": 1, "drjax": None}
    mine = common | {"rounds": plan.rounds["persarank"]}
    engines = {
        "persarank": engine(sys.executable, "persarank", THREADS, **mine),
    }
    for name in threads:
        if name in peers:
            engines[name] = engine(peers[name], name, threads[name], **common, rounds=plan.rounds[name])
    return engines | {"loop": engine(sys.executable, "loop", 1, **common, rounds=plan.rounds["loop"])}


def asynchronous(
    workload: str, peers: dict[str, Path], plan: Plan, data: Path, pfllib: Path | None
) -> dict[str, Engine]:
    """The engines of w-async or w-me; the loop replays the events that PersaRank writes before it."""
    events = data.with_name(f"{workload}.events.npz")
    common = {"data": data, "workload": workload, "gate_arrivals": plan.loop_arrivals[workload]}
    mine = common | {"arrivals": plan.arrivals[workload], "skipped": plan.skipped}
    loop = common | {"arrivals": plan.loop_arrivals[workload], "events": events}
    engines = {
        "persarank": engine(sys.executable, "persarank", THREADS, **mine, events=events),
        "loop": engine(sys.executable, "loop", 1, **loop),
    }
    if workload == "w-me" and pfllib and "pfllib" in peers:
        theirs = {"data": data, "rounds": plan.pfllib_rounds, "checkout": pfllib}
        engines["pfllib"] = engine(peers["pfllib"], "pfllib", 1, **theirs)
    return engines


def scaled(plan: Plan, data: Path) -> dict[str, Engine]:
    """PersaRank at every number of users, by that number."""
    common = {"data": data, "workload": "w-scale", "rounds": plan.scale_rounds}
    return {
        str(users): engine(
            sys.executable, "persarank", THREADS, **common, users=users, mapped=mapped(data, users)
        )
        for users in plan.users
    }


def mapped(data: Path, users: int) -> Path:
    """Where the samples of so many users lie."""
    return data.with_name(f"users-{users}.bin")


def in_turn(engines: dict[str, Engine], repeats: int) -> Iterator[tuple[int, str, Engine]]:
    """A, B, C, A, B, C …: whatever disturbs the machine for a while disturbs all alike."""
    for repeat in range(repeats):
        for name, each in engines.items():
            yield repeat, name, each


def run(each: Engine, cache: Path, timeout: float) -> Result:
    """Run an engine to its end.

    Args:
        each: the engine.
        cache: where compiled programs are kept, for this benchmark alone.
        timeout: seconds.

    Raises:
        EngineFailedError: it failed, took too long or printed no result.
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["NUMBA_CACHE_DIR"] = str(cache)
    if each.threads:
        environment["OMP_NUM_THREADS"] = str(each.threads)
    code, out, err = call(each.command, environment, timeout)
    if code:
        raise EngineFailedError(last_line(err) or f"exit status {code}")
    try:
        return dict(json.loads(last_line(out)))
    except ValueError as error:
        raise EngineFailedError("it printed no result") from error


def call(command: Sequence[str], environment: dict[str, str], timeout: float) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command, which never outlives this call, nor do its children.

    Raises:
        EngineFailedError: it could not be started or took too long.
    """
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its children can be ended with it
        )
    except OSError as error:
        raise EngineFailedError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise EngineFailedError(f"not finished after {timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, out, err


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def peak_gflops() -> float:
    """The machine's measured peak, see gemm.py."""
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    code, out, err = call((sys.executable, str(HERE / "gemm.py")), environment, 120)
    if code:
        raise EngineFailedError(last_line(err))
    return float(out)
