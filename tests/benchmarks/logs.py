"""Search logs of any size from a seed: what the data path is timed on.

Users are of very different diligence (log-normal), queries of very different popularity (Zipf), and two in
five searches repeat an earlier one of the same user, as in real logs.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

REPEATED = 0.42
"""Share of searches that repeat the user's own history."""
START = 1_600_000_000
"""Unix time of the first search."""


def write_log(path: Path, events: int, users: int, seed: int = 0) -> None:
    """Write a CSV file with the columns user, timestamp (Unix seconds, ascending) and query."""
    draw = np.random.default_rng(seed)
    user = np.sort(draw.choice(users, events, p=_shares(users, draw)))
    texts = _texts(max(1000, events // 10), draw)
    popular = np.minimum((len(texts) + 1) ** draw.random(events) - 1, len(texts) - 1).astype(np.int64)
    query = popular[_first_times(user, draw)]
    time = START + draw.integers(0, 3 * 10**7, events)
    time = time[np.lexsort((time, user))]
    order = np.argsort(time, kind="stable")
    table = pa.table(
        {
            "user": pa.DictionaryArray.from_arrays(user[order], [f"user-{u:06d}" for u in range(users)]),
            "timestamp": time[order],
            "query": pa.DictionaryArray.from_arrays(query[order], texts),
        }
    )
    text = pa.schema([("user", pa.string()), ("timestamp", pa.int64()), ("query", pa.string())])
    pyarrow.csv.write_csv(table.cast(text), path)


def write_distinct(path: Path, events: int, seed: int = 0) -> None:
    """Write the log of one user who never repeats a query."""
    draw = np.random.default_rng(seed)
    texts = _texts(events, draw)
    pyarrow.csv.write_csv(
        pa.table({"user": ["one"] * events, "timestamp": START + np.arange(events), "query": texts}), path
    )


def _shares(users: int, draw: np.random.Generator) -> NDArray[np.float64]:
    diligence = draw.lognormal(0, 1.6, users)
    shares: NDArray[np.float64] = diligence / diligence.sum()
    return shares


def _texts(number: int, draw: np.random.Generator) -> list[str]:
    """Distinct queries of one to four words, the most popular first."""
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "o")]
    words = ["".join(draw.choice(syllables, draw.integers(1, 4))) for _ in range(3000)]
    texts: dict[str, None] = {}
    while len(texts) < number:
        chosen = np.minimum(3001 ** draw.random((number, 4)) - 1, 2999).astype(int)
        for row, length in zip(chosen.tolist(), draw.integers(1, 5, number).tolist(), strict=True):
            texts[" ".join(words[w] for w in row[:length])] = None
    return list(texts)[:number]


def _first_times(user: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """For every event, in user order, the event whose query it has: itself, or an earlier one repeated."""
    place = np.arange(len(user))
    first = np.searchsorted(user, user)
    repeats = (draw.random(len(user)) < REPEATED) & (place > first)
    lag = np.minimum(draw.geometric(0.15, len(user)), place - first)
    source = np.where(repeats, place - lag, place)
    while (source[source] != source).any():
        source = source[source]
    return source
