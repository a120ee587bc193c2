"""`reproduce ranking`: the talk's table, rankers × losses × algorithms, on simulated users and on logs.

Every cell is trained with the talk's settings, as far as its algorithm has them, and judged on test slates by
the users' own models; the defaults of today stand beside them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.experiments.account import Experiment
from app.experiments.children import run_all
from app.experiments.figures import Interval, draw_intervals
from app.experiments.workspace import alone, imported, missing, same_scale, save, simulated
from app.runs.directory import REPORT, RunError
from app.runs.presets import PRESETS, has
from app.runs.settings import ConfigError, resolve
from federated.algorithms import ALGORITHMS
from federated.objectives import MAML, MoreauEnvelope
from federated.schedules.arrivals import Arrivals
from ranking.metrics import paired_bootstrap
from ranking.rankers import TREES

LOSSES = ("bce", "mse")
NETWORKS = ("mlp", "mlp-cnn")
TAUGHT = ("local", "pooled", "fedavg", "per-fedavg", "pfedme", "persa-fl", "persa-fl-maml", "persa-fl-me")
"""The algorithms of the talk, for networks."""

DEFAULTS = (("persa-fl-ditto", "mlp", "listmle"), ("pooled", "lightgbm", "lambdarank"))
"""What stands beside the table: today's default, and the strongest trees on everyone's raw log."""

YARDSTICKS = ("random", "popularity", "history", "oracle")
JUDGED = {"nmrr": "NMRR", "accuracy@10": "accuracy@10, weighted by position"}
"""The talk's two criteria."""

Cell = tuple[str, str, str]
"""Algorithm, ranker and loss."""


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users: of simulated data.
        seeds: every cell is trained with each of them.
        mlp_updates, cnn_updates: client updates of the networks.
        default_updates: of the default beside them; None: as many as it has by itself.
        rankers: which ones.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    mlp_updates: int = 4000
    cnn_updates: int = 1000
    default_updates: int | None = None
    rankers: tuple[str, ...] = (*TREES, *NETWORKS)


QUICK = Scale(users=20, seeds=(0,), mlp_updates=200, cnn_updates=40, default_updates=200)


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
    panels = {name: _intervals(rows) for name, rows in result.items()}
    draw_intervals(out / "ranking", panels, "NMRR of own models, test")
    save(out, result)
    return result


def cells(scale: Scale) -> list[Cell]:
    """Every cell of the table."""
    return [
        (algorithm, ranker, loss)
        for ranker in scale.rankers
        for loss in LOSSES
        for algorithm in (TAUGHT if ranker in NETWORKS else ALGORITHMS)
        if _possible(algorithm, ranker)
    ]


def _possible(algorithm: str, ranker: str) -> bool:
    """Whether such a ranker can be trained so."""
    try:
        resolve({"algorithm": algorithm, "ranker": ranker}, {})
    except ConfigError:
        return False
    return True


def options(cell: Cell, scale: Scale) -> dict[str, Any]:
    """Of `persarank train`, for one cell."""
    algorithm, ranker, loss = cell
    given: dict[str, Any] = {"algorithm": algorithm, "ranker": ranker, "loss": loss}
    if cell in DEFAULTS:
        updates = scale.default_updates if ranker in NETWORKS else None
        return given | ({"updates": updates} if updates else {})
    if ranker in NETWORKS:
        updates = scale.mlp_updates if ranker == "mlp" else scale.cnn_updates
        given |= {"updates": updates, "evaluations": 0, "keep": "last"}
    return given


def sets(cell: Cell, scale: Scale) -> dict[str, Any]:
    """The talk's hyper-parameters, as far as a cell's algorithm has them."""
    algorithm, ranker, _ = cell
    if cell in DEFAULTS or ranker not in NETWORKS:
        return {}
    row, preset = ALGORITHMS[algorithm], PRESETS["talk"]
    known: dict[str, Any] = {k: v for k, v in preset.sets.items() if k.startswith("local.")}
    if isinstance(row.schedule, Arrivals):
        known |= {k: v for k, v in preset.sets.items() if k.startswith("schedule.")}
        known["schedule.server_lr"] = 1 / scale.users
    if algorithm == preset.given["algorithm"]:
        known |= {k: v for k, v in preset.sets.items() if k.startswith("objective.")}
    elif isinstance(row.objective, MoreauEnvelope):
        known["objective.lam"] = preset.sets["objective.lam"]
    elif isinstance(row.objective, MAML):
        known["objective.personal_steps"] = row.objective.maml_steps
    bare = resolve({"algorithm": algorithm, "ranker": ranker}, {})
    return {name: value for name, value in known.items() if has(bare, name)}


def _judge(
    sources: Mapping[str, Mapping[int, Path]],
    runs: Mapping[tuple[str, Cell], Mapping[int, Path]],
    tell: Callable[[str], None],
) -> None:
    """Let `evaluate` write the report of every run that has none, one call for each dataset."""
    lacking: dict[Path, list[str]] = {}
    for (name, _), places in runs.items():
        for seed, run in places.items():
            if not (run / REPORT).is_file():
                lacking.setdefault(sources[name][seed], []).append(str(run))
    run_all([["evaluate", *some, f"--data={data}", "--json"] for data, some in lacking.items()], tell)


def _figures(runs: Mapping[Cell, Mapping[int, Path]]) -> list[dict[str, Any]]:
    """Every cell on one dataset: figures of the users' own models, and the yardsticks' over seeds."""
    reports = {cell: [_report(run) for run in places.values()] for cell, places in runs.items()}
    fedavg = {ranker: reports.get(("fedavg", ranker, "bce")) for ranker in NETWORKS}
    rows: list[dict[str, Any]] = []
    first, *_ = reports.values()
    for name in YARDSTICKS:
        known = [report["result"]["metrics"][name] for report in first]
        if all(known):
            figures = {metric: float(np.mean([one[metric] for one in known])) for metric in JUDGED}
            rows.append({"yardstick": name, **figures})
    for (algorithm, ranker, loss), some in reports.items():
        base = fedavg.get(ranker)
        rows.append(
            {
                "algorithm": algorithm,
                "ranker": ranker,
                "loss": loss,
                "default": (algorithm, ranker, loss) in DEFAULTS,
                **{metric: paired_bootstrap(_users(some, metric)) for metric in JUDGED},
                "minus_fedavg": base and paired_bootstrap(_users(some, "nmrr") - _users(base, "nmrr")),
            }
        )
    return rows


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
    """Figures of users' own rankings.

    Seeds of one dataset see the same users, whose mean counts; of several datasets all users count.
    """
    values = [np.array([user["personal"][metric] for user in report["users"]]) for report in reports]
    same = len({report["result"]["fingerprint"] for report in reports}) == 1
    mean: NDArray[np.float64] = np.mean(values, axis=0) if same else np.concatenate(values)
    return mean


def markdown(result: dict[str, Any]) -> str:
    """The result as tables: one for each dataset and criterion."""
    tables = [
        _table(f"{name}, {told}", rows, metric)
        for name, rows in result.items()
        for metric, told in JUDGED.items()
    ]
    return "\n\n".join(tables) + "\n"


def _table(title: str, rows: list[dict[str, Any]], metric: str) -> str:
    cells = {(r["algorithm"], r["ranker"], r["loss"]): r for r in rows if not r.get("yardstick")}
    columns = list(dict.fromkeys((r, loss) for (_, r, loss), row in cells.items() if not row["default"]))
    algorithms = dict.fromkeys(a for (a, *_), row in cells.items() if not row["default"])
    heads = [f"{ranker} {loss}" for ranker, loss in columns]
    lines = ["| " + " | ".join([title, *heads]) + " |", "|---" * (len(heads) + 1) + "|"]
    for algorithm in algorithms:
        of = [cells.get((algorithm, *column)) for column in columns]
        lines.append("| " + " | ".join([f"`{algorithm}`", *(_cell(row, metric) for row in of)]) + " |")
    beside = [f"{row['yardstick']} {row[metric]:.3f}" for row in rows if row.get("yardstick")]
    for (algorithm, ranker, loss), row in cells.items():
        if row["default"]:
            beside.append(f"`{algorithm}` × `{ranker}` × `{loss}` {_cell(row, metric, wide=True)}")
    return "\n".join(lines) + f"\n\nBeside it: {', '.join(beside)}."


def _cell(row: dict[str, Any] | None, metric: str, wide: bool = False) -> str:
    if row is None:
        return "–"
    figure = row[metric]
    around = f" ({figure['low']:.3f} to {figure['high']:.3f})" if wide else ""
    return f"{figure['mean']:.3f}{around}"


def _intervals(rows: list[dict[str, Any]]) -> list[Interval]:
    """Every cell for the figure."""
    return [
        Interval(row["algorithm"], f"{row['ranker']}, {row['loss']}", **row["nmrr"])
        for row in rows
        if not row.get("yardstick") and not row["default"]
    ]


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
