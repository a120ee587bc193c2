"""All that a report says, as one dict of plain figures: what `report --json` prints, and what pages draw."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from app.reports.evidence.differences import between, to_base, within
from app.reports.evidence.gains import gains
from app.reports.evidence.gathering import Gathered
from app.reports.evidence.ground import all_users, training_events
from app.reports.evidence.groups import COMMON, OWN, Group, grouped, settings
from app.reports.evidence.learning import learned, training
from app.reports.evidence.people import LEVELS, people, spread
from app.runs.evaluation import COLD, Ground, Judged, compare, describe
from ranking.metrics import summarise
from ranking.significance import RESAMPLES, bootstrap

Warn = Callable[[str], None]
METHOD = {
    "averaged_over": "users",
    "interval": "95 % percentile bootstrap over users",
    "p_value": "two-sided sign-flip test over users",
    "correction": "Holm",
    "resamples": RESAMPLES,
}


def report(gathered: Gathered, split: str, warn: Warn = lambda sentence: None) -> dict[str, Any]:
    """Every figure of a report, dataset by dataset."""
    left_out = list(gathered.left_out)
    datasets = [_dataset(judged, split, _leaving(left_out, warn)) for judged in gathered.datasets()]
    for dataset in datasets:
        for group in dataset["groups"]:
            for problem in group["learning"]["problems"]:
                warn(f"a learning curve is left out: {problem}")
    return {"split": split, "method": METHOD, "left_out": left_out, "datasets": datasets}


def _leaving(left_out: list[dict[str, str]], warn: Warn) -> Callable[[Judged, str], None]:
    def leave(judged: Judged, why: str) -> None:
        left_out.append({"run": str(judged.run.directory), "why": why})
        warn(f"left out: {judged.run.directory}: {why}")

    return leave


def _dataset(judged: Sequence[Judged], split: str, leave: Callable[[Judged, str], None]) -> dict[str, Any]:
    """The figures of all runs on one dataset."""
    groups = grouped(judged, leave)
    ground = groups[0].ground
    letter = {id(run): group.letter for group in groups for run in group.runs}
    runs = [run for run in judged if id(run) in letter]
    described = [describe(run) for run in runs]
    compared = list(described[0]["personal_minus_global"])
    intervals = _intervals(groups, compared)
    return {
        "fingerprint": runs[0].run.fingerprint,
        **_ground(ground),
        "metrics": list(described[0]["metrics"][OWN]),
        "yardsticks": _yardsticks(ground),
        "settings": settings(groups),
        "groups": [_group(group) | {"intervals": intervals[group.letter]} for group in groups],
        "between": {metric: between(groups, metric) for metric in compared},
        "within": {metric: within(groups, metric) for metric in compared},
        "levels": list(LEVELS),
        "gains": gains(groups, split),
        "users_by_name": people(groups),
        "runs": [
            told | {"group": letter[id(run)], "training": training(run.run)}
            for told, run in zip(described, runs, strict=True)
        ],
        "differences": [compare(run, runs[0]) for run in runs[1:]],
    }


def _ground(ground: Ground) -> dict[str, Any]:
    """What runs were judged on."""
    slates, of_data = ground.slates, ground.source.card()
    return {
        "kind": of_data["kind"],
        "log": ground.source.texts is not None,
        "cutoff": ground.cutoff,
        "card": of_data,
        "users": len(slates.user.unique()),
        "all_users": all_users(ground),
        "cold_users": int((training_events(ground) < COLD).sum()),
        "slates": len(slates),
        "single": int((slates.offsets.diff() == 1).sum()),
        "missed": int(slates.missed.sum()),
    }


def _group(group: Group) -> dict[str, Any]:
    """What one group is, and how good."""
    return {
        **_head(group),
        "own_models": any(run.run.settings.personal for run in group.runs),
        "metrics": {ranking: _summary(group, ranking) for ranking in (COMMON, OWN)},
        "over_seeds": {ranking: _over_seeds(group, ranking) for ranking in (COMMON, OWN)},
        "spread": spread(group),
        "learning": learned(group),
    }


def _head(group: Group) -> dict[str, Any]:
    return {
        "group": group.letter,
        "label": group.label,
        "seeds": [run.run.settings.seed for run in group.runs],
        "runs": [str(run.run.directory) for run in group.runs],
    }


def _summary(group: Group, ranking: str) -> dict[str, float] | None:
    metrics = group.metrics[ranking]
    return None if metrics is None else summarise(metrics, group.ground.slates.user)


def _over_seeds(group: Group, ranking: str) -> dict[str, list[float]] | None:
    """The lowest and the highest figure of the group's runs."""
    each = [run.metrics[ranking] for run in group.runs]
    told = [summarise(m, group.ground.slates.user) for m in each if m is not None]
    if len(told) < len(each):
        return None
    return {name: [min(t[name] for t in told), max(t[name] for t in told)] for name in told[0]}


def _intervals(
    groups: Sequence[Group], compared: Sequence[str]
) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """By group, ranking and metric: 95 % intervals over users of the metrics themselves."""
    heads, columns = [], []
    for group in groups:
        for ranking in (COMMON, OWN):
            for metric in compared:
                values = group.users(ranking, metric)
                if values is not None:
                    heads.append((group.letter, ranking, metric))
                    columns.append(values)
    _, low, high = bootstrap(np.stack(columns, axis=1))
    found: dict[str, Any] = {group.letter: {} for group in groups}
    for (letter, ranking, metric), *bounds in zip(heads, low.tolist(), high.tolist(), strict=True):
        told = [None if bound != bound else bound for bound in bounds]
        found[letter].setdefault(ranking, {})[metric] = told
    return found


def ranking_of(gathered: Gathered, by: str, warn: Warn = lambda sentence: None) -> dict[str, Any]:
    """What `compare --json` prints: groups from best to worst, each beside a baseline.

    Args:
        gathered: the runs; each dataset has a ranking of its own, and its first run's group is the baseline.
        by: the metric that ranks, which users' own rankings are judged by.
        warn: is told what is left out.
    """
    left_out = list(gathered.left_out)
    datasets = [_ranked(judged, by, _leaving(left_out, warn)) for judged in gathered.datasets()]
    return {"by": by, "method": METHOD, "left_out": left_out, "datasets": datasets}


def _ranked(judged: Sequence[Judged], by: str, leave: Callable[[Judged, str], None]) -> dict[str, Any]:
    """The ranking on one dataset."""
    groups = grouped(judged, leave)
    base, ground = groups[0], groups[0].ground
    compared = dict.fromkeys((by, *describe(judged[0])["personal_minus_global"]))
    families = {metric: to_base(groups, base, metric) for metric in compared}
    rows: list[dict[str, Any]] = [
        _head(group)
        | {"baseline": group is base, "metrics": _summary(group, OWN)}
        | {
            "difference": {
                metric: next((d for d in family if d["group"] == group.letter), None)
                for metric, family in families.items()
            }
        }
        for group in groups
    ]
    return {
        "fingerprint": judged[0].run.fingerprint,
        **_ground(ground),
        "baseline": base.letter,
        "settings": settings(groups)["differing"],
        "ranking": sorted(rows, key=lambda row: -row["metrics"][by]),
        "yardsticks": _yardsticks(ground),
    }


def _yardsticks(ground: Ground) -> dict[str, dict[str, float] | None]:
    """The figures of what needs no training."""
    return {
        name: None if metrics is None else summarise(metrics, ground.slates.user)
        for name, metrics in ground.baselines.items()
    }
