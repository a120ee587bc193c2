"""How good rankings are, as sums over users: all that a server is told of it."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from app.runs.verdict import A_LITTLE_WORSE, CHANCE, COMMON, MATERIAL, OWN, RANDOM, WORSE, Doubt
from ranking.metrics import METRICS, per_user

Z = 1.96
"""Standard errors from a mean to the ends of its 95 % interval."""

RANKINGS = (RANDOM, COMMON, OWN)
MOST_SLATES = 10**12

PAIRS = ((COMMON, RANDOM), (OWN, RANDOM), (OWN, COMMON))
"""Rankings whose differences of NMRR are told."""


@dataclass(frozen=True)
class MetricSums:
    """Of the slates of one split.

    Attributes:
        users: who have such slates.
        slates: of theirs.
        metrics: by ranking and metric, the sum over users of each one's mean.
        squares: by "ranking − ranking", the sum over users of the squares of their difference of NMRR.
    """

    users: int = 0
    slates: int = 0
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Mapping[str, Mapping[str, Tensor]], user: Tensor) -> "MetricSums":
        """From the metrics (S,) of slates by ranking, and whose they are (S,)."""
        means = {by: {n: per_user(v, user)[1] for n, v in of.items()} for by, of in metrics.items()}
        squares = {
            f"{a} − {b}": float(((means[a]["nmrr"] - means[b]["nmrr"]) ** 2).sum())
            for a, b in PAIRS
            if a in means and b in means
        }
        sums = {by: {n: float(v.sum()) for n, v in of.items()} for by, of in means.items()}
        return cls(len(user.unique()), len(user), sums, squares)

    def pack(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def unpack(cls, packed: Any, most: int) -> "MetricSums":
        """What `pack` packed, by somebody who need not be trusted, and who has so many users.

        Raises:
            ValueError: it cannot be sums of metrics, which are from 0 to 1.
        """
        try:
            found = _SUMS.validate_json(json.dumps(packed), strict=True)
        except ValidationError as error:
            raise ValueError("no sums of metrics") from error
        values = [v for of in found.metrics.values() for v in of.values()] + list(found.squares.values())
        known = {by: set(METRICS) for by in RANKINGS} if found.users else {}
        if {by: set(of) for by, of in found.metrics.items()} != known or set(found.squares) != (
            {f"{a} − {b}" for a, b in PAIRS} if found.users else set()
        ):
            raise ValueError("other metrics than are asked for")
        sound = 0 <= found.users <= min(found.slates, most) and found.slates <= MOST_SLATES
        if not sound or not all(0 <= v <= found.users + 1e-6 for v in values):
            raise ValueError("no sums of metrics")
        return found

    @classmethod
    def together(cls, parts: Iterable["MetricSums"]) -> "MetricSums":
        """Of all nodes; a ranking counts only where all have it."""
        some = [part for part in parts if part.users]
        if not some:
            return cls()
        rankings = [by for by in some[0].metrics if all(by in part.metrics for part in some)]
        metrics = {
            by: {n: sum(part.metrics[by].get(n, 0.0) for part in some) for n in some[0].metrics[by]}
            for by in rankings
        }
        squares = {
            pair: sum(part.squares[pair] for part in some)
            for pair in some[0].squares
            if all(pair in part.squares for part in some)
        }
        return cls(sum(p.users for p in some), sum(p.slates for p in some), metrics, squares)

    def means(self) -> dict[str, dict[str, float]]:
        """Metrics averaged over users, by ranking."""
        return {by: {n: v / self.users for n, v in of.items()} for by, of in self.metrics.items()}

    def difference(self, one: str, other: str) -> dict[str, float] | None:
        """NMRR of a ranking less that of another: the mean over users, and its 95 % interval (normal)."""
        squares = self.squares.get(f"{one} − {other}")
        if squares is None or not self.users:
            return None
        mean = (self.metrics[one]["nmrr"] - self.metrics[other]["nmrr"]) / self.users
        spread = max(squares - self.users * mean**2, 0.0) / max(self.users - 1, 1)
        half = Z * math.sqrt(spread / self.users)
        return {"mean": mean, "low": mean - half, "high": mean + half}

    def doubts(self) -> list[Doubt]:
        """What is wrong with the rankings, as far as sums can tell; see `verdict.doubts`."""
        found = []
        for name in (COMMON, OWN):
            beside = self.difference(name, RANDOM)
            if beside is not None and beside["low"] <= 0:
                found.append(Doubt(CHANCE, name, f"the {name} ranking is {CHANCE} ({_told(beside)})."))
        beside, lead = self.difference(OWN, COMMON), self.difference(COMMON, RANDOM)
        if beside is not None and lead is not None and beside["high"] < 0:
            kind = WORSE if beside["mean"] < -MATERIAL * lead["mean"] else A_LITTLE_WORSE
            found.append(Doubt(kind, OWN, f"the users' own models rank {kind} ({_told(beside)})."))
        return found


_SUMS = TypeAdapter(MetricSums)


def _told(beside: Mapping[str, float]) -> str:
    return f"NMRR {beside['mean']:+.4f}, 95 % {beside['low']:+.4f} to {beside['high']:+.4f}"
