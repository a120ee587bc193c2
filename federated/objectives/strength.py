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
"""Of an objective's usual number of personal steps, among which validation chooses."""


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


def prices(lam: float | Literal["auto"], inner_lr: float) -> Strength:
    """Of a price λ."""
    if lam != AUTO:
        return Strength("lam", lam)
    return Strength("lam", TALK, (math.inf, *(price for price in PRICES if inner_lr * price < 2)))


def steps_of(name: str, steps: int | Literal["auto"], usual: int) -> Strength:
    """Of a number of personal steps."""
    if steps != AUTO:
        return Strength(name, steps)
    return Strength(name, usual, tuple(usual * times for times in MULTIPLES) if usual else ())


def require_stable(inner_lr: float, lam: float) -> None:
    """Raise ValueError if a descent with these would move away from the own model that it is to find."""
    if inner_lr * lam >= 2:
        raise ValueError(
            f"inner_lr · lam = {inner_lr:g} · {lam:g} = {inner_lr * lam:g} must be under 2, or every inner "
            "step leads further away from the user's own model"
        )
