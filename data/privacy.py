"""How a differentially private release of public counts spends its budget, and what was released.

The unit of privacy is a user: two logs are neighbours if one has one user more, with all of that user's
training events. A user tells of at most L things in each table, of each at most T times. Each table is
released once, as a histogram with discrete Gaussian noise on how many users tell of each thing, of which
only what reaches a threshold is kept. Tables compose as zero-concentrated differential privacy (zCDP):
with one user more, a table changes by √L at most, and so costs ρ = L / (2σ²); the ρ of all tables add up.
Bun and Steinke 2016, Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), Rogers 2023 (arXiv 2309.09170).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.public_counts import TIMELESS, Bounds, bounds_of
from data.schema import DataError, Dataset

RELEASE = "release"
"""In a manifest: what was released, see `Release`."""

DELTA, THINGS, TIMES = 1e-3, 16, 1
"""What a release is bounded by unless something else is asked for."""

MOST_THINGS = 10_000

ORDERS = 1 + np.exp(np.linspace(-5, 8, 2000))
"""Orders of Rényi divergence at which zCDP is turned into (ε, δ); each gives a valid bound."""


class PrivacyError(Exception):
    """A release cannot be made as it was asked for; the message is one sentence."""


@dataclass(frozen=True)
class Budget:
    """What a release may cost, of all tables together, and what one user may contribute.

    Attributes:
        epsilon: from 0.01 to 100.
        delta: less than one over the number of users: half of it is for the thresholds, half for the noise.
        things: L, different things at most that a user tells of in each table, those done most often.
        times: T, how often at most a user counts for one thing. At 1 a count is the number of users, and
            is released once; otherwise counts are released beside it, at half of each table's budget.
    """

    epsilon: float
    delta: float = DELTA
    things: int = THINGS
    times: int = TIMES

    def __post_init__(self) -> None:
        for name, low, high in (("epsilon", 0.01, 100), ("delta", 1e-12, 0.5)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise PrivacyError(f"public {name} = {value!r}: it must be from {low:g} to {high:g}.")
        try:
            Bounds(1, self.things, self.times)
        except DataError as error:
            raise PrivacyError(str(error)) from error
        if self.things > MOST_THINGS:
            raise PrivacyError(f"public things = {self.things}: with noise it must be {MOST_THINGS} or less.")

    def require_users(self, there: int) -> None:
        """Raise PrivacyError unless δ is less than one over the number of users."""
        if self.delta * there >= 1:
            raise PrivacyError(
                f"public delta = {self.delta:g} must be less than one over the number of users, "
                f"1/{there} = {1 / there:.3g}: give a smaller --public-delta."
            )

    @property
    def rho(self) -> float:
        """The zCDP that all noise together may cost: with δ/2 it amounts to ε."""
        low, high = 0.0, self.epsilon
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if delta_of(middle, self.epsilon) <= self.delta / 2 else (low, middle)
        return low


def delta_of(rho: float, epsilon: float) -> float:
    """The δ at which ρ-zCDP amounts to ε; Canonne, Kamath and Steinke 2020, proposition 7."""
    exponent = (ORDERS - 1) * (ORDERS * rho - epsilon) + ORDERS * np.log1p(-1 / ORDERS) - np.log(ORDERS - 1)
    return math.exp(min(float(exponent.min()), 0.0))


@dataclass(frozen=True)
class Spending:
    """What one table gets.

    Attributes:
        name: of the table, in words.
        share: of the budget's ρ and of the half of δ that is for thresholds.
        rho, delta: what that comes to.
        noise: σ of the discrete Gaussian noise on how many users tell of a thing.
        count_noise: σ of that on how often it was told of; 0 where each user tells once.
        threshold: users, with noise, from which on a thing is released.
        released: how many things were; 0 in a plan.
    """

    name: str
    share: float
    rho: float
    delta: float
    noise: float
    count_noise: float
    threshold: int
    released: int = 0


def plan(budget: Budget, name: str, share: float) -> Spending:
    """How a table spends its share of a budget."""
    rho, delta = share * budget.rho, share * budget.delta / 2
    parts = 1 if budget.times == 1 else 2
    noise = math.sqrt(parts * budget.things / (2 * rho))
    counts = budget.times * noise if parts == 2 else 0.0
    return Spending(name, share, rho, delta, noise, counts, threshold(noise, budget.things, delta))


def threshold(noise: float, things: int, delta: float) -> int:
    """The least number of users, with noise, that only one user's things reach with probability ≤ δ.

    Of L things that nobody else has, each counts 1, and noise Z takes one over the threshold τ with
    probability P(Z ≥ τ − 1), which must be at most 1 − (1 − δ)^(1/L). The tail is that of the discrete
    Gaussian, summed. OpenDP 0.16.0 takes that of the continuous one instead: half as much at σ = 2,
    and less at smaller σ.

    Args:
        noise: σ.
        things: L.
        delta: δ.
    """
    steps = np.arange(math.ceil(40 * noise) + 2.0)
    weight = np.exp(-((steps / noise) ** 2) / 2)
    tail = np.cumsum(weight[::-1])[::-1] / (2 * weight.sum() - 1)
    return 1 + int(np.argmax(tail <= -math.expm1(math.log1p(-delta) / things)))


@dataclass(frozen=True)
class Release:
    """What was released of a dataset: all that anything derived from it may know of everyone's searches.

    Attributes:
        table: `schema.PUBLIC_SCHEMA`; of each thing the noisy count, and the noisy number of users.
        budget: within which.
        tables: by ``kind``, what each table spent.
    """

    table: pa.Table
    budget: Budget
    tables: Mapping[int, Spending]

    MECHANISM = "discrete Gaussian noise and a threshold on the number of users, by OpenDP"
    NOISE = "the operating system's randomness"
    UNIT = "one user more or less, with all training events"

    def said(self) -> dict[str, Any]:
        """What a manifest says of it."""
        tables = {str(kind): asdict(spent) for kind, spent in self.tables.items()}
        kept = {"mechanism": self.MECHANISM, "noise": self.NOISE, "neighbours": self.UNIT}
        return {**kept, **asdict(self.budget), "rho": self.budget.rho, "tables": tables}

    def in_words(self) -> str:
        """What it guarantees, and how: for a card."""
        budget = self.budget
        thresholds = ", ".join(f"{spent.name} {spent.threshold}" for spent in self.tables.values())
        return (
            f"({budget.epsilon:g}, {budget.delta:g})-differential privacy of the public counts, for "
            f"{self.UNIT}: {self.MECHANISM}; thresholds: {thresholds}"
        )

    @classmethod
    def of(cls, dataset: Dataset) -> "Release | None":
        """That of a dataset; None where nothing was released with noise.

        Raises:
            DataError: the dataset lacks it, or its manifest is damaged.
        """
        budget = rules_of(dataset.manifest)
        if not isinstance(budget, Budget):
            return None
        if dataset.public is None:
            raise DataError("this data lacks the public counts that were released of it.")
        return cls(dataset.public, budget, _tables_of(dataset.manifest))

    def bounds(self, kind: int) -> Bounds:
        """Within which users tell of the things of a table, and how many must, with noise."""
        spent = self.tables.get(kind)
        return Bounds(spent.threshold if spent else 1, self.budget.things, self.budget.times)

    def part(self, kind: int) -> pa.Table:
        """The things of one table."""
        return self.table.filter(pc.equal(self.table.column("kind"), kind))


def _tables_of(manifest: Mapping[str, Any]) -> dict[int, Spending]:
    try:
        found = {int(kind): Spending(**spent) for kind, spent in manifest[RELEASE]["tables"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("what is said of the release of public counts cannot be understood.") from error
    for spent in found.values():
        Bounds(spent.threshold)
    return found


def rules_of(manifest: Mapping[str, Any]) -> Bounds | Budget | None:
    """By which rules a dataset's public counts were made; None: all training events count.

    Raises:
        DataError: the manifest says nothing that can be understood.
    """
    told = bounds_of(manifest)
    if not isinstance(told, Mapping) or "epsilon" not in told:
        return Bounds.of(manifest)
    if manifest["options"].get("strict_time"):
        raise DataError(TIMELESS)
    try:
        budget = Budget(**told)
    except (TypeError, PrivacyError) as error:
        raise DataError(f"public counts were released within {told!r}, which is no budget.") from error
    _tables_of(manifest)
    return budget


def require_mechanism() -> None:
    """Raise PrivacyError unless the package that makes noise is installed."""
    if find_spec("opendp") is None:
        raise PrivacyError(
            "public counts with differential privacy need the package opendp: "
            "pip install 'persarank[privacy]'."
        )
