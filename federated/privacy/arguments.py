"""Numbers that the accounting cannot work with, refused with one sentence (ValueError)."""

import math
from numbers import Integral


def positive(name: str, value: float) -> float:
    """The value, if it is more than 0 and finite."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive, finite number, not {value}.")
    return value


def between_0_and_1(name: str, value: float) -> float:
    """The value, if it is more than 0 and less than 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, both excluded, not {value}.")
    return value


def count(name: str, value: int) -> int:
    """The value, if it is a whole number from 1."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value}.")
    return int(value)
