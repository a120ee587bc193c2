"""Features of a candidate, computable on the user's own device.

Fixed constants bring every feature to a standard deviation of about 1 on typical logs, as gradient
methods want it. They are never statistics of the data at hand: a device asks nobody to compute its own.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.schema import DataError, Dataset, column, ragged
from ranking.history import History, PublicStatistics, walk
from ranking.slates import Slates

POPULARITY = "popularity"
"""The feature that the most-popular baseline ranks by."""


def feature_names(public: PublicStatistics) -> list[str]:
    """Names of the F features, in order; they depend on nothing but the data's topics."""
    return [
        POPULARITY,
        "group popularity",
        "length",
        "typed share",
        "follows previous",
        "own count",
        "own recency",
        "own follows previous",
        "equals previous",
        "own first token",
        *(["own topic share", "session topic"] if public.topics else []),
        *(f"topic {t}" for t in public.topics),
    ]


def features(
    history: History, prefix: str, pool: NDArray[np.int32], session: int | None, group: str | None
) -> NDArray[np.float32]:
    """The (N, F) features of a pool of N candidates for one user at one moment.

    Args:
        history: the user's state, holding strictly earlier events only.
        prefix: what has been typed.
        pool: (N,) query ids.
        session: the present session; an earlier event of the same one tells the session's topic.
        group: the user's group at this moment, or None.
    """
    public = history.public
    own = history.count[pool]
    followed, own_followed, repeated = _previous(history, pool)
    columns = [
        (np.log1p(public.count[pool] - _look_up(history.own, pool)) - 2) / 1.5,
        _group_popularity(history, pool, group),
        (public.length[pool] - 20) / 10,
        5 * len(prefix) / public.length[pool],
        followed,
        3 * np.log1p(own),
        np.where(own > 0, 5 / (len(history.events) - history.last[pool]), 0),
        own_followed,
        repeated,
        np.log1p([history.tokens[t] for t in public.first_token[pool].tolist()]),
        *_topics(history, pool, session),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _group_popularity(history: History, pool: NDArray[np.int32], group: str | None) -> NDArray[np.float64]:
    if group is None:
        return np.zeros(len(pool))
    own = np.array([history.own_in_group[group, q] for q in pool.tolist()])
    counts: NDArray[np.float64] = _look_up(history.public.group_count[group], pool) - own
    return np.log1p(counts) / 1.5


def _previous(history: History, pool: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    """How often each candidate followed the previous query: for others, for the user; is it the same."""
    if not history.events:
        return [np.zeros(len(pool))] * 3
    previous = history.events[-1].query
    others = _look_up(history.public.followers[previous], pool)
    others -= _look_up(history.own_followers[previous], pool)
    own = _look_up(history.followers[previous], pool)
    return [2 * np.log1p(others), 5 * np.log1p(own), 5.0 * (pool == previous)]


def _topics(history: History, pool: NDArray[np.int32], session: int | None) -> list[NDArray[np.float64]]:
    """The topic's share of the user's history, whether it is the session's, and which one it is."""
    public = history.public
    if not public.topics:
        return []
    topic = public.topic[pool]
    share = np.where(topic >= 0, history.topics[topic], 0) / max(history.topics.sum(), 1)
    same = np.zeros(len(pool))
    if history.events and history.events[-1].session == session:
        same = ((topic >= 0) & (topic == public.topic[history.events[-1].query])).astype(float)
    return [4 * share, 3 * same, *(3.0 * (topic[None] == np.arange(len(public.topics))[:, None]))]


def _look_up(counts: Mapping[int, int], pool: NDArray[np.int32]) -> NDArray[np.float64]:
    if not counts:
        return np.zeros(len(pool))
    return np.array([counts.get(q, 0) for q in pool.tolist()], dtype=float)


def build(
    dataset: Dataset,
    public: PublicStatistics | None = None,
    split: str | None = None,
    directory: Path | None = None,
) -> Slates:
    """Slates of a dataset as one stacked tensor set.

    Args:
        dataset: where they come from.
        public: its public statistics, if they are known already.
        split: only the slates of this part, in user and time order; None: all, in the dataset's order.
        directory: where to keep them on disk; None: in memory. See `Slates.empty`.

    Raises:
        DataError: a feature that is not a finite number, or no slate at all.
    """
    public = public or PublicStatistics(dataset)
    offsets, pool = ragged(dataset.slates, "pool")
    reference_offsets, reference = ragged(dataset.slates, "reference")
    prefix = dataset.slates.column("prefix")
    of_event = column(dataset.slates, "event_id")
    session = column(dataset.events, "session_id")
    user = column(dataset.events, "user_id")
    groups = dataset.events.column("group").to_pylist()
    chosen = split_rows(dataset, split)
    place_of = dict(zip(chosen.tolist(), range(len(chosen)), strict=True))
    widest = int(np.diff(offsets)[chosen].max())
    slates = Slates.empty(len(chosen), widest, len(feature_names(public)), directory)
    for row, history in walk(dataset, public):
        if row not in place_of:
            continue
        place, event, typed = place_of[row], of_event[row], prefix[row].as_py()
        candidates = pool[offsets[row] : offsets[row + 1]]
        values = features(history, typed, candidates, int(session[event]), groups[event])
        wanted = reference[reference_offsets[row] : reference_offsets[row + 1]]
        slates.put(place, values, candidates, wanted, int(user[event]), len(typed))
    return slates


def split_rows(dataset: Dataset, split: str | None) -> NDArray[np.int64]:
    """Which slates of a dataset belong to a split, in user and time order; all of them for None.

    Raises:
        DataError: there is none.
    """
    if split is None:
        return np.arange(dataset.slates.num_rows)
    of_event = column(dataset.slates, "event_id")
    chosen = np.flatnonzero(column(dataset.events, "split")[of_event] == split)
    if not len(chosen):
        raise DataError(f"no slate is left in the {split} part of the data: import it without --drop-missed.")
    user = column(dataset.events, "user_id")[of_event[chosen]]
    return chosen[np.argsort(user, kind="stable")]
