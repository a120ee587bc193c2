"""How far users' own models go from what they are made from, and what there is to choose from."""

import math
from typing import Literal, NamedTuple

AUTO: Literal["auto"] = "auto"
"""A strength that validation chooses, see `federated.personal`."""

PRICES = (30.0, 15.0, 7.0, 3.0, 1.5, 0.7)
"""λ of own models among which validation chooses, besides ∞: the common model."""

TALK = 15.0
"""λ of the talk."""

MULTIPLES = (0, 1, 2, 5, 10, 20, 50)
"""Of the steps that MAML looks ahead, among which validation chooses."""

LONGEST = 100
"""Steps of MAML, at most, that are a candidate beside as many as it looks ahead."""

STEPS = (0, 2, 5, 10, 20, 40)
"""Of Reptile, among which validation chooses."""


class Strength(NamedTuple):
    """How far users' own models go from what they are made from.

    Attributes:
        name: of the hyper-parameter that says so.
        usual: its value, where nobody chooses.
        candidates: values to choose among, the first of which leaves users with what they had; none where the
            value is set, or users have no models of their own.
    """

    name: str
    usual: float
    candidates: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, name: str, given: float | Literal["auto"], usual: float, candidates: tuple[float, ...]
    ) -> "Strength":
        """What a hyper-parameter says: a value, or that it is to be chosen."""
        return cls(name, usual, candidates) if given == AUTO else cls(name, given)

    def taken(self, chosen: float | None) -> float:
        """The value that was chosen, or the usual one where nobody has."""
        return self.usual if chosen is None else chosen


def prices(lam: float | Literal["auto"], inner_lr: float) -> Strength:
    """Of a price λ, for steps of a size; ∞ leaves users with what they had."""
    return Strength.of("lam", lam, TALK, (math.inf, *(p for p in PRICES if inner_lr * p < 2)))


def require_stable(inner_lr: float, lam: float) -> None:
    """Raise ValueError if a descent with these would move away from the own model that it is to find."""
    if inner_lr * lam >= 2:
        raise ValueError(
            f"inner_lr · lam = {inner_lr:g} · {lam:g} = {inner_lr * lam:g} must be under 2, or every inner "
            "step leads further away from the user's own model"
        )
