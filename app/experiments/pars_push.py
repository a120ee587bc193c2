"""`reproduce pars-push`: RASGP's table, what a personal budget buys, and what a bad network costs.

The talk's two figures are drawn for logistic regression (convex, many small networks) and for the ranking job
(200 users, one network), from the personal models that the users have on the way.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.experiments import convex, rasgp
from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import Curve, Panel, draw
from app.experiments.own_models import nmrr
from app.experiments.workspace import (
    alone,
    missing,
    once,
    read_metrics,
    same_scale,
    save,
    simulated,
)
from app.experiments.written import NONE, span, table
from app.runs.directory import open_run
from app.runs.evaluation import Ground, prepare
from federated.schedules.gossip import Gossip
from ranking.metrics import paired_bootstrap

USUAL = 5
"""u where the network is what differs."""

FAULTLESS = {"wake_within": 1, "max_delay": 1, "max_failures": 0}
HARSHEST = {"wake_within": 3, "max_delay": 4, "max_failures": 3}
ARMS: dict[str, dict[str, dict[str, int]]] = {
    "personalization": {f"u = {u}": {"maml_steps": u, **HARSHEST} for u in (0, 1, 2, 5, 10)},
    "asynchrony": {
        "no faults": {"maml_steps": USUAL, **FAULTLESS},
        "Γf = 3": {"maml_steps": USUAL, **FAULTLESS, "max_failures": 3},
        "Γd = 4": {"maml_steps": USUAL, **FAULTLESS, "max_delay": 4},
        "Γw = 3": {"maml_steps": USUAL, **FAULTLESS, "wake_within": 3},
        "all three": {"maml_steps": USUAL, **HARSHEST},
    },
}
"""What the two figures compare: settings, by name."""

LEGENDS = {"personalization": "personal budget", "asynchrony": "faults"}
REFERENCES = ("local", "persa-fl-maml")
"""Algorithms whose end stands beside the curves."""

TRAFFIC = ("rounds", "messages", "lost")
AWAKE = 4 / 7
"""Share of nodes that are awake where Γw = 3 and chance is ½: gaps are 1, 2, 3 with ½, ¼, ¼."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users, seeds, rounds: of the ranking job.
        looks: how often models are judged on the way.
        reference_updates: of algorithms to compare with; None: their own defaults.
        convex_runs, convex_rounds: of logistic regression.
        rasgp_runs, rasgp_rounds: of RASGP's table.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    rounds: int = 200
    looks: int = 20
    reference_updates: int | None = None
    convex_runs: int = 20
    convex_rounds: int = 600
    rasgp_runs: int = 60
    rasgp_rounds: int = 20_000


QUICK = Scale(
    users=10,
    seeds=(0,),
    rounds=20,
    looks=5,
    reference_updates=100,
    convex_runs=3,
    convex_rounds=60,
    rasgp_runs=6,
    rasgp_rounds=400,
)


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None], points: Path | None = None) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figures.

    Args:
        out: a directory; runs that are there already are kept, and unfinished ones go on.
        scale: how large it is.
        tell: is told what has been done.
        points: the data of RASGP's own experiment; None: points are drawn like them.

    Raises:
        RunError: ``out`` holds an experiment at another scale.
        DataError: the points are none.
        ChildError: a training failed.
    """
    chosen = rasgp.read(points) if points else rasgp.drawn()
    same_scale(out, scale)
    data = simulated(out, scale.users, scale.seeds, tell)
    groups, commands = _runs(out, scale, data)
    table = {}
    for name in rasgp.SETTINGS:
        table[name] = _rasgp(out, name, chosen, scale) | {"points": points.name if points else "drawn"}
        tell(f"rasgp, setting {name}")
    run_all(commands, tell)
    grounds = {split: [prepare(place, split) for place in data.values()] for split in ("validation", "test")}
    levels = {name: _nmrr(groups[name], grounds["validation"], "validation")["mean"] for name in REFERENCES}
    ends = {label: {"test_nmrr": _nmrr(runs, grounds["test"], "test")} for label, runs in groups.items()}
    result: dict[str, Any] = {"rasgp": table, "references": {name: ends[name] for name in REFERENCES}}
    for figure, arms in ARMS.items():
        logistic = {name: _logistic(out, arm, scale) for name, arm in arms.items()}
        ranking = {name: groups[_label(arm)] for name, arm in arms.items()}
        _draw(out / figure, figure, logistic, ranking, levels)
        result[figure] = {
            "logistic": {name: curve.to_dict("round") for name, curve in logistic.items()},
            "ranking": {
                name: _curve(runs, "round").to_dict("round") | ends[_label(arms[name])] | _traffic(runs)
                for name, runs in ranking.items()
            },
        }
        tell(f"drawn {out / figure}.svg")
    save(out, result)
    return result


def markdown(result: dict[str, Any]) -> str:
    """The result as tables."""
    errors = []
    for name, row in result["rasgp"].items():
        bands = row["k_error_quartiles"]
        by_part = [f"{e:.2f} ({bands[p][0]:.2f} to {bands[p][1]:.2f})" for p, e in row["k_error"].items()]
        errors.append([name, *by_part, f"{row['error_20k']:.1e}"])
    rows = {f"`{name}`": row for name, row in result["references"].items()}
    for figure in ARMS:
        rows |= {f"`pars-push`, {name}": row for name, row in result[figure]["ranking"].items()}
    ranked = [
        [
            name,
            f"{row['test_nmrr']['mean']:.3f}",
            span(row["test_nmrr"]),
            *(f"{row[carried]:,.0f}" if carried in row else NONE for carried in TRAFFIC),
        ]
        for name, row in rows.items()
    ]
    windows = [f"k·E, rounds {window}" for window in rasgp.WINDOWS]
    parts = [
        table(["RASGP's setting", *windows, "E at the end"], errors),
        table(["", "own model's NMRR", "95 % interval", *TRAFFIC], ranked),
    ]
    return "\n\n".join(parts) + "\n"


def _runs(out: Path, scale: Scale, data: dict[int, Path]) -> tuple[dict[str, list[Path]], list[list[str]]]:
    """Label → runs, one for each seed, and the commands that they still need."""
    every: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for arm in (arm for arms in ARMS.values() for arm in arms.values()):
        updates = round(scale.rounds * scale.users * (AWAKE if arm["wake_within"] > 1 else 1))
        size = {"updates": updates, "evaluations": scale.looks}
        every[_label(arm)] = ({"algorithm": "pars-push", **size}, arm)
    for name in REFERENCES:
        size = {"updates": scale.reference_updates} if scale.reference_updates else {}
        every[name] = ({"algorithm": name, **size}, {})
    places = {label: [out / "runs" / f"{label}-{seed}" for seed in data] for label in every}
    commands = [
        missing(place, data[seed], {"seed": seed, **options}, sets)
        for label, (options, sets) in every.items()
        for seed, place in zip(data, places[label], strict=True)
    ]
    return places, [command for command in commands if command]


def _label(arm: dict[str, int]) -> str:
    return "u{maml_steps}-w{wake_within}-d{max_delay}-f{max_failures}".format(**arm)


def _path(run: Path) -> dict[str, list[float]]:
    """Round, messages and NMRR on validation slates at every look of a run."""
    path: dict[str, list[float]] = {"round": [], "messages": [], "nmrr": []}
    for event in read_metrics(run):
        if event["event"] == "merged":
            last = event
        else:
            path["round"].append(last["time"])
            path["messages"].append(last["network"]["messages"])
            path["nmrr"].append(event["metrics"]["nmrr"])
    return path


def _curve(runs: list[Path], along: str) -> Curve:
    """NMRR along rounds or messages, between looks where runs were looked at in different rounds."""
    paths = [_path(run) for run in runs]
    first, last = max(path[along][0] for path in paths), min(path[along][-1] for path in paths)
    x = np.linspace(first, last, len(paths[0][along]))
    return Curve.of(x, [np.interp(x, path[along], path["nmrr"]) for path in paths])


def _rasgp(out: Path, name: str, points: rasgp.Points, scale: Scale) -> dict[str, Any]:
    """One row of RASGP's table."""
    runs, rounds = scale.rasgp_runs, scale.rasgp_rounds
    key = {"runs": runs, "rounds": rounds, "points": [zlib.crc32(part.numpy().tobytes()) for part in points]}
    return once(out / "rasgp" / f"{name}.json", key, lambda: rasgp.reproduce(name, points, runs, rounds))


def _logistic(out: Path, arm: dict[str, int], scale: Scale) -> Curve:
    """Logistic regression under the settings of an arm."""
    faults: dict[str, Any] = {name: value for name, value in arm.items() if name != "maml_steps"}
    gossip = Gossip(least_weight=0.1, **faults)
    runs, rounds = scale.convex_runs, scale.convex_rounds
    key = {"runs": runs, "rounds": rounds, "looks": scale.looks}

    def make() -> dict[str, Any]:
        curves = convex.curves(gossip, arm["maml_steps"], runs, rounds, scale.looks)
        return Curve.of(*curves).to_dict("x")

    return Curve(**once(out / "logistic" / f"{_label(arm)}.json", key, make))


def _nmrr(runs: list[Path], grounds: list[Ground], split: str) -> dict[str, float]:
    """Of the users' own models in the end, users of all seeds together."""
    return paired_bootstrap(nmrr(runs, grounds, split))


def _traffic(runs: list[Path]) -> dict[str, float]:
    """What a network has carried, medians over seeds."""
    summaries = [open_run(run).summary for run in runs]
    carried = [{"rounds": summary["virtual_time"], **summary["network"]} for summary in summaries]
    return {name: median(one[name] for one in carried) for name in TRAFFIC}


def _draw(
    path: Path,
    figure: str,
    logistic: dict[str, Curve],
    ranking: dict[str, list[Path]],
    levels: dict[str, float],
) -> None:
    panels = [Panel("Logistic regression", "rounds", "loss of own models, held out", logistic)]
    for along, title in (("round", "rounds"), ("messages", "messages")):
        curves = {name: _curve(runs, along) for name, runs in ranking.items()}
        panels.append(Panel(f"Ranking, by {title}", title, "NMRR of own models, validation", curves, levels))
    draw(path, LEGENDS[figure], panels)


EXPERIMENT = Experiment(
    title="PARS-Push: personal models without a server",
    asks="What does a budget of personal steps buy, and what do late, lossy, one-way links and sleeping "
    "nodes cost?",
    known="the algorithm, the bounds Γw, Γd, Γf, the titles of its two figures, and RASGP's own experiment "
    "(Spiridonoff, Olshevsky and Paschalidis, JMLR 2020), whose data and settings are public.",
    unknown="the data, the graph, the step sizes and every value in the two figures of the paper. None of "
    "the numbers here is the paper's.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={
        "personalization": "Personalization impact: u personal steps in the harshest network",
        "asynchrony": "Robustness to asynchrony: networks with more and more faults",
    },
)
"""`reproduce pars-push`."""
