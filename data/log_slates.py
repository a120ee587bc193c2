"""The slates of a log: for every event a prefix, a pool of its completions, and what was submitted."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.pools import Searches, pools
from data.prefixes import Prefixes
from data.randomness import integers
from data.schema import SCHEMAS, column

LONGEST_DRAWN = 6
"""Characters typed, at most, where the length of prefixes is drawn."""


def log_slates(
    events: pa.Table, texts: Sequence[str], typed: int | None, history: int, seed: int
) -> Iterator[pa.Table]:
    """The slates of all events, in their order, some thousands at a time; each event has one.

    Args:
        events: by user and then time, see `schema`.
        texts: the queries, sorted.
        typed: length of every prefix; None draws 1 to LONGEST_DRAWN for each event.
        history: own events, at most, that a pool may look back on.
        seed: for the drawn lengths.
    """
    user = column(events, "user_id").astype(np.int64)
    query = column(events, "query_id").astype(np.int64)
    training = column(events, "split") == "train"
    length = _typed(texts, query, typed, seed)
    count = np.bincount(query[training], minlength=len(texts))
    prefixes = Prefixes.of(texts, count, query, length)
    searches = Searches(user, query, _passed(user, column(events, "timestamp")), training, history)
    begin = 0
    for made in pools(searches, prefixes):
        numbers = range(begin, begin + len(made.offsets) - 1)
        chosen = query[begin : numbers.stop]
        typed_here = [
            texts[q][:n] for q, n in zip(chosen.tolist(), length[begin : numbers.stop].tolist(), strict=True)
        ]
        yield pa.table(
            [
                pa.array(numbers, pa.int64()),
                pa.array(numbers, pa.int64()),
                pa.array(typed_here, pa.string()),
                pa.ListArray.from_arrays(made.offsets.astype(np.int32), made.pool.astype(np.int32)),
                pa.ListArray.from_arrays(np.arange(len(chosen) + 1, dtype=np.int32), chosen.astype(np.int32)),
            ],
            schema=SCHEMAS["slates"],
        )
        begin = numbers.stop


def _typed(texts: Sequence[str], query: NDArray[np.int64], typed: int | None, seed: int) -> NDArray[np.int64]:
    """(E,) characters typed before each event."""
    length = np.fromiter(map(len, texts), np.int64, len(texts))[query]
    if typed is not None:
        return np.minimum(length, typed)
    return integers(seed, "typed", np.arange(len(query)), 1, np.clip(length - 1, 1, LONGEST_DRAWN))


def _passed(user: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """(E,) for every event the first one of the same user and time."""
    new = np.concatenate([[True], (np.diff(user) != 0) | (np.diff(time) != 0)])
    first: NDArray[np.int64] = np.flatnonzero(new)[np.cumsum(new) - 1]
    return first
