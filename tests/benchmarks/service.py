"""`python tests/benchmarks/service.py`: how fast `persarank serve` answers, over loopback, on one core each.

200 simulated users, lists of 75 candidates and more: 100 requests a second at fixed moments, whatever came of
the ones before, so that waiting counts; then as many as it can, over several connections; then 100,000, to
see whether its memory grows. `--quick` for a tenth of all; `--json`.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE), str(HERE.parents[1])]

import numpy as np

from app.runs.settings import resolve
from app.runs.training import train_run
from data.simulator import simulate
from data.storage import read, write

CALL = "import sys; sys.path[:0] = [{0!r}, {0!r} + '/app/door']; from persarank import main; main()"
CONNECTIONS, PACE, SECONDS, SATURATED, SOAK = 8, 100, 20, 10, 100_000


class Asked:
    """Requests over kept connections, one at a time each."""

    def __init__(self, port: int, users: list[str]) -> None:
        self.port, self.users, self.number, self.candidates = port, users, 0, 0
        self.free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def connect(self, connections: int) -> None:
        for _ in range(connections):
            await self.free.put(await asyncio.open_connection("127.0.0.1", self.port))

    def request(self) -> bytes:
        self.number += 1
        user = quote(self.users[self.number * 7919 % len(self.users)])
        prefix = "how to"[: 1 + self.number % 6]
        path = f"/v1/suggest?user={user}&q={quote(prefix)}"
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def once(self) -> None:
        reader, writer = await self.free.get()
        writer.write(self.request())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        found = re.search(rb"content-length: (\d+)", head)
        assert found
        self.candidates += json.loads(await reader.readexactly(int(found[1])))["candidates"]
        await self.free.put((reader, writer))


async def paced(asked: Asked, seconds: float) -> dict[str, float]:
    """Milliseconds from the moment at which a request was due to its answer."""
    begun, times = time.perf_counter(), []

    async def at(due: float) -> None:
        await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
        await asked.once()
        times.append(time.perf_counter() - begun - due)

    await asyncio.gather(*(at(number / PACE) for number in range(int(seconds * PACE))))
    p50, p95, p99 = np.percentile(1000 * np.array(times), [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99}


async def saturated(asked: Asked, requests: int) -> float:
    """Requests a second, of as many as it answers."""
    begun, left = time.perf_counter(), iter(range(requests))

    async def one() -> None:
        for _ in left:
            await asked.once()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return requests / (time.perf_counter() - begun)


def memory(process: int) -> float:
    """MiB that a process has in memory."""
    (line,) = [one for one in Path(f"/proc/{process}/status").read_text().splitlines() if "VmRSS" in one]
    return int(line.split()[1]) / 1024


async def measured(port: int, process: int, users: list[str], part: float) -> dict[str, Any]:
    asked = Asked(port, users)
    await asked.connect(CONNECTIONS)
    await saturated(asked, 10 * len(users))  # everybody has been there
    found: dict[str, Any] = {"paced_ms": await paced(asked, SECONDS * part)}
    found["candidates"] = asked.candidates / asked.number
    found["requests_per_second"] = await saturated(asked, int(5_000 * part))
    before = memory(process)
    await saturated(asked, int(SOAK * part))
    return found | {"mib_before": before, "mib_after": memory(process), "requests": int(SOAK * part)}


def served(ranker: str, data: Path, place: Path, part: float) -> dict[str, Any]:
    """A run of a ranker, trained and served; the service has one core, whoever asks the other."""
    run = place / ranker
    settings = resolve(
        {"algorithm": "persa-fl-me", "ranker": ranker, "updates": 400, "evaluations": 0}, {"lam": 3.0}
    )
    dataset = read(data)
    train_run(settings, data, dataset, run, lambda event: None)
    command = [sys.executable, "-c", CALL.format(str(HERE.parents[1]))]
    command += [
        "serve",
        str(run),
        "--store",
        str(place / f"{ranker}-store"),
        "--port",
        "0",
        "--rate",
        "1000000",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        os.sched_setaffinity(process.pid, {0})
        assert process.stderr is not None
        found = re.search(r":(\d+) ", process.stderr.readline())
        assert found, process.stderr.read()
        users = dataset.users.column("name").to_pylist()
        return asyncio.run(measured(int(found[1]), process.pid, users, part))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(simulate(200), place / "data")
        found = {
            ranker: served(ranker, place / "data", place, 0.1 if chosen.quick else 1.0)
            for ranker in ("mlp", "mlp-cnn")
        }
    if chosen.json:
        print(json.dumps(found))
        return
    print(
        "| ranker | candidates | ms at 100 a second, p50 / p95 / p99 | a second at most | MiB before, after |"
    )
    print("|---|---|---|---|---|")
    for ranker, one in found.items():
        times = " / ".join(f"{value:.1f}" for value in one["paced_ms"].values())
        grown = f"{one['mib_before']:.0f} → {one['mib_after']:.0f} ({one['requests']} requests)"
        print(
            f"| `{ranker}` | {one['candidates']:.0f} | {times} | {one['requests_per_second']:.0f} | {grown} |"
        )


if __name__ == "__main__":
    main()
