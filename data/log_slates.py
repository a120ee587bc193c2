"""The slates of a log: for every event a prefix, a pool of its completions, and what was submitted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.pools import Pools, Searches, pools
from data.prefixes import Prefixes
from data.privacy import Release
from data.progress import Tell, silent
from data.public_counts import UNTOLD, Bounds
from data.randomness import integers
from data.schema import SCHEMAS, Dataset, column, in_split
from data.strict_pools import strict_pools

POOLS = "pools"
"""What the making of slates is called where its progress is shown."""

LONGEST_DRAWN = 6
"""Characters typed, at most, where the length of prefixes is drawn."""


@dataclass(frozen=True)
class Made:
    """Slates (S,) of consecutive events, and whether what was submitted is in its pool (S,)."""

    table: pa.Table
    found: NDArray[np.bool_]


def log_slates(
    events: pa.Table,
    texts: Sequence[str],
    typed: int | None,
    history: int,
    seed: int,
    strict: bool = False,
    bounds: Bounds | Release | None = None,
    tell: Tell = silent,
) -> Iterator[Made]:
    """The slates of all events, in their order, some thousands at a time; each event has one.

    Args:
        events: by user and then time, see `schema`.
        texts: the queries, sorted.
        typed: length of every prefix; None draws 1 to LONGEST_DRAWN for each event.
        history: own events, at most, that a pool may look back on.
        seed: for the drawn lengths.
        strict: count nothing that happened at the event's time or later, whoever did it.
        bounds: of what is counted, or what was released of it; None: all training events. Not with
            ``strict``.
        tell: is told how far it is.
    """
    query = column(events, "query_id").astype(np.int64)
    length = _typed(texts, query, typed, seed)
    yield from slates_of(events, texts, length, history, popularity_of(events, texts, bounds), strict, tell)


@dataclass(frozen=True)
class Popularity:
    """What makes queries popular.

    Attributes:
        count: (V,) how often each counts.
        told: (E,) what becomes of events, see `public_counts.COUNTED`; None where all of training counts.
    """

    count: NDArray[np.int64]
    told: NDArray[np.int8] | None = None


def own_counts(events: pa.Table, queries: int, bounds: Bounds | None) -> Popularity:
    """What the events of a dataset, which has so many queries, make popular by themselves."""
    query = column(events, "query_id").astype(np.int64)
    counted = training = in_split(events, "train")
    told = None
    if bounds:
        user = column(events, "user_id").astype(np.int64)
        told = np.full(len(query), UNTOLD, np.int8)
        told[training] = bounds.told(user[training], query[training])
        counted = told > UNTOLD
    return Popularity(np.bincount(query[counted], minlength=queries), told)


def popularity_of(events: pa.Table, texts: Sequence[str], rules: Bounds | Release | None) -> Popularity:
    """What makes queries popular; arguments as of `log_slates`."""
    if isinstance(rules, Release):
        return _released_counts(events, texts, rules)
    return own_counts(events, len(texts), rules)


def _released_counts(events: pa.Table, texts: Sequence[str], release: Release) -> Popularity:
    """What was released, and which events their users take off it; nothing else is counted."""
    part, bounds = release.part(0), release.bounds(0)
    place = pc.index_in(pa.array(texts, pa.string()), value_set=part.column("first"))
    of_query = part.take(place)
    count, tellers = (
        of_query.column(name).fill_null(0).to_numpy().astype(np.int64) for name in ("count", "tellers")
    )
    user, query = (column(events, name).astype(np.int64) for name in ("user_id", "query_id"))
    training = in_split(events, "train")
    told = np.full(len(query), UNTOLD, np.int8)
    chosen = bounds.chosen(user[training], query[training])
    told[training] = bounds.becoming(chosen, tellers[query[training]])
    return Popularity(count, told)


def slates_of(
    events: pa.Table,
    texts: Sequence[str],
    length: NDArray[np.int64],
    history: int,
    popularity: Popularity,
    strict: bool = False,
    tell: Tell = silent,
) -> Iterator[Made]:
    """The same where it is known how much was typed before each event (E,), and what is popular."""
    user = column(events, "user_id").astype(np.int64)
    query = column(events, "query_id").astype(np.int64)
    time = column(events, "timestamp")
    prefixes = Prefixes.of(texts, popularity.count, query, length)
    searches = Searches(user, query, _passed(user, time), in_split(events, "train"), history, popularity.told)
    tell(POOLS, 0, len(user))
    begin = 0
    for made in strict_pools(searches, prefixes, time) if strict else pools(searches, prefixes):
        part = slice(begin, begin + len(made.offsets) - 1)
        yield _slates(made, range(part.start, part.stop), texts, query[part], length[part])
        begin = part.stop
        tell(POOLS, begin, len(user))


def with_pools_anew(dataset: Dataset, popularity: Popularity) -> Dataset:
    """A log whose slates keep their prefixes, references and events, where what is popular is known anew.

    Nothing is left out of it: a query that is no longer in its pool is a miss.

    Args:
        dataset: imported from a log; its queries are sorted by text.
        popularity: of its queries, and what becomes of its events.
    """
    slates, events = dataset.slates, dataset.events
    event = column(slates, "event_id")
    length = np.ones(events.num_rows, np.int64)  # events that were left out may have any prefix
    length[event] = pc.utf8_length(slates.column("prefix")).to_numpy()
    texts = dataset.queries.column("text").to_pylist()
    history = int(dataset.manifest["options"]["history"])
    made = list(slates_of(events, texts, length, history, popularity))
    pool = pa.concat_tables(one.table.select(["pool"]) for one in made).column("pool").take(pa.array(event))
    place = slates.schema.get_field_index("pool")
    missed = ~np.concatenate([one.found for one in made])[event]
    return replace(
        dataset,
        slates=slates.set_column(place, SCHEMAS["slates"].field("pool"), pool),
        manifest={**dataset.manifest, "missed": int(missed.sum())},
    )


def _slates(
    made: Pools, numbers: range, texts: Sequence[str], query: NDArray[np.int64], length: NDArray[np.int64]
) -> Made:
    typed = [texts[q][:n] for q, n in zip(query.tolist(), length.tolist(), strict=True)]
    wanted = np.arange(len(query) + 1, dtype=np.int32)
    table = pa.table(
        [
            pa.array(numbers, pa.int64()),
            pa.array(numbers, pa.int64()),
            pa.array(typed, pa.string()),
            pa.ListArray.from_arrays(made.offsets.astype(np.int32), made.pool.astype(np.int32)),
            pa.ListArray.from_arrays(wanted, query.astype(np.int32)),
        ],
        schema=SCHEMAS["slates"],
    )
    hit = made.pool == np.repeat(query, np.diff(made.offsets))
    found = np.bincount(np.repeat(np.arange(len(query)), np.diff(made.offsets))[hit], minlength=len(query))
    return Made(table, found > 0)


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
