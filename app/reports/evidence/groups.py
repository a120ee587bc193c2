"""Runs that differ by nothing but their seed are a group, and its figures are averages over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.runs.evaluation import Ground, Judged, Metrics
from ranking.metrics import per_user

OWN, COMMON = "personal", "global"


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
    chosen: dict[str, dict[str, Any]] = {}
    for run in judged:
        values = _values(run)
        key = repr(sorted(values.items()))
        same = [other for other in members.get(key, []) if _seed(other) == _seed(run)]
        if same:
            leave(run, f"it has the same settings and seed as {same[0].run.directory}, and counts once.")
            continue
        chosen[key] = values
        members.setdefault(key, []).append(run)
    names = _names(list(chosen.values()))
    return [
        Group(_letter(number), name, chosen[key], runs)
        for number, (name, (key, runs)) in enumerate(zip(names, members.items(), strict=True))
    ]


def _seed(judged: Judged) -> int:
    return judged.run.settings.seed


def settings(groups: Sequence[Group]) -> dict[str, dict[str, dict[str, Any]]]:
    """By name: each group's value of every setting, where the group has it.

    ``differing`` are those of unlike values, ``partly`` those of like values that some groups do not have,
    ``shared`` the others.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {"differing": {}, "partly": {}, "shared": {}}
    for name in dict.fromkeys(name for group in groups for name in group.settings):
        values = {group.letter: group.settings[name] for group in groups if name in group.settings}
        first = next(iter(values.values()))
        if any(value != first for value in values.values()):
            found["differing"][name] = values
        else:
            found["shared" if len(values) == len(groups) else "partly"][name] = values
    return found


def _values(judged: Judged) -> dict[str, Any]:
    """All settings of a run but its seed that decide what comes out of it: how often it is saved does not."""
    run = judged.run.settings
    values: dict[str, Any] = {"algorithm": run.label, "ranker": run.ranker_name, "loss": run.loss}
    if not run.fitted:  # in one piece: of these, nothing is read
        values |= {"updates": run.updates, "evaluations": run.evaluations, "keep": run.keep}
    for section, part in run.sections().items():
        values |= {f"{section}.{name}": value for name, value in part.items()}
    if not judged.run.summary.get("finished", True):
        values["stopped after"] = judged.run.summary.get("updates")
    return values


def _names(all_settings: Sequence[dict[str, Any]]) -> list[str]:
    """A short name for each: algorithm, ranker and loss, and what tells apart those who share these."""
    short = [f"{v['algorithm']} × {v['ranker']} × {v['loss']}" for v in all_settings]
    names = []
    for mine, name in zip(all_settings, short, strict=True):
        alike = [other for other, others_name in zip(all_settings, short, strict=True) if others_name == name]
        keys = dict.fromkeys(key for other in alike for key in other)
        apart = [key for key in keys if any(other.get(key) != mine.get(key) for other in alike)]
        told = ", ".join(f"{key.rpartition('.')[2]} {_brief(mine[key])}" for key in apart if key in mine)
        names.append(f"{name}, {told}" if told else name)
    return names


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _letter(number: int) -> str:
    """A to Z, then AA, AB, …"""
    name = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        name = chr(ord("A") + place) + name
    return name
