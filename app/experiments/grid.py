"""`reproduce persa-fl`: every algorithm of the table on the same data, and what asynchrony buys.

For each dataset and seed every row is trained with its own defaults and an equal number of client updates.
The result says how well the users' own models rank, and how much virtual time passed until the common
model was first seen to rank nearly as well as FedAvg's did in the end.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluate import Ground, judge, prepare
from app.experiments.children import run_all
from app.runs import METRICS, RunError, finished, open_run
from data.files import write_bytes
from data.log_import import PUBLISHED, import_log
from data.schema import write
from data.simulator import simulate
from federated.algorithms import ALGORITHMS
from ranking.metrics import paired_bootstrap, per_user

RESULT, TABLE = "result.json", "table.md"
MARKS = {"95 %": 0.95, "99 %": 0.99}
"""Shares of FedAvg's final NMRR on validation slates: what the common models are timed against."""
TIMELESS = ("local", "pooled")
"""Rows whose virtual time means something else: nothing travels."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is."""

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    updates: int = 4000
    evaluations: int = 100


QUICK = Scale(users=20, seeds=(0,), updates=200, evaluations=10)


def reproduce(out: Path, scale: Scale, shell: Path | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, and its result.

    Args:
        out: a directory; runs that are there already are kept, and unfinished ones go on.
        scale: users, seeds, updates.
        shell: the log of shell commands, if there is one: the second dataset.
        tell: is told what has been done.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
        DataError: the log is not one.
        ChildError: a training failed.
    """
    _same_scale(out, scale)
    sources = _datasets(out, scale, shell, tell)
    places = {
        (name, seed, algorithm): out / "runs" / name / f"{algorithm}-{seed}"
        for name, seeds in sources.items()
        for seed in seeds
        for algorithm in ALGORITHMS
    }
    commands = [_command(place, sources[key[0]][key[1]], key, scale) for key, place in places.items()]
    run_all([command for command in commands if command], tell)
    result = {name: _judge(name, seeds, places) for name, seeds in sources.items()}
    write_bytes(out / RESULT, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    write_bytes(out / TABLE, "\n\n".join(markdown(name, rows) for name, rows in result.items()).encode())
    return result


def _same_scale(out: Path, scale: Scale) -> None:
    """Remember the scale of an experiment, or refuse to go on with one of another scale."""
    ours = (json.dumps(asdict(scale)) + "\n").encode()
    there = out / "scale.json"
    if there.is_file() and there.read_bytes() != ours:
        raise RunError(f"{out} holds this experiment at another scale: choose another --out.")
    write_bytes(there, ours)


def markdown(name: str, rows: dict[str, Any]) -> str:
    """One dataset's result as a table."""
    lines = [
        f"| {name} | own model's NMRR | 95 % interval | − fedavg | in flight | "
        + " | ".join(f"time to {mark}" for mark in MARKS)
        + " |",
        "|---|---|---|---|---|---|---|",
    ]
    for algorithm, row in rows.items():
        nmrr, gain = row["nmrr"], row["minus_fedavg"]
        interval = f"{nmrr['low']:.3f} to {nmrr['high']:.3f}"
        gained = f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        marks = ["–" if row[mark] is None else _time(row[mark]) for mark in MARKS]
        cells = [f"`{algorithm}`", f"{nmrr['mean']:.3f}", interval, gained, str(row["in_flight"]), *marks]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _time(reached: dict[str, Any]) -> str:
    """A virtual time, as a bound where nobody had looked before."""
    return ("≤ " if reached["at_first_look"] else "") + f"{reached['time']:.0f}"


def _datasets(
    out: Path, scale: Scale, shell: Path | None, tell: Callable[[str], None]
) -> dict[str, dict[int, Path]]:
    """Name → seed → directory."""
    simulated = {seed: out / "data" / f"simulated-{seed}" for seed in scale.seeds}
    for seed, place in simulated.items():
        if not (place / "manifest.json").is_file():
            write(simulate(scale.users, seed), place)
            tell(f"simulated {place}")
    if shell is None:
        return {"simulated": simulated}
    place = out / "data" / "shell"
    if not (place / "manifest.json").is_file():
        write(import_log(shell, "user", "timestamp", "query", "training", PUBLISHED), place)
        tell(f"imported {place}")
    return {"simulated": simulated, "shell": dict.fromkeys(scale.seeds, place)}


def _command(place: Path, data: Path, key: tuple[str, int, str], scale: Scale) -> list[str] | None:
    """The command that a run still needs."""
    if place.is_dir() and any(place.iterdir()):
        return None if finished(place) else ["resume", str(place), "--json"]
    _, seed, algorithm = key
    options = {"data": data, "out": place, "algorithm": algorithm, "seed": seed}
    options |= {"updates": scale.updates, "evaluations": scale.evaluations}
    return ["train", "--json", *(f"--{name}={value}" for name, value in options.items())]


def _judge(name: str, seeds: dict[int, Path], places: dict[tuple[str, int, str], Path]) -> dict[str, Any]:
    """Every algorithm's figures on one dataset, users of all seeds together."""
    values: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    paths: dict[str, list[Path]] = defaultdict(list)
    in_flight: dict[str, int] = {}
    grounds: dict[Path, Ground] = {}
    for seed, data in seeds.items():
        ground = grounds.get(data) or grounds.setdefault(data, prepare(data, "test"))
        for algorithm in ALGORITHMS:
            run = open_run(places[name, seed, algorithm])
            nmrr = judge(run, ground, "test").personal["nmrr"]
            values[algorithm].append(per_user(nmrr, ground.slates.user)[1])
            paths[algorithm].append(run.directory)
            in_flight[algorithm] = max(in_flight.get(algorithm, 0), run.summary["concurrency"])
    # Seeds of one dataset see the same users again, who must not count as others: their mean stands for them.
    same = len(grounds) == 1
    users = {a: np.mean(v, axis=0) if same else np.concatenate(v) for a, v in values.items()}
    return {
        algorithm: {
            "nmrr": paired_bootstrap(users[algorithm]),
            "minus_fedavg": paired_bootstrap(users[algorithm] - users["fedavg"]),
            "in_flight": in_flight[algorithm],
            **{
                mark: None if algorithm in TIMELESS else _reached(paths[algorithm], paths["fedavg"], share)
                for mark, share in MARKS.items()
            },
        }
        for algorithm in ALGORITHMS
    }


def _reached(runs: list[Path], yardsticks: list[Path], share: float) -> dict[str, Any] | None:
    """Medians over seeds of virtual time and updates at the mark; None where a seed did not get there."""
    first, looks = [], []
    for run, yardstick in zip(runs, yardsticks, strict=True):
        mark = share * _path(yardstick)[-1][2]
        path = _path(run)
        there = [(time, updates) for time, updates, nmrr in path if nmrr >= mark]
        if not there:
            return None
        first.append(there[0])
        looks.append(path[0][1])
    updates = median(updates for _, updates in first)
    at_first_look = updates <= median(looks)
    return {"time": median(time for time, _ in first), "updates": updates, "at_first_look": at_first_look}


def _path(run: Path) -> list[tuple[float, int, float]]:
    """(virtual time, updates, NMRR on validation slates) at every evaluation of a run."""
    path, time = [], 0.0
    with (run / METRICS).open() as lines:
        for line in lines:
            event = json.loads(line)
            if event["event"] == "merged":
                time = event["time"]
            else:
                path.append((time, event["updates"], event["metrics"]["nmrr"]))
    return path
