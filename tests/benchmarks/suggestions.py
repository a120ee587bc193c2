"""`python tests/benchmarks/suggestions.py`: how long the suggestion service takes; a table, or `--json`.

40,000 queries, a user with 5,000 events, pools of 75 candidates and more. Somebody types queries character
by character, and each keystroke is timed: on the clock, and as processor time, which is less disturbed by
whatever else the machine does. Weights are random: that takes as long as trained ones.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE), str(HERE.parents[1])]

import logs
import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table

from app.runs.directory import Run
from app.runs.settings import resolve
from app.suggestions.suggester import Suggester
from data.log_slates import log_slates
from data.schema import SCHEMAS, Dataset
from data.splits import time_split
from ranking.models import NeuralModel
from ranking.sources import Log

USER = 0
"""Who types: the one with the many events."""

BUDGET_MS = 5.0
"""The 95th percentile of a keystroke must not take longer."""


def dataset(queries: int, events: int, others: int, seed: int = 0) -> Dataset:
    """A log: one user with so many events, and twenty others who have ``others`` events together."""
    draw = np.random.default_rng(seed)
    texts = logs._texts(queries, draw)
    user = np.sort(np.concatenate([np.zeros(events, np.int64), draw.integers(1, 21, others)]))
    popular = np.minimum((queries + 1) ** draw.random(len(user)) - 1, queries - 1).astype(np.int64)
    query = popular[logs._first_times(user, draw)]
    order = np.argsort(texts)  # datasets number their queries by text
    number = np.empty(queries, np.int32)
    number[order] = np.arange(queries)
    named = {
        "users": [np.arange(21, dtype=np.int32), [f"user {u}" for u in range(21)]],
        "queries": [
            np.arange(queries, dtype=np.int32),
            [texts[q] for q in order],
            pa.nulls(queries, pa.string()),
            np.ones(queries, np.int64),
        ],
        "events": [
            np.arange(len(user)),
            user.astype(np.int32),
            pa.array(np.arange(len(user)) * 60_000_000, pa.timestamp("us", tz="UTC")),
            number[query],
            (np.arange(len(user)) // 5).astype(np.int32),
            pa.nulls(len(user), pa.string()),
            time_split(user),
        ],
    }
    tables = {name: pa.table(columns, schema=SCHEMAS[name]) for name, columns in named.items()}
    made = log_slates(tables["events"], tables["queries"]["text"].to_pylist(), None, 100, seed)
    return Dataset(**tables, slates=pa.concat_tables(part.table for part in made))


def service(log: Log, ranker: str) -> Suggester:
    """The service of a run with random models for everyone and for each user."""
    settings = resolve({"algorithm": "persa-fl-me", "ranker": ranker}, {"lam": 15})
    network = settings.network(len(log.feature_names), log.texts or ())
    draw = torch.Generator().manual_seed(0)
    weights = [network.layout.initial(draw) for _ in range(len(log.users) + 1)]
    run = Run(Path(), settings, Path(), log.fingerprint, {})
    return Suggester(log, NeuralModel(network, weights[0], torch.stack(weights[1:])), run)


def keystrokes(log: Log, number: int, seed: int = 1) -> list[str]:
    """What is in the box after each keystroke of somebody who types queries, popular ones more often."""
    draw = np.random.default_rng(seed)
    texts = log.public.texts
    shares = log.public.count / log.public.count.sum()
    typed: list[str] = []
    while len(typed) < number:
        text = texts[draw.choice(len(texts), p=shares)]
        typed += [text[: end + 1] for end in range(min(len(text), 8))]
    return typed[:number]


def timed(calls: list[Callable[[], Any]]) -> dict[str, float]:
    """Milliseconds of some calls: percentiles on the clock, and the 95th one of processor time."""
    clock, processor = [], []
    for call in calls:
        began = time.perf_counter(), time.process_time()
        call()
        clock.append((time.perf_counter() - began[0]) * 1000)
        processor.append((time.process_time() - began[1]) * 1000)
    p50, p95, p99 = np.percentile(clock, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "cpu_p95": float(np.percentile(processor, 95))}


def measured(suggester: Suggester, typed: list[str]) -> dict[str, dict[str, float]]:
    """What each thing that a visitor can do takes."""
    visit = suggester.visit(USER)
    some = suggester.recent(visit, 20)
    changed = suggester.observe(visit, "a search that nobody has ever done")
    first = [suggester.suggest(visit, t).personal[0].text for t in typed[:50]]
    pairs = list(zip(typed, first, strict=False))
    suggester.adapt(visit)  # compiles what has not been compiled yet
    for text in some[:10]:
        changed = suggester.observe(changed, text, text[:1])
    return {
        "a keystroke": timed([lambda t=t: suggester.suggest(visit, t) for t in typed]),
        "… with a new text": timed([lambda t=t: suggester.suggest(changed, t) for t in typed]),
        "explain one": timed([lambda t=t, s=s: suggester.explain(visit, t, s) for t, s in pairs]),
        "learn from a visit": timed([lambda: suggester.adapt(changed)] * 5),
        "open a visit": timed([lambda: suggester.visit(USER)] * 20),
        "accept a search": timed([lambda t=t: suggester.observe(visit, t) for t in some]),
        "delete a search": timed([lambda t=t: suggester.forget(visit, t) for t in some]),
    }


def main() -> int:
    """Measure, and print; 1 where a keystroke takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=40_000)
    parser.add_argument("--events", type=int, default=5_000, help="of the user who types")
    parser.add_argument("--others", type=int, default=95_000, help="events of everybody else")
    parser.add_argument("--keystrokes", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    log = Log(dataset(given.queries, given.events, given.others))
    typed = keystrokes(log, given.keystrokes)
    found = {}
    for name in ("mlp", "mlp-cnn"):
        found[name] = measured(service(log, name), typed)
    load = os.getloadavg()[0]
    if given.json:
        print(json.dumps({"load": load, "milliseconds": found}, indent=2))
    else:
        table = Table(title=f"Milliseconds; load of the machine {load:.1f}, {os.cpu_count()} cores")
        for column in ("ranker", "what", "p50", "p95", "p99", "processor p95"):
            table.add_column(column, justify="left" if column in ("ranker", "what") else "right")
        for name, rows in found.items():
            for what, row in rows.items():
                table.add_row(name, what, *(f"{value:.1f}" for value in row.values()))
        Console().print(table)
    slow = [name for name, rows in found.items() if rows["a keystroke"]["cpu_p95"] > BUDGET_MS]
    if slow:
        print(f"A keystroke takes over {BUDGET_MS:g} ms of processor time by {', '.join(slow)}.")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
