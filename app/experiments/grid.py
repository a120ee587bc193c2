"""`reproduce persa-fl`: every algorithm with a server on the same data, and what asynchrony buys.

For each dataset and seed every such row is trained with its own defaults and as many client updates.
The result says how well the users' own models rank, and how much virtual time passed until the common
model was first seen to rank nearly as well as FedAvg's did in the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import Curve, Panel, draw
from app.experiments.own_models import nmrr
from app.experiments.workspace import (
    alone,
    imported,
    missing,
    read_metrics,
    same_scale,
    save,
    simulated,
)
from app.experiments.written import NONE, difference, span, table
from app.runs.directory import open_run
from app.runs.evaluation import prepare
from federated.algorithms import ALGORITHMS
from federated.schedules.gossip import Gossip
from ranking.metrics import paired_bootstrap

SERVED = [name for name, row in ALGORITHMS.items() if not (isinstance(row.schedule, Gossip) or row.policy)]
"""Without a server a user's updates count for little at first, and policies have no loss: those rows have
experiments of their own."""

MARKS = {"95 %": 0.95, "99 %": 0.99}
"""Shares of FedAvg's final NMRR on validation slates: what the common models are timed against."""
TIMELESS = ("local", "pooled")
"""Rows whose virtual time means something else: nothing travels."""

FIGURE = "asynchrony-with-a-server"
DRAWN = (
    "fedavg",
    "fedasync",
    "fedbuff",
    "pfedme",
    "persa-fl",
    "persa-fl-me",
    "persa-fl-me-buffered",
    "persa-fl-ditto",
)
"""Rows in the figure; with all of them nobody could tell the curves apart."""

LONGEST = 2.0
"""How far the figure goes, in FedAvg's virtual time."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is."""

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    updates: int = 4000
    evaluations: int = 100


QUICK = Scale(users=20, seeds=(0,), updates=200, evaluations=10)


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None], shell: Path | None = None) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, and its result.

    Args:
        out: a directory; runs that are there already are kept, and unfinished ones go on.
        scale: users, seeds, updates.
        tell: is told what has been done.
        shell: the log of shell commands, if there is one: the second dataset.

    Raises:
        RunError: ``out`` holds the experiment at another scale, or on another log.
        DataError: the log is not one.
        ChildError: a training failed.
    """
    same_scale(out, scale)
    sources = _datasets(out, scale, shell, tell)
    places = {
        (name, seed, algorithm): out / "runs" / name / f"{algorithm}-{seed}"
        for name, seeds in sources.items()
        for seed in seeds
        for algorithm in SERVED
    }
    size = {"updates": scale.updates, "evaluations": scale.evaluations}
    commands = [
        missing(place, sources[name][seed], {"algorithm": algorithm, "seed": seed, **size})
        for (name, seed, algorithm), place in places.items()
    ]
    run_all([command for command in commands if command], tell)
    result = {name: _judge(name, seeds, places) for name, seeds in sources.items()}
    _draw(out / FIGURE, sources, places)
    save(out, result)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The result as tables, one for each dataset."""
    return "\n\n".join(_table(name, rows) for name, rows in result.items())


def _table(name: str, rows: dict[str, Any]) -> str:
    heads = [name, "own model's NMRR", "95 % interval", "− fedavg", "in flight"]
    cells = []
    for algorithm, row in rows.items():
        told = [f"{row['nmrr']['mean']:.3f}", span(row["nmrr"]), difference(row["minus_fedavg"])]
        marks = [NONE if row[mark] is None else _time(row[mark]) for mark in MARKS]
        cells.append([f"`{algorithm}`", *told, str(row["in_flight"]), *marks])
    return table([*heads, *(f"time to {mark}" for mark in MARKS)], cells) + "\n"


def _time(reached: dict[str, Any]) -> str:
    """A virtual time, as a bound where nobody had looked before."""
    return ("≤ " if reached["at_first_look"] else "") + f"{reached['time']:.0f}"


def _datasets(
    out: Path, scale: Scale, shell: Path | None, tell: Callable[[str], None]
) -> dict[str, dict[int, Path]]:
    """Name → seed → directory."""
    log = None if shell is None else imported(out, "shell", shell, "training", tell)
    found = {"simulated": simulated(out, scale.users, scale.seeds, tell)}
    return found if log is None else found | {"shell": dict.fromkeys(scale.seeds, log)}


def _judge(name: str, seeds: dict[int, Path], places: dict[tuple[str, int, str], Path]) -> dict[str, Any]:
    """Every algorithm's figures on one dataset, users of all seeds together."""
    prepared = {data: prepare(data, "test") for data in dict.fromkeys(seeds.values())}
    grounds = [prepared[data] for data in seeds.values()]
    paths = {a: [places[name, seed, a] for seed in seeds] for a in SERVED}
    users = {a: nmrr(runs, grounds) for a, runs in paths.items()}
    in_flight = {a: max(open_run(run).summary["concurrency"] for run in runs) for a, runs in paths.items()}
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
        for algorithm in SERVED
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
    for event in read_metrics(run):
        if event["event"] == "merged":
            time = event["time"]
        else:
            path.append((time, event["updates"], event["metrics"]["nmrr"]))
    return path


def _draw(path: Path, sources: dict[str, dict[int, Path]], places: dict[tuple[str, int, str], Path]) -> None:
    """NMRR of common models on validation slates against virtual time."""
    panels = []
    for name, seeds in sources.items():
        longest = LONGEST * min(_path(places[name, seed, "fedavg"])[-1][0] for seed in seeds)
        curves = {
            algorithm: _curve([_path(places[name, seed, algorithm]) for seed in seeds], longest)
            for algorithm in DRAWN
            if algorithm in SERVED
        }
        panels.append(Panel(name, "virtual time", "NMRR of the common model, validation", curves))
    draw(path, "algorithm", panels)


def _curve(paths: list[list[tuple[float, int, float]]], longest: float) -> Curve:
    """NMRR of some runs against virtual time, as far as all of them have come."""
    first = max(path[0][0] for path in paths)
    last = max(min(longest, *(path[-1][0] for path in paths)), first)
    x = np.linspace(first, last, len(paths[0]))
    return Curve.of(x, [np.interp(x, [t for t, *_ in path], [n for *_, n in path]) for path in paths])


EXPERIMENT = Experiment(
    title="PersA-FL beside every algorithm with a server, on query suggestions",
    asks="Which users' own models rank best after equally many client updates, and what does it buy in "
    "virtual time not to wait for each other?",
    known="the talk's setting (200 users, λ = 15, η ≈ 0.05, β = 1/n) and its algorithms.",
    unknown="any figure of the paper, the number of updates, and the concurrency of its runs beyond a mean "
    "staleness of about 4.4. None of the numbers here is the paper's.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={FIGURE: "NMRR of common models against virtual time: medians and quartiles over seeds"},
)
"""`reproduce persa-fl`."""
