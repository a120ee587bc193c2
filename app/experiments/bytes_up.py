"""`reproduce bytes`: how well models rank, by how many bytes users have sent.

Synchronous FedAvg and buffered PersA-FL are trained with updates of fewer bits, or of their largest entries
only, with and without error feedback, and as many updates each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.experiments.account import Experiment
from app.experiments.cells import Cell, Runs, train
from app.experiments.figures import Curve, Panel, draw
from app.experiments.workspace import alone, read_metrics, same_scale, save, simulated
from app.experiments.written import difference, table
from ranking.metrics import paired_bootstrap

DATA, FIGURE = "simulated", "bytes"
WHOLE = "32 bits"
BITS = {"8 bits": {"bits": 8}, "4 bits": {"bits": 4}}
LARGEST = {f"top {100 * part:.0f} %": {"top_k": part} for part in (0.2, 0.05, 0.01)}
FORGETFUL = {
    f"{name}, no error feedback": {**sets, "error_feedback": False} for name, sets in LARGEST.items()
}
BOTH = {"8 bits, top 5 %": {"bits": 8, "top_k": 0.05}}
WAYS: dict[str, dict[str, Any]] = {WHOLE: {}, **BITS, **LARGEST, **FORGETFUL, **BOTH}
"""How updates are sent, by name: hyper-parameters of compression."""

SERIES = {
    "fewer bits": (WHOLE, *BITS),
    "largest entries": (WHOLE, *LARGEST),
    "largest entries, no error feedback": (WHOLE, *FORGETFUL),
    "both": tuple(BOTH),
}
"""What is joined by a line in the figure."""

ALGORITHMS: dict[str, dict[str, Any]] = {"fedavg": {}, "persa-fl-ditto": {"lam": 3.0}}
"""Their own defaults: cohorts of 20, and buffers of 10 with 20 users in flight. λ was chosen on validation
slates, once, so that it is the same for all."""

BOUNDS = {"8 bits": (0.002, 0.27), "top 5 %": (0.01, 0.1)}
"""NMRR that may be lost at most, and the part of the bytes that may be sent."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users: of simulated data.
        seeds: every cell is trained with each of them.
        updates: of users, in every training.
        ways: how updates are sent, keys of WAYS; `WHOLE` is among them.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    updates: int = 4000
    ways: tuple[str, ...] = tuple(WAYS)


QUICK = Scale(users=40, seeds=(0,), updates=400, ways=(WHOLE, "8 bits", "top 5 %", "8 bits, top 5 %"))


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figure.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
        ChildError: a training failed otherwise than that it diverged.
    """
    same_scale(out, scale)
    sources = {DATA: simulated(out, scale.users, scale.seeds, tell)}
    cells = {
        (DATA, _name(algorithm, way)): Cell(
            algorithm, scale.updates, own | {f"compression.{key}": value for key, value in WAYS[way].items()}
        )
        for algorithm, own in ALGORITHMS.items()
        for way in scale.ways
    }
    runs = train(out, cells, sources, tell)
    result = {
        algorithm: _judge({way: runs[DATA, _name(algorithm, way)] for way in scale.ways})
        for algorithm in ALGORITHMS
    }
    _draw(out / FIGURE, result)
    save(out, result)
    return result


def _name(algorithm: str, way: str) -> str:
    return f"{algorithm}-{list(WAYS).index(way)}"


def _judge(runs: Mapping[str, Runs]) -> list[dict[str, Any]]:
    """The rows of one algorithm."""
    whole, rows = runs[WHOLE], []
    for way, ours in runs.items():
        row: dict[str, Any] = {"way": way}
        row["bytes_up"] = None if ours.diverged else _bytes(ours)
        row["part"] = None if ours.diverged else row["bytes_up"] / _bytes(whole)
        for ranking in ("global", "personal"):
            row[ranking] = None if ours.diverged else paired_bootstrap(ours.test[ranking])
            row[f"{ranking}_minus_whole"] = (
                None if ours.diverged else paired_bootstrap(ours.test[ranking] - whole.test[ranking])
            )
        rows.append(row)
    return rows


def _bytes(runs: Runs) -> float:
    """That all users have sent in a training, the mean over seeds."""
    return float(np.mean([read_metrics(place)[-1]["bytes_up"] for place in runs.places.values()]))


def markdown(result: Mapping[str, list[dict[str, Any]]]) -> str:
    """The result as a table for each algorithm, and whether bounds are kept."""
    heads = ["MB up", "of 32 bits", "common model's NMRR", "− 32 bits", "own models' NMRR", "− 32 bits"]
    parts = [table([f"`{algorithm}`", *heads], map(_row, rows)) for algorithm, rows in result.items()]
    verdicts = [
        [f"`{algorithm}`", row["way"], *_verdict(row)]
        for algorithm, rows in result.items()
        for row in rows
        if row["way"] in BOUNDS
    ]
    asked = ["algorithm", "sent", "common model loses", "of the bytes", "asked for", "kept"]
    return "\n\n".join([*parts, table(asked, verdicts)]) + "\n"


def _row(row: dict[str, Any]) -> list[str]:
    if row["global"] is None:
        return [row["way"], *["diverged"] * 6]
    told = [row["way"], f"{row['bytes_up'] / 1e6:.1f}", f"{100 * row['part']:.1f} %"]
    for ranking in ("global", "personal"):
        less = "" if row["way"] == WHOLE else difference(row[f"{ranking}_minus_whole"], 4)
        told += [f"{row[ranking]['mean']:.3f}", less]
    return told


def _verdict(row: dict[str, Any]) -> list[str]:
    lost, part = BOUNDS[row["way"]]
    asked = f"{lost:g} at {100 * part:.0f} %"
    if row["global"] is None:
        return ["diverged", "", asked, "no"]
    ours = -row["global_minus_whole"]["mean"]
    kept = ours <= lost and row["part"] <= part
    return [f"{ours:.4f}", f"{100 * row['part']:.1f} %", asked, "yes" if kept else "no"]


def _draw(path: Path, result: Mapping[str, list[dict[str, Any]]]) -> None:
    """What common models lose against the bytes that were sent."""
    panels = []
    for algorithm, rows in result.items():
        known = {row["way"]: row for row in rows if row["global"]}
        curves = {}
        for series, ways in SERIES.items():
            ours = [known[way] for way in ways if way in known]
            if {row["way"] for row in ours} - {WHOLE}:
                parts = [
                    [row["global_minus_whole"][part] for row in ours] for part in ("mean", "low", "high")
                ]
                curves[series] = Curve([row["bytes_up"] / 1e6 for row in ours], *parts)
        panels.append(
            Panel(algorithm, "MB that users sent", "common model's NMRR − 32 bits", curves, log=True)
        )
    draw(path, "sent", panels)


EXPERIMENT = Experiment(
    title="Fewer bytes: what they cost",
    asks="How few bytes can users send, in fewer bits or of the largest entries only, before models "
    "rank worse?",
    known="the ways to make updates small, and that error feedback makes up for what they lose.",
    unknown="how much is lost on rankings of suggestions.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={
        FIGURE: "NMRR on test slates less that of 32 bits, against what users sent, with 95 % intervals"
    },
)
"""`reproduce bytes`."""
