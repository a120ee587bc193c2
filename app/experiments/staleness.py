"""`reproduce staleness`: how stale updates are, by users in flight and law of delays, and what that costs.

How stale they are depends on the schedule alone, so users who have nothing to compute can tell. What it
costs is asked of the ranking job: options A, B and C of PersA-FL with one user in flight, some, and all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import Curve, Panel, draw
from app.experiments.own_models import nmrr
from app.experiments.workspace import alone, missing, once, same_scale, save, simulated
from app.experiments.written import difference, table
from app.runs.directory import open_run
from app.runs.evaluation import prepare
from federated.clients import Clients, LocalSGD
from federated.objectives import Vanilla
from federated.schedules.arrivals import Arrivals
from federated.tasks.quadratics import Quadratics
from federated.virtual_time.clock import Clock
from ranking.metrics import paired_bootstrap

LAWS = ("constant", "uniform", "half-normal", "exponential", "log-normal")
TALK = 0.022
"""Share of users in flight at the point that the talk shows: 4.4 of 200."""

TRIP = 2.0
"""Mean time from a read to the arrival: a download and an upload delay."""

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "A": ("persa-fl", {}),
    "B": ("persa-fl-maml", {"personal_steps": 1}),
    "C": ("persa-fl-me", {"lam": 15}),
}
"""PersA-FL's options. How far own models go is the talk's, and not chosen on validation slates."""

STEPS = {"1/n": 1, "4/n": 4}
"""β, in parts of the number of users: the talk's, and one that goes on faster."""

LAST = 40
"""Staleness up to which the figure shows its distribution."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users: of every part.
        seeds: of trainings.
        arrivals: updates whose staleness is counted, for each law.
        updates: of a training.
        in_flight: users who compute at the same time.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    arrivals: int = 10_000
    updates: int = 8000
    in_flight: tuple[int, ...] = (1, 5, 20, 100, 200)


QUICK = Scale(users=20, seeds=(0,), arrivals=2000, updates=200, in_flight=(1, 5, 20))


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figures.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.

    Raises:
        RunError: ``out`` holds an experiment at another scale.
        ChildError: a training failed.
    """
    same_scale(out, scale)
    data = simulated(out, scale.users, scale.seeds, tell)
    places, commands = _runs(out, scale, data)
    counted = {law: _by_places(out, law, scale) for law in LAWS}
    talk = {law: _counted(out, law, scale, None) for law in LAWS}
    tell(f"counted staleness, {scale.arrivals:,} arrivals for each law")
    run_all(commands, tell)
    result = {"by_law": counted, "talk": talk, "tolerance": _tolerance(scale, data, places)}
    _draw(out, result)
    save(out, result)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    counted = ["users in flight", "law of delays", "mean staleness", "9 of 10", "largest"]
    by_law = [_counted_row(law, row) for law, rows in result["by_law"].items() for row in rows]
    talk = [_counted_row(law, row) for law, row in result["talk"].items()]
    heads = [
        "option",
        "β",
        "in flight",
        "staleness, mean / largest",
        "own model's NMRR",
        "− one in flight",
        "time",
    ]
    cost = [
        [
            f"{row['option']}, `{row['algorithm']}`",
            row["server_lr"],
            str(row["in_flight"]),
            f"{row['staleness']['mean']:.1f} / {row['staleness']['max']}",
            f"{row['nmrr']['mean']:.3f}",
            difference(row["minus_one_in_flight"]),
            f"{row['virtual_time']:,.0f}",
        ]
        for row in result["tolerance"]
    ]
    between = "The talk's point, where every user works and pauses in a loop of their own:"
    return "\n\n".join([table(counted, by_law), between, table(counted, talk), table(heads, cost)]) + "\n"


def _counted_row(law: str, row: dict[str, Any]) -> list[str]:
    return [f"{row['in_flight']:.1f}", law, f"{row['mean']:.2f}", str(row["p90"]), str(row["max"])]


def _by_places(out: Path, law: str, scale: Scale) -> list[dict[str, Any]]:
    return [_counted(out, law, scale, places) for places in scale.in_flight]


def _counted(out: Path, law: str, scale: Scale, places: int | None) -> dict[str, Any]:
    """See `count`; kept in a file."""
    key = {"law": law, "users": scale.users, "arrivals": scale.arrivals, "places": places}
    path = out / "staleness" / f"{law}-{places or 'talk'}.json"
    return once(path, key, lambda: count(law, scale.users, scale.arrivals, places))


def count(law: str, users: int, arrivals: int, places: int | None) -> dict[str, Any]:
    """How stale updates are when they arrive.

    Args:
        law: of delays.
        users: how many there are.
        arrivals: how many of their updates are looked at.
        places: how many users are in flight, always; None: each user works and pauses in a loop of their
            own, so that `TALK` of them are in flight on average.

    Returns:
        ``in_flight`` (mean over time), ``mean``, ``p90`` and ``max`` staleness, and ``share`` of the
        updates by staleness up to `LAST`.
    """
    how: dict[str, Any] = {"delay_law": law}
    how |= {"idle_time": TRIP * (1 / TALK - 1)} if places is None else {"concurrency": places}
    schedule = Arrivals(**how)
    nothing = Quadratics(torch.ones(users, 1, 1), torch.zeros(users, 1), torch.zeros(users, 1, 1))
    clients = Clients(nothing, Vanilla(), LocalSGD(lr=0.1, local_steps=1, batch_size=1), seed=0)
    clock = Clock(schedule, 0, users)
    state = schedule.start(clients, nothing.initial(0))
    stale, turns, busy, time = [], np.zeros(users, int), 0.0, 0.0
    for merge in islice(schedule.run(clients, state), arrivals):
        (user,), (staleness,), time = merge.users, merge.staleness, merge.time
        stale.append(staleness)
        busy += clock.round_trip(user, int(turns[user]))
        turns[user] += 1
    shares = np.bincount(stale, minlength=LAST + 1)[: LAST + 1] / len(stale)
    return {
        "in_flight": busy / time if places is None else float(min(places, users)),
        "mean": float(np.mean(stale)),
        "p90": int(np.quantile(stale, 0.9, method="inverted_cdf")),
        "max": int(max(stale)),
        "share": shares.tolist(),
    }


Key = tuple[str, str, int]
"""An option, its β, and users in flight."""


def _runs(
    out: Path, scale: Scale, data: dict[int, Path]
) -> tuple[dict[Key, dict[int, Path]], list[list[str]]]:
    """Where the runs are, by seed, and the commands that are still needed."""
    places: dict[Key, dict[int, Path]] = {}
    commands = []
    for option, (algorithm, own) in OPTIONS.items():
        for step, factor in STEPS.items():
            for number in scale.in_flight:
                name = f"{algorithm}-{factor}-{number}"
                runs = {seed: out / "runs" / f"{name}-{seed}" for seed in data}
                places[option, step, number] = runs
                sets = {**own, "concurrency": number, "server_lr": factor / scale.users}
                given = {"algorithm": algorithm, "loss": "bce", "keep": "last", "updates": scale.updates}
                commands += [missing(run, data[s], {**given, "seed": s}, sets) for s, run in runs.items()]
    return places, [command for command in commands if command]


def _tolerance(
    scale: Scale, data: dict[int, Path], places: dict[Key, dict[int, Path]]
) -> list[dict[str, Any]]:
    """How well the users' own models rank on test slates, users of all seeds together."""
    grounds = [prepare(place, "test") for place in data.values()]
    users = {key: nmrr([runs[seed] for seed in data], grounds) for key, runs in places.items()}
    rows = []
    for (option, step, number), runs in places.items():
        ours, alone_in_flight = users[option, step, number], users[option, step, scale.in_flight[0]]
        summaries = [open_run(run).summary for run in runs.values()]
        rows.append(
            {
                "option": option,
                "algorithm": OPTIONS[option][0],
                "server_lr": step,
                "in_flight": number,
                "staleness": {
                    "mean": float(np.mean([summary["staleness"]["mean"] for summary in summaries])),
                    "max": max(summary["staleness"]["max"] for summary in summaries),
                },
                "nmrr": paired_bootstrap(ours),
                "minus_one_in_flight": paired_bootstrap(ours - alone_in_flight),
                "virtual_time": float(np.median([summary["virtual_time"] for summary in summaries])),
            }
        )
    return rows


def _draw(out: Path, result: dict[str, Any]) -> None:
    shares = {law: np.array(row["share"]) for law, row in result["talk"].items()}
    laws = {law: Curve(np.arange(len(share)), share, share, share) for law, share in shares.items()}
    draw(out / "staleness-by-law", "law of delays", [Panel("The talk's point", "staleness", "updates", laws)])
    panels = []
    for step in STEPS:
        curves = {}
        for option in OPTIONS:
            rows = [row for row in result["tolerance"] if (row["option"], row["server_lr"]) == (option, step)]
            bands = {part: [row["nmrr"][part] for row in rows] for part in ("mean", "low", "high")}
            x = [row["staleness"]["mean"] for row in rows]
            curves[f"option {option}"] = Curve(x, bands["mean"], bands["low"], bands["high"])
        panels.append(Panel(f"β = {step}", "mean staleness", "NMRR of own models, test", curves))
    draw(out / "staleness-tolerance", "PersA-FL", panels)


EXPERIMENT = Experiment(
    title="Staleness: how large it is, and what it costs",
    asks="How stale are updates when they arrive, and how much of it do options A, B and C of PersA-FL bear?",
    known="a slide on concurrency that names upload and download, the percentage of active users, and a "
    "staleness of about 4.4; n = 200, λ = 15, η ≈ 0.05, β = 1/n.",
    unknown="the law of the delays, whether 4.4 is a mean, and how many users were active. Here 2.2 % of "
    "200 are active on average, which gives that mean wherever users are equally fast.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={
        "staleness-by-law": "Share of updates by staleness where 2.2 % of users are in flight, by law",
        "staleness-tolerance": "NMRR of own models against mean staleness: options A, B, C, two step sizes",
    },
)
"""`reproduce staleness`."""
