"""What trainings on users' images come to: tables, answers and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.experiments.figures import Curve, Panel, draw
from app.experiments.written import table
from ranking.metrics import paired_bootstrap

NEAR = 0.005
"""Half a point: so near to pFedMe's accuracy is near enough to be timed, and to be called as good."""

ALONE = "local"
"""Who never sends anything, so that there is no time to tell."""

Made = Mapping[str, Mapping[str, Any]]
"""Method → its step ``sizes``, and of each of its ``seeds`` what `image_runs.trained` gives."""


def tabled(made: Made) -> dict[str, Any]:
    """Method → accuracies with intervals over the users of all seeds, differences, updates and times."""
    kept = {method: _kept(one, "own") for method, one in made.items()}
    mark = float(kept["pfedme"].mean()) - NEAR
    return {
        method: {
            "sizes": one["sizes"],
            "own": paired_bootstrap(kept[method]),
            "last": float(_means(one, "own")[:, -1].mean()),
            "common": paired_bootstrap(_kept(one, "common")) if one["seeds"][0]["common"] else None,
            "minus_fedavg": paired_bootstrap(kept[method] - kept["fedavg"]),
            "minus_pfedme": paired_bootstrap(kept[method] - kept["pfedme"]),
            "kept": [seed["updates"][seed["kept"]] for seed in one["seeds"]],
            "strengths": [[seed["name"], seed["strength"]] for seed in one["seeds"]],
            "updates": one["seeds"][0]["updates"][-1],
            "gradients": one["seeds"][0]["gradients"][-1],
            "staleness": float(np.mean([seed["staleness"] for seed in one["seeds"]])),
            "time": None if method == ALONE else float(np.mean([seed["time"][-1] for seed in one["seeds"]])),
            "time_to_pfedme": None if method == ALONE else _reached(one, mark),
            "curve": {
                **{
                    x: np.mean([seed[x] for seed in one["seeds"]], axis=0).tolist()
                    for x in ("updates", "time")
                },
                **{y: _means(one, y).mean(0).tolist() for y in ("own", "common") if one["seeds"][0][y]},
            },
        }
        for method, one in made.items()
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as tables and answers."""
    images = result["images"]
    origin = images["origin"] or (
        f"of a file that is not known here (SHA-256 of its arrays {images['checksum']}): figures may differ "
        "from those of the usual file"
    )
    parts = [f"Images: {origin}.", _answers(result["tables"])]
    parts += [f"**{name}**\n\n{_table(rows)}" for name, rows in result["tables"].items()]
    return "\n\n".join(parts) + "\n"


def draw_curves(path: Path, title: str, made: Made) -> None:
    """Accuracy of own and common models against updates, and of own ones against virtual time."""
    shown = {method: one for method, one in made.items() if method != ALONE}
    panels = [
        Panel(f"{title}: own models", "updates", "test accuracy", _curves(shown, "updates", "own")),
        Panel("own models", "virtual time", "test accuracy", _curves(shown, "time", "own")),
        Panel("common models", "updates", "test accuracy", _curves(shown, "updates", "common")),
    ]
    draw(path, "algorithm", panels)


def _curves(made: Made, x: str, y: str) -> dict[str, Curve]:
    """Medians and quartiles of seeds."""
    return {
        method: Curve.of(np.mean([seed[x] for seed in one["seeds"]], axis=0), _means(one, y))
        for method, one in made.items()
    }


def _kept(one: Mapping[str, Any], which: str) -> NDArray[np.float64]:
    """Accuracies of all seeds' users by the models that were kept."""
    return np.concatenate([np.array(seed[which][seed["kept"]]) for seed in one["seeds"]])


def _means(one: Mapping[str, Any], which: str) -> NDArray[np.float64]:
    """(seeds, T + 1) mean accuracy over users."""
    return np.array([np.mean(seed[which], axis=1) for seed in one["seeds"]])


def _reached(one: Mapping[str, Any], mark: float) -> float | None:
    """When the own models were first as good as the mark, between two looks by a straight line."""
    times = np.mean([seed["time"] for seed in one["seeds"]], axis=0)
    values = _means(one, "own").mean(0)
    there = np.flatnonzero(values >= mark)
    if not len(there):
        return None
    at = int(there[0])
    if at == 0:
        return 0.0
    part = (mark - values[at - 1]) / (values[at] - values[at - 1])
    return float(times[at - 1] + part * (times[at] - times[at - 1]))


def _answers(tables: dict[str, Any]) -> str:
    """What is asked of PersA-FL with Moreau envelopes, beside pFedMe, which waits for cohorts."""
    heads = ["`persa-fl-me`", "own models − FedAvg's, points", "own models − pFedMe's, points"]
    heads += ["within half a point of pFedMe", "as good as pFedMe in", "all gradients in"]
    lines = []
    for name, rows in tables.items():
        ours, theirs = rows["persa-fl-me"], rows["pfedme"]
        behind = ours["minus_pfedme"]
        near = "yes" if behind["low"] >= -NEAR else "no" if behind["mean"] < -NEAR else "on average"
        cells = [name, _points(ours["minus_fedavg"]), _points(behind), near]
        cells += [_sooner(theirs[key], ours[key]) for key in ("time_to_pfedme", "time")]
        lines.append(cells)
    return table(heads, lines)


def _sooner(theirs: float | None, ours: float | None) -> str:
    """How much less virtual time, or more; nothing is told of times before any training."""
    if not theirs or not ours:
        return "–"
    return f"1/{theirs / ours:.1f} of its time" if ours <= theirs else f"{ours / theirs:.1f} times its time"


def _table(rows: dict[str, Any]) -> str:
    heads = ["", "own model, %", "common model, %", "own − FedAvg, points", "own, last model, %"]
    heads += [
        "updates",
        "mean staleness",
        "virtual time",
        "time to pFedMe",
        "step sizes",
        "own model's strength",
    ]
    lines = []
    for method, row in rows.items():
        cells = [
            f"`{method}`",
            _percent(row["own"]),
            "–" if row["common"] is None else _percent(row["common"]),
            "" if method == "fedavg" else _points(row["minus_fedavg"]),
            f"{100 * row['last']:.1f}",
            f"{row['updates']:,}",
            f"{row['staleness']:.1f}",
            "–" if row["time"] is None else f"{row['time']:,.0f}",
            "–" if row["time_to_pfedme"] is None else f"{row['time_to_pfedme']:,.0f}",
            row["sizes"],
            _strengths(row["strengths"]),
        ]
        lines.append(cells)
    return table(heads, lines)


def _percent(interval: dict[str, Any]) -> str:
    return f"{100 * interval['mean']:.1f} ({100 * interval['low']:.1f} to {100 * interval['high']:.1f})"


def _points(interval: dict[str, Any]) -> str:
    mean, low, high = (100 * interval[name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _strengths(strengths: list[list[Any]]) -> str:
    name = strengths[0][0]
    if not name:
        return "–"
    return f"{name} " + " / ".join("∞" if value is None else f"{value:g}" for _, value in strengths)
