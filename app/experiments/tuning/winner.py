"""What the winner of a search is worth on test slates, beside the defaults: the one look at them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from app.reports.tables import interval
from app.runs.directory import open_run
from app.runs.evaluation import COMPARED, Judged, describe, judge, prepare
from app.runs.verdict import COMMON, OWN
from data.progress import Tell
from ranking.metrics import paired_bootstrap, per_user

Figures = dict[str, dict[str, float] | None]


def worth(data: Path, winners: Sequence[Path], defaults: Sequence[Path], tell: Tell) -> dict[str, Any] | None:
    """Test figures as `evaluate` has them, averaged over users and then over seeds.

    Args:
        data: the dataset.
        winners: the winner's runs, one a seed.
        defaults: the runs of the defaults with the same seeds; none where there is nothing to compare.
        tell: is told how far it is.

    Returns:
        None where nobody has test slates; else ``yardsticks``, the figures of ``winner`` and ``defaults``,
        and their ``difference`` with 95 % intervals, paired over users: seeds see the same users again.
    """
    ground = prepare(data, "test", tell)
    if not len(ground.slates):
        return None
    ours, theirs = (
        [judge(open_run(run), ground, "test", tell=tell) for run in runs] for runs in (winners, defaults)
    )
    told = [describe(judged) for judged in ours]
    figures = _mean(told)
    return {
        **{name: told[0][name] for name in ("users", "all_users", "slates", "missed", "averaged_over")},
        "yardsticks": {name: figure for name, figure in figures.items() if name not in (COMMON, OWN)},
        "winner": {name: figures[name] for name in (COMMON, OWN)},
        "defaults": None,
        "difference": None,
        "warnings": [warning for one in told for warning in one["warnings"]],
        "notes": [note for one in told for note in one["notes"]],
    } | (_beside(ours, theirs) if theirs else {})


def _beside(ours: Sequence[Judged], theirs: Sequence[Judged]) -> dict[str, Any]:
    figures, user = _mean([describe(judged) for judged in theirs]), ours[0].ground.slates.user
    differences = {}
    for name in COMPARED:
        pairs = zip(ours, theirs, strict=True)
        by_seed = [per_user(our.personal[name] - their.personal[name], user)[1] for our, their in pairs]
        differences[name] = paired_bootstrap(np.mean(by_seed, axis=0))
    return {"defaults": {name: figures[name] for name in (COMMON, OWN)}, "difference": differences}


def _mean(told: Sequence[Mapping[str, Any]]) -> Figures:
    """The metrics of every ranking, the mean over runs."""
    first, *_ = every = [one["metrics"] for one in told]
    return {
        ranking: metrics and {name: fmean(one[ranking][name] for one in every) for name in metrics}
        for ranking, metrics in first.items()
    }


def told_of(winner: int, test: Mapping[str, Any] | None) -> dict[str, Any]:
    """Whether the winner ``beats`` the defaults on test slates, None if that is not known, and a sentence."""
    if winner == 0:
        return {"beats": False, "sentence": "No candidate beats the defaults on validation slates."}
    if test is None:
        return {"beats": None, "sentence": "Nobody has test slates to judge the winner by."}
    if test["difference"] is None:
        return {"beats": None, "sentence": "The defaults have diverged: there is nothing to compare with."}
    nmrr = test["difference"]["nmrr"]
    beats = nmrr["low"] is not None and nmrr["low"] > 0
    if beats:
        what = "The winner beats the defaults on test slates"
    elif nmrr["high"] is not None and nmrr["high"] < 0:
        what = "The winner is worse than the defaults on test slates"
    else:
        what = "The winner is not shown to beat the defaults on test slates"
    return {"beats": beats, "sentence": f"{what}: NMRR {interval(nmrr)} over users."}
