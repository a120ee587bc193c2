"""By which rule a server aggregates updates of which some may be hostile: the table of rules, and `Defence`.

A hostile user may send anything. A rule survives f hostile updates among K if, whatever they are, its result
stays within a bound that the honest ones alone set, and ν or τ of rules that have them. Where honest users
differ much, nearest-neighbour mixing tightens that bound. No rule knows who is hostile: what honest users
lose with the hostile is its price.
"""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.objectives.bounds import NonNegative, Positive, Steps
from federated.server import aggregation


class Rule(NamedTuple):
    """A rule, or what comes before one.

    Attributes:
        about: in one line, what it does.
        source: the paper.
        margin: it survives f hostile updates among K ≥ 2f + margin; None: it survives none.
        takes_f: whether it does something else for another f.
        before: whether it turns updates into updates, and a rule comes after it.
    """

    about: str
    source: str
    margin: int | None
    takes_f: bool = False
    before: bool = False


RULES: dict[str, Rule] = {
    "mean": Rule("the mean; a single hostile update can move it anywhere", "McMahan 2017", None),
    "trimmed-mean": Rule(
        "per coordinate, the mean without the f least and the f greatest values", "Yin 2018", 1, takes_f=True
    ),
    "median": Rule("per coordinate, the median", "Yin 2018", 1),
    "krum": Rule(
        "the update that is nearest to its K − f − 1 nearest others", "Blanchard 2017", 3, takes_f=True
    ),
    "multi-krum": Rule(
        "the mean of the K − f updates that Krum likes best", "Blanchard 2017", 3, takes_f=True
    ),
    "geometric-median": Rule("about the point with the least sum of distances to all", "Pillutla 2022", 1),
    "centred-clipping": Rule(
        "the mean, in which no update pulls farther than tau from the last aggregate", "Karimireddy 2021", 1
    ),
    "basgd": Rule(
        "users are dealt to B buffers; per coordinate, the median of the buffers' means", "Yang & Li 2021", 1
    ),
    "clip": Rule(
        "before a rule: scales updates down to a norm C; alone, each moves the mean by at most C/K",
        "Sun 2019",
        None,
        before=True,
    ),
    "nnm": Rule(
        "before a rule: each update becomes the mean of its K − f nearest; for users that differ",
        "Allouah 2023",
        None,
        takes_f=True,
        before=True,
    ),
}


@dataclass(frozen=True)
class Defence:
    """A rule by which updates are aggregated, and its parameters.

    Attributes:
        rule: a name of `RULES`, with what comes before it joined by +, as in "clip+nnm+krum"; where no rule
            comes last, it is the mean.
        f: hostile updates in a merge that are to be survived. None: as many as the rule allows, but no more
            than a third of the updates.
        clip: C of clip; None: the median norm of the updates in the merge.
        nu: ν of geometric-median, in the unit of the updates: nearer ones all weigh the same.
        iterations: T of geometric-median.
        tau: τ of centred-clipping; None: the median distance of the updates from where it starts.
        L: of centred-clipping, how often it is repeated.
        buffers: B of basgd.
    """

    rule: str = "mean"
    f: Annotated[int, Field(ge=0)] | None = None
    clip: Positive | None = None
    nu: Positive = 0.1
    iterations: Steps = 3
    tau: NonNegative | None = None
    L: Steps = 1
    buffers: Annotated[int, Field(ge=3, le=100_000)] = 5

    def __post_init__(self) -> None:
        steps = self.rule.split("+")
        for name in steps:
            if name not in RULES:
                raise ValueError(f"unknown rule {name!r}{_nearest(name, RULES)}")
        for name in steps[:-1]:
            if not RULES[name].before:
                raise ValueError(
                    f"rule = {self.rule}: {name} must come last; {_names(True)} can come before it"
                )
        if len(set(steps)) < len(steps):
            raise ValueError(f"rule = {self.rule}: each step can be taken only once")
        if steps[-1] == "basgd" and len(steps) > 1:
            raise ValueError(f"rule = {self.rule}: nothing can come before basgd")
        if self.f and self._margin is None and "nnm" not in steps:
            robust = _names(False)
            raise ValueError(
                f"rule = {self.rule} survives no hostile update: set f = 0, or end with {robust}"
            )
        if self.in_buffers and self.f is not None and self.buffers <= 2 * self.f:
            raise ValueError(
                f"basgd survives f = {self.f} with at least {2 * self.f + 1} buffers: set buffers"
            )

    @property
    def in_buffers(self) -> bool:
        """Whether arrivals are collected in buffers by user, see `aggregation.by_buffers`."""
        return self.rule == "basgd"

    def survives(self, updates: int) -> int:
        """How many hostile updates among so many are survived; 0 where there are too few for the rule and f.

        The mean survives none. Neither does clip alone, but then each hostile update moves the mean by at
        most C/K, or by the median norm over K. Rules that take f survive as many as they are told to; the
        others survive all that they can, which can be more than f. The proof that training with centred
        clipping converges asks for more, K ≥ 10f.

        Args:
            updates: K; for basgd the number of users, of whom it survives as many hostile ones as of buffers.
        """
        if self._margin is None:
            return 0
        if self.in_buffers:
            return (self.buffers - 1) // 2 if updates >= self.buffers else 0
        most = max(0, (updates - self._margin) // 2)
        if not any(RULES[name].takes_f for name in self.rule.split("+")):
            return most
        told = self._f(updates)
        return told if told <= most else 0

    def require(self, updates: int) -> None:
        """ValueError if so many updates are too few for the rule and f, with the least number that will do.

        Without an f, a rule that can survive hostile updates must survive one.

        Args:
            updates: K of every merge; for basgd the number of users.
        """
        if self.in_buffers:
            if updates < self.buffers:
                raise ValueError(
                    f"basgd with {self.buffers} buffers needs at least {self.buffers} users, and there are "
                    f"{updates}: set fewer buffers"
                )
            return
        needed = self._least
        if updates < needed and self.f is None:
            raise ValueError(
                f"{self.rule} survives a hostile update only among {needed} updates or more, and a merge has "
                f"{updates}: merge at least {needed}"
            )
        if updates < needed:
            raise ValueError(
                f"{self.rule} with f = {self.f} needs at least {needed} updates in a merge, and it has "
                f"{updates}: merge at least {needed}, or set a smaller f"
            )

    def without(self, missing: int, updates: int) -> "Defence":
        """The rule for a merge of so many updates of which some are missing, since they were refused.

        A refused update is one that need not be survived.

        Args:
            missing: how many.
            updates: K, with them.
        """
        if self.f is None and not any(RULES[name].takes_f for name in self.rule.split("+")):
            return self
        return replace(self, f=max(0, self._f(updates) - missing))

    def full(self, users: Iterable[int], size: int) -> bool:
        """Whether those whose updates wait are enough for a merge that takes ``size``.

        Args:
            users: who waits; with basgd every buffer must hold something.
            size: K.
        """
        waiting = list(users)
        if self.in_buffers:
            return len({user % self.buffers for user in waiting}) == self.buffers
        return len(waiting) >= size

    def __call__(self, updates: Tensor, before: Tensor | None = None, users: Tensor | None = None) -> Tensor:
        """(P,) the aggregate.

        Args:
            updates: (K, P), finite.
            before: (P,) the last aggregate, from which centred clipping starts; None: from the median.
            users: (K,) whose; only basgd asks for them.

        Raises:
            ValueError: there are too few, see `require`.
        """
        if self.in_buffers:
            assert users is not None, "basgd deals them to buffers"
            self.require(len(users.unique()))
            if not self.full(users.tolist(), 0):
                raise ValueError("a buffer of basgd is still empty")
            updates = aggregation.by_buffers(updates, users, self.buffers)
        else:
            self.require(len(updates))
        f = self._f(len(updates))
        *first, last = self.rule.split("+")
        if RULES[last].before:
            first, last = [*first, last], "mean"
        for name in first:
            updates = aggregation.clip(updates, self.clip) if name == "clip" else aggregation.nnm(updates, f)
        if last == "geometric-median":
            return aggregation.geometric_median(updates, self.nu, self.iterations)
        if last == "centred-clipping":
            return aggregation.centred_clipping(updates, before, self.tau, self.L)
        if last in _OF_F:
            return _OF_F[last](updates, f)
        return aggregation.mean(updates) if last == "mean" else aggregation.median(updates)

    @property
    def _margin(self) -> int | None:
        """See `Rule`; of the rule that comes last."""
        return RULES[self.rule.split("+")[-1]].margin

    @property
    def _least(self) -> int:
        """K of the smallest merge."""
        if self._margin is None:
            return 2 * (self.f or 0) + 1
        return 2 * (1 if self.f is None else self.f) + self._margin

    def _f(self, updates: int) -> int:
        """f, also where it is not given."""
        if self.f is not None:
            return self.f
        margin = 1 if self._margin is None else self._margin
        return max(0, min((updates - margin) // 2, updates // 3))


_OF_F = {
    "trimmed-mean": aggregation.trimmed_mean,
    "krum": aggregation.krum,
    "multi-krum": aggregation.multi_krum,
}


def _names(before: bool) -> str:
    """Of what comes before a rule, or else of all rules that survive hostile updates."""
    names = [name for name, rule in RULES.items() if (rule.before if before else rule.margin)]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """The nearest known name, or all where none is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
