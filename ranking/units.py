"""Features in units that people know: the scaling of `features.features`, undone."""

import math
from typing import NamedTuple

from ranking.features import FOLLOWS, LATELY, OWN_COUNT, OWN_RECENCY, POPULARITY

TIMES, CHARACTERS, SHARE, YES, AGO = "times", "characters", "share", "yes or no", "searches ago"
"""What a number counts: searches, characters, a part between 0 and 1, 1 for yes, or how far back."""


class Quantity(NamedTuple):
    """A number and its unit, one of those above; "searches ago" is ∞ for never."""

    number: float
    unit: str


def quantity(name: str, value: float) -> Quantity:
    """What a feature's value means.

    Args:
        name: of the feature, see `features.feature_names`.
        value: as rankers see it.
    """
    if name == OWN_RECENCY:
        return Quantity(5 / value if value > 0 else math.inf, AGO)
    if name == "length":
        return Quantity(10 * value + 20, CHARACTERS)
    for part, times in (("typed share", 5), ("share of ", 8), ("own topic share", 4)):
        if name.startswith(part):
            return Quantity(value / times, SHARE)
    if name == "equals previous":
        return Quantity(value / 5, YES)
    if name in _LOGARITHMS:
        shift, scale = _LOGARITHMS[name]
        return Quantity(math.expm1(value / scale + shift), TIMES)
    return Quantity(value / 3, YES)  # topics


_LOGARITHMS = {
    POPULARITY: (2.0, 1 / 1.5),
    "group popularity": (0.0, 1 / 1.5),
    OWN_COUNT: (0.0, 3.0),
    **{f"own count of {events}": (0.0, 5.0) for events in LATELY},
    "own first word": (0.0, 1.0),
    **{name: (0.0, float(others)) for name, others, _ in FOLLOWS.values()},
    **{f"own {name}": (0.0, float(own)) for name, _, own in FOLLOWS.values()},
}
"""Features that are a scaled logarithm of 1 + a count, less a shift: by name the shift and the scale."""
