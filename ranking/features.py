"""Features of a candidate, computable on the user's own device.

Fixed constants bring every feature to a standard deviation of about 1 on typical logs, as gradient
methods want it. They are never statistics of the data at hand: a device asks nobody to compute its own.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ranking.events import QUERY, STEPS, WORD, Step
from ranking.history import Past
from ranking.moments import Moments, Rows
from ranking.public_statistics import PublicStatistics
from ranking.units import AGO, CHARACTERS, SHARE, TIMES, YES, Scale

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


def _counted(times: float, minus: float = 0.0) -> Scale:
    return Scale(TIMES, times, minus, logarithm=True)


RECIPE = {
    POPULARITY: _counted(1 / 1.5, 2),
    "group popularity": _counted(1 / 1.5),
    "length": Scale(CHARACTERS, 0.1, 20),
    "typed share": Scale(SHARE, 5),
    OWN_COUNT: _counted(3),
    OWN_RECENCY: Scale(AGO, 5),
    **{f"own count of {events}": _counted(5) for events in LATELY},
    "own first word": _counted(1),
    "equals previous": Scale(YES, 5),
    **{
        f"{whose}{name}": _counted(times)
        for name, *both in FOLLOWS.values()
        for whose, times in zip(("", "own "), both, strict=True)
    },
    **{f"share of {what}": Scale(SHARE, 8) for what in ("popularity", "own count", "follows", "own follows")},
}
"""The features of every log, in order, and of which number each is made."""

OF_TOPICS = {"own topic share": Scale(SHARE, 4), "session topic": Scale(YES, 3)}
"""Further ones of logs with topics."""

TOPIC, OF_TOPIC = "topic ", Scale(YES, 3)
"""Last there is one for each topic, which is named behind this."""


def scale(name: str) -> Scale:
    """That of a feature, by its name."""
    return OF_TOPIC if name.startswith(TOPIC) else RECIPE.get(name) or OF_TOPICS[name]


def feature_names(public: PublicStatistics) -> list[str]:
    """Names of the F features, in order; they depend on nothing but the data's topics."""
    return [*RECIPE, *(OF_TOPICS if public.topics else ()), *(f"{TOPIC}{topic}" for topic in public.topics)]


def features(past: Past, moments: Moments) -> NDArray[np.float32]:
    """The features (R, F) of all candidates of some moments.

    Args:
        past: holds at least all events of the users whose moments these are.
        moments: S of them.
    """
    rows, names = Rows(past, moments), feature_names(past.public)
    values = np.empty((len(moments.pool), len(names)), np.float32)
    for place, (name, numbers) in enumerate(zip(names, _numbers(rows), strict=True)):
        values[:, place] = scale(name).feature(numbers)
    return values


def _numbers(rows: Rows) -> Iterator[NDArray[np.generic]]:
    """Of each feature the numbers (R,) that it is made of, in the order of `feature_names`."""
    yield rows.popularity
    yield rows.group_popularity
    yield rows.length
    yield rows.moments.typed[rows.of] / rows.length
    yield rows.own_count
    yield rows.own_recency
    for events in LATELY:
        yield rows.recent(QUERY, events)
    yield rows.own_first_word
    yield rows.equals_previous
    for step in STEPS:
        yield from rows.followed[step]
    for counted in (rows.popularity, rows.own_count, *rows.followed[STEPS[0]]):
        yield rows.share(counted)
    yield from rows.topics()
