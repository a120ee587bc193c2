"""How training went: learning curves and staleness, as the runs' metrics files have them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.reports.evidence.groups import Group
from app.runs.directory import Run, RunError, read_metrics

TOLD = ("updates", "seconds", "updates_per_second", "virtual_time", "concurrency", "staleness", "refused")
"""What is taken from a run's summary, beside its phases and which model was kept."""


def journal(run: Path) -> dict[str, Any]:
    """The learning curve and the staleness that a run has written down.

    Raises:
        RunError: its metrics file is missing or damaged.
    """
    curve: dict[str, list[float]] = {"updates": [], "virtual_time": [], "nmrr": []}
    staleness: Counter[int] = Counter()
    now = 0.0
    for event in read_metrics(run):
        if event["event"] == "merged":
            now = float(event["time"])
            staleness.update(event["staleness"])
        elif "nmrr" in event["metrics"]:
            for name, value in zip(curve, (event["updates"], now, event["metrics"]["nmrr"]), strict=True):
                curve[name].append(float(value))
    return {"curve": curve, "staleness": {str(k): staleness[k] for k in sorted(staleness)}}


def training(run: Run) -> dict[str, Any]:
    """What a run's summary says of its training."""
    summary = run.summary
    told = {name: summary.get(name) for name in TOLD}
    if run.settings.fitted:  # in one piece: nothing was sent, or waited for
        told = dict.fromkeys(TOLD) | {"seconds": told["seconds"]}
    return told | {"kept": summary.get("kept"), "phases": summary.get("phases") or {}}


def learned(group: Group) -> dict[str, Any]:
    """The learning curve of a group, averaged over seeds where all were looked at, and its staleness.

    ``problems`` says which metrics files are damaged; the curve is then that of the other runs.
    """
    journals, problems = [], []
    for run in group.runs:
        try:
            journals.append(journal(run.run.directory))
        except RunError as error:
            problems.append(str(error))
    staleness: Counter[int] = Counter()
    for each in journals:
        staleness.update({int(k): n for k, n in each["staleness"].items()})
    merged = sum(staleness.values())
    return {
        "runs": len(journals),
        "curve": _averaged([each["curve"] for each in journals]),
        "staleness": {
            "mean": sum(k * n for k, n in staleness.items()) / merged if merged else None,
            "max": max(staleness, default=None),
            "counts": {str(k): staleness[k] for k in sorted(staleness)},
        },
        "problems": problems,
    }


def _averaged(curves: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Mean, lowest and highest NMRR over seeds, at the updates that all curves have."""
    by = [
        {u: (t, v) for u, t, v in zip(curve["updates"], curve["virtual_time"], curve["nmrr"], strict=True)}
        for curve in curves
    ]
    places = sorted(set.intersection(*(set(one) for one in by))) if by else []
    if not places:
        return {name: [] for name in ("updates", "virtual_time", "nmrr", "lowest", "highest")}
    values = np.array([[one[place] for place in places] for one in by])
    return {
        "updates": places,
        "virtual_time": values[:, :, 0].mean(0).tolist(),
        "nmrr": values[:, :, 1].mean(0).tolist(),
        "lowest": values[:, :, 1].min(0).tolist(),
        "highest": values[:, :, 1].max(0).tolist(),
    }
