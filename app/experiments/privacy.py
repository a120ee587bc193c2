"""`reproduce privacy`: what client-level differential privacy costs, by ε, algorithm and kind of noise.

Every private run stands beside the same run whose updates are clipped but get no noise, and beside the one
that nothing is done to. Own models are made from the private common model on the user's own device, where
nothing leaves it, so they have the same guarantee towards everybody else.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.experiments.account import Experiment
from app.experiments.cells import Runs, datasets, train
from app.experiments.figures import Curve, Panel, draw
from app.experiments.privacy_cells import (
    COUNTS,
    QUICK,
    SYNCHRONOUS,
    Key,
    Scale,
    cell,
    keys,
    multiplier,
)
from app.experiments.privacy_tables import markdown
from app.experiments.workspace import alone, published, same_scale, save
from data.log_import import PUBLISHED
from data.manifests import MANIFEST
from data.privacy import Budget, PrivacyError, require_mechanism
from data.schema import Dataset
from data.storage import read, write
from ranking.metrics import paired_bootstrap
from ranking.releasing import released

FIGURE = "privacy"
BUDGET = Budget(4.0)
"""Of the public counts that are released."""

RANKINGS = {"common model": "global", "own models": "personal"}


@alone
def make(out: Path, scale: Scale, tell: Callable[[str], None], shell: Path | None = None) -> dict[str, Any]:
    """Make what is missing of the experiment in ``out``, its result and its figure.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.
        shell: the log of shell commands, if there is one: the second dataset.

    Raises:
        RunError: ``out`` holds the experiment at another scale, or on another log.
        DataError: the log is not one.
        ChildError: a training failed otherwise than that it diverged.
    """
    same_scale(out, scale)
    bare = datasets(out, scale.users, scale.seeds, shell, tell)
    counted = with_private_counts(out, bare, shell, tell)
    sources = bare | {_twin(data): places for data, places in counted.items()}
    users = {data: len(read(next(iter(places.values()))).users) for data, places in sources.items()}
    cells = {
        (data, key.name): cell(key, scale, data, users[data])
        for data in sources
        for key in keys(scale)
        if data in bare or key.method == SYNCHRONOUS
    }
    runs = train(out, cells, sources, tell)
    result = {}
    for data in bare:
        noise = {
            key: multiplier(cells[data, key.name], users[data])
            for key in keys(scale)
            if isinstance(key.epsilon, float)
        }
        result[data] = _judge({key: runs[data, key.name] for key in keys(scale)}, noise)
        for key, row in zip(keys(scale), result[data], strict=True):
            both = data in counted and key.method == SYNCHRONOUS
            row["private_counts"] = _figures(runs[_twin(data), key.name]) if both else None
    _draw(out / FIGURE, result)
    save(out, result)
    return result


def with_private_counts(
    out: Path, bare: Mapping[str, Mapping[int, Path]], shell: Path | None, tell: Callable[[str], None]
) -> dict[str, dict[int, Path]]:
    """The datasets again, with public counts that are released once at ε = 4; none where OpenDP is missing.

    Args:
        out: directory of the experiment.
        bare: the datasets by name and seed, whose public counts are taken as they are.
        shell: the log that one of them is of.
        tell: is told of every release, which is of its own noise.
    """
    try:
        require_mechanism()
    except PrivacyError as error:
        tell(f"{error} The column of private counts is left out.")
        return {}
    found: dict[str, dict[int, Path]] = {}
    for data, places in bare.items():
        for seed, place in places.items():
            twin = place.with_name(f"{place.name}-private")
            if not (twin / MANIFEST).is_file():
                write(_released(place, shell if data == "shell" else None), twin)
                tell(f"released {twin}")
            found.setdefault(data, {})[seed] = twin
    return found


def _released(place: Path, log: Path | None) -> Dataset:
    """A dataset with private counts: of a log its pools are made anew, of what was released."""
    if log is None:
        return released(read(place, truth=True), BUDGET)
    return published(log, "training", replace(PUBLISHED, public_counts=BUDGET), released)


def _twin(data: str) -> str:
    """The name of a dataset with private counts."""
    return f"{data}, {COUNTS}"


def _figures(runs: Runs) -> dict[str, Any] | None:
    """NMRR by common and own models."""
    if runs.diverged:
        return None
    return {ranking: paired_bootstrap(runs.test[ranking]) for ranking in RANKINGS.values()}


def _judge(runs: Mapping[Key, Runs], noise: Mapping[Key, tuple[float, int]]) -> list[dict[str, Any]]:
    """The rows of one dataset: figures by common and own models, and what noise has cost."""
    rows = []
    for key, ours in runs.items():
        base = runs[key.without_noise]
        row: dict[str, Any] = {"method": key.method, "epsilon": key.epsilon}
        row["multiplier"], row["merged"] = noise.get(key, (None, None))
        row["refused"] = None if ours.diverged else ours.refused
        for ranking in RANKINGS.values():
            row[ranking] = (_figures(ours) or {}).get(ranking)
            lost = None if ours.diverged or base.diverged else ours.test[ranking] - base.test[ranking]
            row[f"{ranking}_minus_clipped"] = None if lost is None else paired_bootstrap(lost)
        rows.append(row)
    return rows


def _draw(path: Path, result: Mapping[str, list[dict[str, Any]]]) -> None:
    """NMRR against ε, all users in a round."""
    panels = []
    for data, rows in result.items():
        ours = [row for row in rows if row["method"] == SYNCHRONOUS]
        private = [row for row in ours if isinstance(row["epsilon"], float)]
        curves, levels = {}, {}
        for told, ranking in RANKINGS.items():
            known = [row for row in private if row[ranking]]
            parts = [[row[ranking][part] for row in known] for part in ("mean", "low", "high")]
            curves[told] = Curve([row["epsilon"] for row in known], *parts)
            (bare,) = [row for row in ours if row["epsilon"] is None]
            if bare[ranking]:
                levels[f"{told}, no noise"] = bare[ranking]["mean"]
        panels.append(Panel(data, "ε", "NMRR, test", curves, levels, log=True))
    draw(path, "ranked by", panels)


EXPERIMENT = Experiment(
    title="Client-level differential privacy: what it costs",
    asks="How much worse does a private common model rank, by ε, than the same model without noise, and how "
    "much of that do own models make up for, which never leave the device?",
    known="the accounting: k merges of a user with noise σC in each are √k/σ-Gaussian private, in whatever "
    "order they come; δ = 0.001, less than one over the number of users.",
    unknown="how private the data are that a ranker is given: public counts of queries are taken as they "
    "are, and choosing clip, rounds, step sizes and λ on validation slates looked at users' data, too. ε "
    "covers neither. Where counts are private as well, pools of a log hold only what was released: fewer of "
    "the wanted queries, so that other slates are ranked than in the columns before.",
    full=Scale(),
    quick=QUICK,
    make=make,
    markdown=markdown,
    figures={FIGURE: "NMRR on test slates against ε, with 95 % intervals; dashed: without noise"},
)
"""`reproduce privacy`."""
