"""Tries each kind of work that a training does for a moment, to tell how long all of it takes."""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.runs.fitting import fit
from app.runs.settings import Settings
from app.runs.verdict import A_FEW, COMPARED_SLATES, COMPARED_USERS, validated
from data.progress import silent
from federated.clients import FEW, Clients
from federated.events import Merged
from federated.personal import CHOOSERS
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import RankingPolicy
from federated.training import Training
from ranking.models import TreeModel
from ranking.slates import StoredSlates

MOMENT = 2.0
"""Seconds for which training is tried, at least."""

MERGES = 5
"""Merges that it is tried for, at least: the first one computes much of what the next ones bring."""

PART = 20
"""One of so many trees is tried."""

USERS = 4
"""Users, at most, whose own trees are tried."""

COPIES = 3
"""Of all own models that are in memory at once: what they are made from, themselves, and the file."""


def per_update(training: Training, updates: int) -> float:
    """Seconds that an update takes, with all that belongs to its merge; ``updates`` is how many there are."""
    began = time.perf_counter()
    with closing(training.events()) as events:
        for merges, event in enumerate(events, 1):
            assert isinstance(event, Merged), "without evaluations nothing else comes before the end"
            seconds = time.perf_counter() - began
            if event.updates >= updates or (seconds >= MOMENT and merges >= MERGES):
                return seconds / event.updates
    raise AssertionError("training goes on until somebody stops it")


@dataclass(frozen=True)
class AllUsers:
    """What is done for all users of a network: finding their own models, and validating.

    Attributes:
        settings: of the run.
        task: what is learned.
        w: (P,) or, where everybody has a model all the time, (U, P).
    """

    settings: Settings
    task: RankingTask | RankingPolicy
    w: Tensor

    @property
    def number(self) -> int:
        """U."""
        return len(self.task.samples)

    def own_models(self, on_the_way: int) -> float:
        """Seconds, at most, for all own models, and for those from which their strength is chosen.

        Args:
            on_the_way: validations before the end, which judge own models where there are no others.
        """
        settings, objective = self.settings, self.settings.row.objective
        if not objective.personal:
            return 0.0
        clients = Clients(self.task, objective, settings.row.local, settings.seed)
        tried = _spread(self.number, FEW * torch.get_num_threads())

        def each(value: float | None) -> float:
            return _seconds(lambda: clients.personalise(self.w, strength=value, users=tried)) / len(tried)

        found = self.number * each(None)
        times = 1 + (on_the_way if self.w.dim() == 2 else 0)
        if self.task.rehearsal() is None:
            return found * times
        times += settings.row.local.keep_common
        return found * times + min(CHOOSERS, self.number) * sum(map(each, objective.strength.candidates))

    def validations(self, on_the_way: int) -> float:
        """Seconds for so many validations and that of the end."""
        models = self.w.expand(self.number, -1)
        own = _seconds(lambda: self.task.evaluate(models))
        common = own if self.w.dim() == 2 else _seconds(lambda: self.task.evaluate(self.w))
        beside = 2 * common  # chance is judged as well
        if self.settings.personal:
            slates = len(self.slates.validation)
            others = min(COMPARED_USERS * COMPARED_SLATES, slates) / slates
            beside += own * (1 + others * (1 + A_FEW))
        return on_the_way * common + beside

    @property
    def slates(self) -> RankingTask:
        """The task that holds the slates."""
        return self.task.slates if isinstance(self.task, RankingPolicy) else self.task

    def memory(self) -> int:
        """Bytes that own models take at the end, which they do not yet."""
        return (
            COPIES * self.number * self.w.shape[-1] * self.w.element_size() if self.settings.personal else 0
        )


@dataclass(frozen=True)
class Cost:
    """Of trees: seconds to fit and to validate them, and bytes of memory, at most, that the process had."""

    fitting: float
    validating: float
    memory: float

    def beyond(self, other: "Cost", times: float) -> "Cost":
        """This, and ``times`` what it costs more than another one."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Cost(*(one + times * max(one - less, 0.0) for one, less in pairs))


def trees(settings: Settings, slates: StoredSlates, validation: StoredSlates, users: int) -> Cost:
    """What it costs to fit the trees of a run, from a few of them; arguments as of `fit`."""
    ranker: Any = settings.ranker
    if settings.row.growing is None and not settings.row.schedule.pools:
        return _trees_of_each(settings, slates, validation, users)
    fewer = torch.get_num_threads()  # as many as are grown at the same time, and need memory for that
    few = max(fewer + 1, ranker.n_estimators // PART)
    # The first time costs more: modules are imported, and memory is taken that is used again.
    _, least, some = (_tried(settings, number, slates, validation, users) for number in (fewer, fewer, few))
    return some.beyond(least, (ranker.n_estimators - few) / (few - fewer))


def _tried(
    settings: Settings, number: int, slates: StoredSlates, validation: StoredSlates, users: int
) -> Cost:
    """What so many trees cost."""
    ranker: Any = settings.ranker
    fewer = replace(settings, ranker=replace(ranker, n_estimators=number))
    began = time.perf_counter()
    model = fit(fewer, slates, validation, users, silent).model
    fitting = time.perf_counter() - began
    return Cost(fitting, _seconds(lambda: validated(model, None, validation, False)), peak_memory())


def _trees_of_each(settings: Settings, slates: StoredSlates, validation: StoredSlates, users: int) -> Cost:
    """What the trees of all users cost who have their own, from those of a few users."""
    ranker: Any = settings.ranker

    def tried(user: int) -> Cost:
        theirs = slates.subset((slates.user == user).nonzero().squeeze(1))
        began = time.perf_counter()
        model = TreeModel(ranker.fit(theirs, settings.loss, settings.seed), ())
        fitting = time.perf_counter() - began
        judged = validation.subset((validation.user == user).nonzero().squeeze(1))
        return Cost(fitting, _seconds(lambda: validated(model, None, judged, False)), peak_memory())

    costs = [tried(user) for user in _spread(users, USERS).tolist()]
    mean = Cost(*(sum(vars(cost)[name] for cost in costs) / len(costs) for name in vars(costs[0])))
    grown = (costs[-1].memory - costs[0].memory) / max(len(costs) - 1, 1)
    return Cost(users * mean.fitting, users * mean.validating, costs[-1].memory + users * grown)


def _spread(users: int, most: int) -> Tensor:
    """Some of U users, spread evenly."""
    return torch.linspace(0, users - 1, min(users, most)).long()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_memory() -> int:
    """Bytes of memory, at most, that this process has had until now."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except OSError:  # not on Linux, where the other figure can be that of whoever began this process
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most
