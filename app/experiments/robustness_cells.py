"""The cells of `reproduce robustness`: attacks × defences, synchronous and asynchronous."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.experiments.cells import Cell
from federated.hostile import ATTACKS

NONE = "none"

FACED: dict[str, dict[str, Any]] = {
    **{name: {"attack.kind": name} for name in ATTACKS},
    "sign-flip × 10": {"attack.kind": "sign-flip", "attack.scale": 10.0},
}
"""Attacks by name, with the hyper-parameters that differ from their defaults."""

DEFENCES: dict[str, dict[str, Any]] = {
    NONE: {},
    **{
        rule: {"defence.rule": rule}
        for rule in (
            "clip",
            "trimmed-mean",
            "median",
            "krum",
            "multi-krum",
            "geometric-median",
            "nnm+trimmed-mean",
            "clip+trimmed-mean",
            "centred-clipping",
            "basgd",
        )
    },
}
"""Defences by name, with their defaults: f is a third of a merge. None at all is the plain mean."""

COHORT: dict[str, Any] = {"cohort": 50, "shares": "equal"}
"""Of fedavg. Users weigh the same, as they do in every rule, so that rules are compared and not weights."""

BUFFERED: dict[str, Any] = {"buffer": 20, "concurrency": 40, "lam": 3.0}
"""Of persa-fl-ditto. How far own models go was chosen on validation slates, once."""

SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "synchronous": ("fedavg", COHORT),
    "buffered": ("persa-fl-ditto", BUFFERED),
}
"""Algorithm and its hyper-parameters."""


class Key(NamedTuple):
    """A cell: how it is merged, by which defence, against which attack (``none``) by which share of users."""

    schedule: str
    defence: str
    attack: str
    share: float

    @property
    def name(self) -> str:
        """As a directory is named."""
        attack = self.attack.replace(" × ", "-x")
        return f"{self.schedule}-{self.defence}-{attack}-{self.share:g}"


@dataclass(frozen=True)
class Scale:
    """How large the experiment is.

    Attributes:
        users: of simulated data.
        seeds: every cell is trained with each of them.
        updates: of users, in every training.
        shares: of all users who are hostile.
        attacks, defences: of the synchronous schedule.
        buffered_attacks, buffered_defences: of the buffered one, all at the greatest share.
    """

    users: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    updates: int = 1000
    shares: tuple[float, ...] = (0.1, 0.2)
    attacks: tuple[str, ...] = tuple(FACED)
    defences: tuple[str, ...] = tuple(name for name in DEFENCES if name != "basgd")
    buffered_attacks: tuple[str, ...] = ("sign-flip × 10", "ipm", "alie", "min-max")
    buffered_defences: tuple[str, ...] = (NONE, "clip", "trimmed-mean", "clip+trimmed-mean", "basgd")


QUICK = Scale(
    users=60,
    seeds=(0,),
    updates=300,
    shares=(0.2,),
    attacks=("sign-flip × 10", "alie"),
    defences=(NONE, "clip", "krum", "clip+trimmed-mean"),
    buffered_attacks=("sign-flip × 10",),
    buffered_defences=(NONE, "clip+trimmed-mean"),
)


def keys(scale: Scale) -> Iterator[Key]:
    """All cells, those without an attack first."""
    for defence in scale.defences:
        yield Key("synchronous", defence, NONE, 0.0)
    for defence in scale.buffered_defences:
        yield Key("buffered", defence, NONE, 0.0)
    for share in sorted(scale.shares, reverse=True):
        for defence in scale.defences:
            for attack in scale.attacks:
                yield Key("synchronous", defence, attack, share)
    for defence in scale.buffered_defences:
        for attack in scale.buffered_attacks:
            yield Key("buffered", defence, attack, max(scale.shares))


def cell(key: Key, scale: Scale) -> Cell:
    """How one is trained."""
    algorithm, own = SCHEDULES[key.schedule]
    sets = {**own, **DEFENCES[key.defence]}
    if key.share:
        sets |= {**FACED[key.attack], "attack.share": key.share}
    return Cell(algorithm, scale.updates, sets)
