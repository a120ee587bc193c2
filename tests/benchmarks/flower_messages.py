"""`python tests/benchmarks/flower_messages.py`: what a message on Flower costs, and how many users share it.

One node of this machine, with TLS and a key, computes updates of b of its users for one message, for several
b; the round trip of a message is what passes between two answers. Beside it: the same updates in simulation,
and what the server does with an update. From these, where a second machine pays. `--json`; `--figure FILE`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE), str(HERE.parents[1])]

import altair as alt
import numpy as np
import pandas as pd
import torch

from app.runs.directory import read_metrics
from app.runs.flower.network import Network
from app.runs.flower.starting import down, up
from app.runs.flower.submitting import train_remotely
from app.runs.phases import Phases
from app.runs.settings import resolve
from app.runs.training import train_run
from data.public_counts import Bounds
from data.simulator import simulate
from data.storage import read, write
from federated.schedules.arrivals import Arrivals
from federated.server.merging import Arrival, Merging

USERS, ALGORITHM = 200, "persa-fl-me"
BATCHES = (1, 50, 200)
MESSAGES = 6
"""For each size; the first begins with nothing to compare with."""

MILLION = 1_000_000


def ignore(*_: Any) -> None:
    """Nobody watches."""


def messages(network: Network, data: Path, place: Path, batch: int) -> dict[str, Any]:
    """Median seconds from one answer to the next, and bytes, of messages with so many users."""
    head = {"algorithm": ALGORITHM, "engine": "flower", "updates": MESSAGES * batch, "evaluations": 0}
    settings = resolve(head, {"engine.batch_users": batch, "personal_samples": 1})
    run = place / f"batch-{batch}"
    train_remotely(network, settings, data, run, ignore, Phases())
    merged = [event for event in read_metrics(run) if event["event"] == "merged"]
    arrived = np.unique([round(event["time"], 2) for event in merged[::batch]])
    network_figures = merged[-1]["network"]
    return {
        "users": batch,
        "seconds": float(np.median(np.diff(arrived))),
        "bytes_up": network_figures["bytes_up"] / len(merged),
    }


def simulated(data: Path, place: Path) -> float:
    """Seconds of an update in simulation, all users in flight."""
    head = {"algorithm": ALGORITHM, "updates": 8000, "evaluations": 0}
    settings = resolve(head, {"concurrency": USERS, "personal_samples": 1})
    summary = train_run(settings, data, read(data), place / "simulated", ignore)
    return float(summary["seconds"] / summary["updates"])


def merging(parameters: int, updates: int = 5000) -> float:
    """Seconds that a server takes to judge and merge an update."""
    rule, server = Arrivals(), Merging(torch.zeros(parameters))
    delta = torch.randn(parameters) / parameters
    since = time.perf_counter()
    for user in range(updates):
        torch.linalg.vector_norm(delta).item()
        rule.take(server, Arrival(user, server.version, server.w, delta, None), MILLION)
    return (time.perf_counter() - since) / updates


def measured() -> dict[str, Any]:
    """Everything, on this machine."""
    with tempfile.TemporaryDirectory(prefix="persarank-flower-") as folder:
        place = Path(folder)
        data = place / "data"
        write(simulate(USERS, 0, bounds=Bounds()), data)
        network = up(place / "network", data, 1, "127.0.0.1", 0, secure=True)
        try:
            sizes = [messages(network, data, place, batch) for batch in BATCHES]
        finally:
            down(network)
        alone = simulated(data, place)
    users, seconds = (np.array([row[name] for row in sizes]) for name in ("users", "seconds"))
    slope, fixed = np.polyfit(users, seconds, 1)
    parameters = round(sizes[-1]["bytes_up"] / 4)
    needed = fixed / (2 * alone - slope) if 2 * alone > slope else float("inf")
    return {
        "messages": sizes,
        "seconds_per_message": float(fixed),
        "seconds_per_user": float(slope),
        "seconds_per_update_simulated": alone,
        "users_that_double_the_fixed_cost": float(fixed / slope),
        "users_per_node_where_two_machines_pay": float(needed),
        "server_seconds_per_update": merging(parameters),
        "parameters": parameters,
    }


def figure(result: dict[str, Any], file: Path) -> None:
    """Seconds of an update against users in a message."""
    rows = [
        {"users in a message": row["users"], "seconds per update": row["seconds"] / row["users"]}
        for row in result["messages"]
    ]
    x = alt.X("users in a message:Q", scale=alt.Scale(type="log"))
    y = alt.Y("seconds per update:Q", scale=alt.Scale(type="log"))
    line = alt.Chart(pd.DataFrame(rows)).mark_line(point=True).encode(x=x, y=y)
    alone = pd.DataFrame({"y": [result["seconds_per_update_simulated"]], "said": ["in simulation"]})
    level = alt.Y("y:Q", title="seconds per update")
    rule = alt.Chart(alone).mark_rule(strokeDash=[4, 4]).encode(y=level)
    text = alt.Chart(alone).mark_text(align="left", dx=4, dy=-6)
    said = text.encode(y=level, x=alt.value(0), text="said:N")
    title = "An update of one user on one node: what a message costs is shared by those who are in it"
    (line + rule + said).properties(width=460, height=260, title=title).save(str(file))


def main() -> None:
    """Measure, print, and perhaps draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    result = measured()
    if given.figure:
        figure(result, given.figure)
    if given.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
