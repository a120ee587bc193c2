"""`reproduce ranking`: the talk's table, rankers × losses × algorithms, on simulated users and on logs.

Every cell is trained with the talk's settings, as far as its algorithm has them, and judged on test slates by
the users' own models; the defaults of today stand beside them.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import draw_intervals
from app.experiments.own_models import together
from app.experiments.ranking_cells import (
    DEFAULT,
    DEFAULTS,
    JUDGED,
    QUICK,
    YARDSTICKS,
    Cell,
    Scale,
    cells,
    options,
    sets,
)
from app.experiments.ranking_tables import intervals, markdown
from app.experiments.workspace import alone, imported, missing, same_scale, save, simulated
from app.runs.directory import REPORT, RunError
from ranking.metrics import paired_bootstrap

TOGETHER = 16
"""Runs that one call judges: enough to make their slates for, and few enough to lose."""


@alone
def make(
    out: Path,
    scale: Scale,
    tell: Callable[[str], None],
    shell: Path | None = None,
    packages: Path | None = None,
) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figure.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.
        shell, packages: the logs of shell commands and of package commits, if there are any.

    Raises:
        RunError: ``out`` holds the experiment at another scale, or on other logs.
        DataError: a log is not one.
        ChildError: a training failed.
    """
    same_scale(out, scale)
    sources = {"simulated users": simulated(out, scale.users, scale.seeds, tell)}
    for name, log, group in (("shell commands", shell, "training"), ("package commits", packages, None)):
        if log is not None:
            place = imported(out, name.replace(" ", "-"), log, group, tell)
            sources[name] = dict.fromkeys(scale.seeds, place)
    runs = {
        (name, cell): {seed: out / "runs" / name.split()[0] / f"{'-'.join(cell)}-{seed}" for seed in data}
        for name, data in sources.items()
        for cell in (*cells(scale), *DEFAULTS)
    }
    commands = [
        missing(run, sources[name][seed], {**options(cell, scale), "seed": seed}, sets(cell, scale))
        for (name, cell), places in runs.items()
        for seed, run in places.items()
    ]
    run_all([command for command in commands if command], tell)
    _judge(sources, runs, tell)
    result = {
        name: _figures({cell: places for (data, cell), places in runs.items() if data == name})
        for name in sources
    }
    panels = {name: intervals(figures) for name, figures in result.items()}
    draw_intervals(out / "ranking", panels, "NMRR of own models, test")
    save(out, result)
    return result


def _judge(
    sources: Mapping[str, Mapping[int, Path]],
    runs: Mapping[tuple[str, Cell], Mapping[int, Path]],
    tell: Callable[[str], None],
) -> None:
    """Let `evaluate` write the report of every run that has none, a few of the same data in one call."""
    lacking: dict[Path, list[str]] = {}
    for (name, _), places in runs.items():
        for seed, run in places.items():
            if not (run / REPORT).is_file():
                lacking.setdefault(sources[name][seed], []).append(str(run))
    calls = [
        ["evaluate", *some[first : first + TOGETHER], f"--data={data}", "--json"]
        for data, some in lacking.items()
        for first in range(0, len(some), TOGETHER)
    ]
    run_all(calls, tell)


def _figures(runs: Mapping[Cell, Mapping[int, Path]]) -> dict[str, Any]:
    """On one dataset: the yardsticks, the talk's table, and today's defaults, by users' own models."""
    reports = {cell: [_report(run) for run in places.values()] for cell, places in runs.items()}
    return {
        "yardsticks": _yardsticks(reports[DEFAULT]),
        "talk": [_row(cell, some) for cell, some in reports.items() if cell not in DEFAULTS],
        "defaults": [_row(cell, reports[cell], reports[DEFAULT]) for cell in DEFAULTS],
    }


def _yardsticks(reports: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Their figures, averaged over seeds."""
    known = {name: [report["result"]["metrics"][name] for report in reports] for name in YARDSTICKS}
    return {
        name: {metric: float(np.mean([one[metric] for one in figures])) for metric in JUDGED}
        for name, figures in known.items()
        if all(figures)
    }


def _row(
    cell: Cell, reports: list[dict[str, Any]], best: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Figures of one cell; and how far the default is ahead of it."""
    row: dict[str, Any] = dict(zip(("algorithm", "ranker", "loss"), cell, strict=True))
    for metric in JUDGED:
        row[metric] = paired_bootstrap(_users(reports, metric))
    if best is not None:
        row["default_minus"] = paired_bootstrap(_users(best, "nmrr") - _users(reports, "nmrr"))
    return row


def _report(run: Path) -> dict[str, Any]:
    """What `evaluate` has written of a run.

    Raises:
        RunError: it is damaged.
    """
    try:
        report: dict[str, Any] = json.loads((run / REPORT).read_bytes())
    except ValueError as error:
        raise RunError(f"{run / REPORT} is damaged: remove it, and call again.") from error
    return report


def _users(reports: list[dict[str, Any]], metric: str) -> NDArray[np.float64]:
    """Figures of users' own rankings."""
    values = [np.array([user["personal"][metric] for user in report["users"]]) for report in reports]
    return together(values, [report["result"]["fingerprint"] for report in reports])


EXPERIMENT = Experiment(
    title="The talk's table: personalised ranking of suggestions",
    asks="How well do rankers, losses and algorithms of the talk rank, all with its settings, on simulated "
    "users and on logs of real people?",
    known="200 users with 30 to 100 queries, lists of 2 to 25 suggestions, three times as many candidates; "
    "random forest, MLP, MLP + CNN; BCE and MSE; λ = 15, η ≈ 0.05, β = 1/n; accuracy weighted by position, "
    "and normalised MRR.",
    unknown="every figure of its table, its data, the sizes of its models and the number of updates. None of "
    "the numbers here is the talk's.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={"ranking": "NMRR of the users' own models on test slates, with 95 % intervals"},
)
"""`reproduce ranking`."""
