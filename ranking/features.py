"""Features of a candidate, computable on the user's own device.

Fixed constants bring every feature to a standard deviation of about 1 on typical logs, as gradient
methods want it. They are never statistics of the data at hand: a device asks nobody to compute its own.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ranking.events import QUERY, STEPS, WORD, Step
from ranking.history import Past
from ranking.moments import Floats, Moments, Rows
from ranking.public_statistics import PublicStatistics

VERSION = 2
"""Of the features. Raise it with any change: a model is worth nothing on others than it learned from."""

POPULARITY, OWN_COUNT, OWN_RECENCY = "popularity", "own count", "own recency"
"""The features that yardsticks rank by."""

FOLLOWS = {
    Step(QUERY, 1, QUERY): ("follows previous", 2, 5),
    Step(QUERY, 2, QUERY): ("follows the one before", 3, 8),
    Step(WORD, 1, QUERY): ("follows first word", 1.5, 8),
    Step(WORD, 1, WORD): ("first word follows first word", 0.5, 1.5),
}
"""The name of each step's feature, and its scale for the steps of others and for the user's own."""

LATELY = (3, 10, 30)
"""Own events, at most, within which the user's searches are counted besides HISTORY."""


def feature_names(public: PublicStatistics) -> list[str]:
    """Names of the F features, in order; they depend on nothing but the data's topics."""
    return [
        POPULARITY,
        "group popularity",
        "length",
        "typed share",
        OWN_COUNT,
        OWN_RECENCY,
        *(f"own count of {events}" for events in LATELY),
        "own first word",
        "equals previous",
        *(f"{whose}{FOLLOWS[step][0]}" for step in STEPS for whose in ("", "own ")),
        *(f"share of {counted}" for counted in ("popularity", "own count", "follows", "own follows")),
        *(["own topic share", "session topic"] if public.topics else []),
        *(f"topic {t}" for t in public.topics),
    ]


def features(past: Past, moments: Moments) -> NDArray[np.float32]:
    """The features (R, F) of all candidates of some moments.

    Args:
        past: holds at least all events of the users whose moments these are.
        moments: S of them.
    """
    rows = Rows(past, moments)
    columns = [
        (np.log1p(rows.popularity) - 2) / 1.5,
        np.log1p(rows.group_popularity) / 1.5,
        (rows.length - 20) / 10,
        (5 * moments.typed)[rows.of] / rows.length,
        3 * np.log1p(rows.own_count),
        rows.own_recency,
        *(5 * np.log1p(rows.recent(QUERY, events)) for events in LATELY),
        np.log1p(rows.own_first_word),
        5.0 * rows.equals_previous,
        *_follows(rows),
        *(8 * rows.share(counted) for counted in (rows.popularity, rows.own_count, *rows.followed[STEPS[0]])),
        *rows.topics(),
    ]
    values = np.empty((len(moments.pool), len(columns)), np.float32)
    for number, column in enumerate(columns):
        values[:, number] = column
    return values


def _follows(rows: Rows) -> Iterator[Floats]:
    """Of each step those of others, and then the user's own."""
    for step in STEPS:
        _, *scales = FOLLOWS[step]
        for scale, counted in zip(scales, rows.followed[step], strict=True):
            yield scale * np.log1p(counted)
