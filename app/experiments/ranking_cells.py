"""The cells of the talk's table, and with which settings each is trained."""

from dataclasses import dataclass
from typing import Any

from app.runs.presets import PRESETS, has
from app.runs.settings import resolve
from federated.algorithms import ALGORITHMS
from federated.algorithms import DEFAULT as USUAL
from federated.objectives import MAML, MoreauEnvelope
from federated.schedules.arrivals import Arrivals
from ranking.rankers import RANKERS, TREES

LOSSES = ("bce", "mse")
NETWORKS = ("mlp", "mlp-cnn")
TAUGHT = ("local", "pooled", "fedavg", "per-fedavg", "pfedme", "persa-fl", "persa-fl-maml", "persa-fl-me")
"""The algorithms of the talk, for networks."""

DEFAULT = (USUAL, "mlp", RANKERS["mlp"].losses[0])
DEFAULTS = (
    *((algorithm, *DEFAULT[1:]) for algorithm in ("local", "fedavg")),
    DEFAULT,
    ("pooled", "lightgbm", RANKERS["lightgbm"].losses[0]),
)
"""What stands beside the talk's table, all with today's defaults."""

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
        trees: of a forest, and rounds of boosting.
        default_updates: of the default beside them; None: as many as it has by itself.
        rankers: which ones.
        losses: which of the talk's they are trained by.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    mlp_updates: int = 3000
    cnn_updates: int = 750
    trees: int = 20
    default_updates: int | None = None
    rankers: tuple[str, ...] = (*TREES, *NETWORKS)
    losses: tuple[str, ...] = LOSSES


QUICK = Scale(
    users=20,
    seeds=(0,),
    mlp_updates=200,
    cnn_updates=40,
    trees=5,
    default_updates=200,
    rankers=("forest", "mlp"),
    losses=("bce",),
)


def cells(scale: Scale) -> list[Cell]:
    """Every cell of the table."""
    return [
        (algorithm, ranker, loss)
        for ranker in scale.rankers
        for loss in scale.losses
        for algorithm in (TREES[ranker].ALGORITHMS if ranker in TREES else TAUGHT)
    ]


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
    if cell in DEFAULTS:
        return {}
    if ranker not in NETWORKS:
        return {"ranker.n_estimators": scale.trees}
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
