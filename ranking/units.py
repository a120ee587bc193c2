"""Numbers in units that people know, and the scales that make features of them."""

import math
from typing import Any, NamedTuple

import numpy as np

from ranking.moments import Floats

TIMES, CHARACTERS, SHARE, YES, AGO = "times", "characters", "share", "yes or no", "searches ago"
"""What a number counts: searches, characters, a part between 0 and 1, 1 for yes, or how far back."""


class Quantity(NamedTuple):
    """A number and its unit, one of those above; "searches ago" is ∞ for never."""

    number: float
    unit: str


class Scale(NamedTuple):
    """How a number x becomes a feature: ``times · (f(x) − minus)``, where f(x) is log(1 + x), or x.

    Attributes:
        unit: of x, one of those above; with AGO x is 1 / (how many searches ago), and 0 for never.
        times, minus: constants.
        logarithm: whether f is log(1 + x).
    """

    unit: str
    times: float
    minus: float = 0.0
    logarithm: bool = False

    def feature(self, x: Any) -> Floats:
        """Of numbers (R,) the values that rankers see."""
        fx = np.log1p(x) if self.logarithm else x
        values: Floats = self.times * (fx - self.minus if self.minus else fx)
        return values

    def quantity(self, value: float) -> Quantity:
        """Of a value that rankers see the number."""
        fx = value / self.times + self.minus
        if self.unit == AGO:
            return Quantity(1 / fx if fx > 0 else math.inf, AGO)
        return Quantity(math.expm1(fx) if self.logarithm else fx, self.unit)
