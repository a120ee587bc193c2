"""Who takes part in a search for settings, and how far each candidate is trained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.experiments.tuning.candidates import Base, Candidate, Values, combinations, drawn, space
from app.experiments.tuning.halving import Plan, affordable, planned
from app.runs.checks import ConfigError
from app.runs.settings import Settings

USUAL, MOST = 23, 63
"""Challengers that are drawn without a budget, and at most, where nobody says what to search."""


@dataclass(frozen=True)
class Race:
    """A search, completely specified.

    Attributes:
        candidates: the defaults first.
        seeds: every candidate is trained with each of them.
        plan: the rungs.
        data: the dataset.
        users: how many it holds.
        impossible: combinations that cannot be, and why.
    """

    candidates: Sequence[Candidate]
    seeds: Sequence[int]
    plan: Plan
    data: Path
    users: int
    impossible: Sequence[str] = ()

    def settings(self, candidate: int, seed: int) -> Settings:
        """Of one run."""
        return replace(self.candidates[candidate].settings, seed=seed)

    def target(self, candidate: int, rung: int) -> int:
        """Client updates of each of its runs in the end of a rung; 0 before the first, and of trees."""
        full = _full(self.candidates[candidate])
        return self.plan.target(full, rung) if rung >= 0 else 0

    def announced(self) -> str:
        """What is going to be done, for people."""
        whole = self.plan.halvings
        places = [1 + self.plan.places(len(self.candidates) - 1, rung) for rung in self.plan.rungs]
        steps = [f"{places[rung]} to 1/{2 ** (whole - rung)}" for rung in range(whole)]
        steps.append(f"{places[whole]} to the end")
        updates = len(self.seeds) * self.plan.cost([_full(candidate) for candidate in self.candidates])
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        told = f"{len(self.candidates)} candidates, {seeds}; trained are {', '.join(steps)}: "
        return told + f"at most {updates:,} client updates."


def race_of(
    base: Base,
    fixed: Iterable[str],
    over: Values,
    seeds: Sequence[int],
    budget: int | None,
    data: Path,
    users: int,
) -> Race:
    """The race for what somebody has asked for.

    Args:
        base: the settings that count as the defaults.
        fixed: names of settings that are not searched, unless ``over`` names them.
        over: what is searched; nothing: what usually matters, as much of it as the budget allows.
        seeds: of the trainings.
        budget: client updates of all runs, at most; None: as many as it takes.
        data: the dataset.
        users: how many it holds.

    Raises:
        ConfigError: a setting cannot be, there is nothing to search, or the budget is too small.
    """
    each = None if budget is None else budget // len(seeds)
    impossible: list[str] = []
    if over:
        candidates, impossible = combinations(base, over)
    else:
        values = space(base, fixed, users)
        candidates = drawn(base, values, MOST if budget else USUAL)
        if len(candidates) == 1:
            raise ConfigError("nothing is left to search: say what, e.g. --over lr=0.02,0.05,0.1.")
        if each is not None:
            number = affordable(_full(candidates[0]), each, len(candidates) - 1)
            candidates = candidates[: 1 + max(number, 1)]
    plan, cost = planned([_full(candidate) for candidate in candidates], each)
    if plan is None:
        told = f" with {len(seeds)} seeds each" if len(seeds) > 1 else ""
        raise ConfigError(
            f"--budget {budget} is too small for {len(candidates)} candidates{told}, one of them the "
            f"defaults: {cost * len(seeds)} client updates would be enough."
        )
    return Race(candidates, seeds, plan, data, users, impossible)


def _full(candidate: Candidate) -> int:
    """Client updates of a full training; trees, which are fitted in one piece, need none."""
    return 0 if candidate.settings.fitted else candidate.settings.updates
