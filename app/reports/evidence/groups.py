"""Runs that differ by nothing but their seed are a group, and its figures are averages over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.runs.evaluation import Ground, Judged, Metrics
from app.runs.settings import Settings
from ranking.metrics import per_user

OWN, COMMON = "personal", "global"
NO_INFLUENCE = ("checkpoint_every",)
"""Settings that change nothing but how a training can be interrupted."""


@dataclass(frozen=True)
class Group:
    """Judged runs of the same settings on the same data.

    Attributes:
        letter: A, B, …: how charts and tables call it.
        label: what it is, in a few words that no other group of the same report has.
        settings: all of them but the seed, by name.
        runs: one for each seed.
    """

    letter: str
    label: str
    settings: dict[str, Any]
    runs: list[Judged]

    @property
    def ground(self) -> Ground:
        """What all of its runs were judged on."""
        return self.runs[0].ground

    @cached_property
    def metrics(self) -> dict[str, Metrics | None]:
        """The metrics (S,) of every slate by every ranking, averaged over seeds."""
        return {name: self._mean(name) for name in self.runs[0].metrics}

    def _mean(self, ranking: str) -> Metrics | None:
        each = [run.metrics[ranking] for run in self.runs]
        known = [metrics for metrics in each if metrics is not None]
        if len(known) < len(each):
            return None
        return {name: torch.stack([metrics[name] for metrics in known]).mean(0) for name in known[0]}

    def users(self, ranking: str, metric: str) -> NDArray[np.float64] | None:
        """(U,) a metric of every user who has slates, averaged over their slates and over seeds."""
        metrics = self.metrics[ranking]
        return None if metrics is None else per_user(metrics[metric], self.ground.slates.user)[1]


def grouped(judged: Sequence[Judged], leave: Callable[[Judged, str], None]) -> list[Group]:
    """Groups in the order in which they first occur.

    Args:
        judged: runs on the same data.
        leave: is told of a run that is there twice, and why it is left out: a copy adds nothing.
    """
    members: dict[str, list[Judged]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in judged:
        values = _values(run)
        key = repr(sorted(values.items()))
        same = [other for other in members.get(key, []) if _seed(other) == _seed(run)]
        if same:
            leave(run, f"it has the same settings and seed as {same[0].run.directory}, and counts once.")
            continue
        settings[key] = values
        members.setdefault(key, []).append(run)
    names = _names(list(settings.values()))
    return [
        Group(_letter(number), name, settings[key], runs)
        for number, (name, (key, runs)) in enumerate(zip(names, members.items(), strict=True))
    ]


def _seed(judged: Judged) -> int:
    return judged.run.settings.seed


def differing(groups: Sequence[Group]) -> dict[str, list[Any]]:
    """Settings that are not the same in all groups, with each group's value; None where it has none."""
    return {name: values for name, values in _all(groups).items() if any(v != values[0] for v in values)}


def shared(groups: Sequence[Group]) -> dict[str, Any]:
    """Settings that are the same in all groups."""
    return {
        name: values[0]
        for name, values in _all(groups).items()
        if all(value == values[0] for value in values)
    }


def _all(groups: Sequence[Group]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for group in groups for name in group.settings)
    return {name: [group.settings.get(name) for group in groups] for name in names}


def _values(judged: Judged) -> dict[str, Any]:
    """All settings of a run that decide what comes out of it, but its seed."""
    settings: Settings = judged.run.settings
    values: dict[str, Any] = {
        "algorithm": settings.label,
        "ranker": settings.ranker_name,
        "loss": settings.loss,
    }
    if not settings.fitted:
        values |= {"updates": settings.updates, "evaluations": settings.evaluations, "keep": settings.keep}
    for section, part in settings.sections().items():
        values |= {f"{section}.{name}": value for name, value in part.items() if name not in NO_INFLUENCE}
    if not judged.run.summary.get("finished", True):
        values["stopped after"] = judged.run.summary.get("updates")
    return values


def _names(settings: Sequence[dict[str, Any]]) -> list[str]:
    """A short name for each: algorithm, ranker and loss, and what tells apart those who share these."""
    short = [f"{v['algorithm']} × {v['ranker']} × {v['loss']}" for v in settings]
    names = []
    for mine, name in zip(settings, short, strict=True):
        alike = [other for other, others_name in zip(settings, short, strict=True) if others_name == name]
        keys = dict.fromkeys(key for other in alike for key in other)
        apart = [key for key in keys if any(other.get(key) != mine.get(key) for other in alike)]
        told = ", ".join(f"{key.rpartition('.')[2]} {_brief(mine.get(key))}" for key in apart)
        names.append(f"{name}, {told}" if told else name)
    return names


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _letter(number: int) -> str:
    """A to Z, then AA, AB, …"""
    name = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        name = chr(ord("A") + place) + name
    return name
