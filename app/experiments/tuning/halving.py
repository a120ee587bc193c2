"""Successive halving (Jamieson and Talwalkar 2016): how many candidates are trained how far.

All candidates get a small part of a full training; the better half of the challengers goes on to twice as
much, and so forth, until the last few have been trained to the end. The defaults always go on, so that in
the end the winner stands beside them equally well trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FINAL = 2
"""Challengers that are trained to the end, at least, where there are so many."""

HALVINGS = 3
"""Without a budget the first rung is an eighth of a full training: what is learned sooner is mostly noise."""


@dataclass(frozen=True)
class Plan:
    """The rungs; number 0 is the first, number ``halvings`` a full training."""

    halvings: int

    @property
    def rungs(self) -> range:
        """Their numbers."""
        return range(self.halvings + 1)

    def target(self, updates: int, rung: int) -> int:
        """Client updates of a candidate in the end of a rung, of ``updates`` in a full training."""
        return -(-updates // (1 << self.halvings - rung))

    def places(self, challengers: int, rung: int) -> int:
        """How many of so many challengers are trained in a rung."""
        return -(-challengers // (1 << rung))

    def cost(self, updates: Sequence[int]) -> int:
        """Client updates of one seed, at most: whoever needs most goes on.

        Args:
            updates: of a full training, by candidate; the first are the defaults.
        """
        default, *others = updates
        spent = default
        for rung in self.rungs:
            for full in sorted(others, reverse=True)[: self.places(len(others), rung)]:
                spent += self.target(full, rung) - (self.target(full, rung - 1) if rung else 0)
        return spent


def most_halvings(challengers: int) -> int:
    """How often so many can be halved until no more than FINAL are left."""
    halvings = 0
    while Plan(halvings).places(challengers, halvings) > FINAL:
        halvings += 1
    return halvings


def planned(updates: Sequence[int], budget: int | None = None) -> tuple[Plan | None, int]:
    """The plan for all of these candidates, and what it costs for one seed.

    Within a budget it is the one with the fewest rungs, which judges candidates best.

    Args:
        updates: as in `Plan.cost`.
        budget: client updates of one seed, at most.

    Returns:
        None in place of a plan where the budget is too small: then the cost is what would be enough.
    """
    most = most_halvings(len(updates) - 1)
    if budget is None:
        plan = Plan(min(most, HALVINGS) if any(updates) else 0)
        return plan, plan.cost(updates)
    costs = [(plan, plan.cost(updates)) for plan in map(Plan, range(most + 1))]
    enough = min(cost for _, cost in costs)
    return next(((plan, cost) for plan, cost in costs if cost <= budget), (None, enough))


def affordable(updates: int, budget: int, most: int) -> int:
    """How many challengers a budget is enough for; 0: it is not enough for one.

    Args:
        updates: of a full training, of each of them and of the defaults.
        budget: client updates of one seed, at most.
        most: challengers that there are.
    """
    return max((n for n in range(1, most + 1) if planned([updates] * (n + 1))[1] <= budget), default=0)
