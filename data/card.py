"""The validity card: what a dataset looks like beside real search logs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.log_slates import popularity_of
from data.privacy import Release, rules_of
from data.public_counts import UNPROVEN, Bounds
from data.schema import Dataset, column, in_split, ragged


class SlateFigures:
    """What a card says of slates, which are given in their order, any number at a time."""

    def __init__(self) -> None:
        self._sizes: dict[str, list[NDArray[Any]]] = {"list_size": [], "pool_size": [], "prefix_length": []}
        self._found: list[NDArray[np.bool_]] = []
        self.slates = 0
        self.missed = 0
        """Slates without a reference in their pool."""

    def see(self, slates: pa.Table) -> None:
        """Count some more."""
        pool_offsets, pool = ragged(slates, "pool")
        reference_offsets, reference = ragged(slates, "reference")
        self._sizes["list_size"].append(np.diff(reference_offsets).astype(np.int32))
        self._sizes["pool_size"].append(np.diff(pool_offsets).astype(np.int32))
        self._sizes["prefix_length"].append(
            pc.utf8_length(slates.column("prefix")).to_numpy().astype(np.int32)
        )
        row = np.repeat(np.arange(slates.num_rows), np.diff(pool_offsets))
        wanted = np.diff(reference_offsets)
        found = np.zeros(slates.num_rows, bool)
        for place in range(int(wanted.max(initial=0))):
            of_slate = np.where(
                place < wanted, reference[np.minimum(reference_offsets[:-1] + place, len(reference) - 1)], -1
            )
            found[row[pool == of_slate[row]]] = True
        self._found.append(found)
        self.slates += slates.num_rows
        self.missed += int((~found).sum())

    def seeing(self, slates: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables of slates, counted as they pass."""
        for some in slates:
            self.see(some)
            yield some

    def spread(self, of: str) -> dict[str, float]:
        """Minimum, median and maximum of a size."""
        return _spread(self.of_each(of))

    def of_each(self, size: str) -> NDArray[np.int32]:
        """(S,) a size of every slate: list_size, pool_size or prefix_length."""
        return np.concatenate(self._sizes[size])

    def found(self) -> NDArray[np.bool_]:
        """(S,) whether a slate's pool holds something that was wanted."""
        return np.concatenate(self._found)


def card(dataset: Dataset, figures: SlateFigures | None = None) -> dict[str, Any]:
    """Users, period, queries per user, list and pool sizes, Zipf slope, repeats and lags, prefixes, recall.

    Args:
        dataset: what it is about.
        figures: of its slates, if they have been counted while they were made.

    Quantiles are given as minimum, median and maximum.
    """
    if figures is None:
        figures = SlateFigures()
        for batch in dataset.slates.to_batches(max_chunksize=65_536):
            figures.see(pa.Table.from_batches([batch]))
    user, query = column(dataset.events, "user_id"), column(dataset.events, "query_id")
    time = column(dataset.events, "timestamp")
    counts = np.bincount(query)
    counts = np.sort(counts[counts > 0])[::-1]
    repeated, lags = _repeats(user, query)
    return {
        "kind": dataset.manifest.get("kind"),
        "fingerprint": dataset.fingerprint,
        "users": dataset.users.num_rows,
        "events": len(query),
        "first_event": _moment(time.min()),
        "last_event": _moment(time.max()),
        "slates": figures.slates,
        "distinct_queries": len(counts),
        "queries_per_user": _spread(np.bincount(user)),
        **{name: figures.spread(name) for name in ("list_size", "pool_size", "prefix_length")},
        "zipf_slope_top_200": _zipf_slope(counts[:200]),
        "queries_seen_once": float((counts == 1).mean()),
        "top_10_share": float(counts[:10].sum() / counts.sum()),
        "repeat_rate": float(repeated.mean()),
        "repeat_lag_share": {f"<={k}": float((lags <= k).mean()) if len(lags) else None for k in (1, 5, 20)},
        "pool_recall": 1 - figures.missed / figures.slates,
        **_public_counts(dataset),
        "missed": dataset.manifest.get("missed", 0),
        "left_out": dataset.manifest.get("left_out", {}),
    }


def _public_counts(dataset: Dataset) -> dict[str, Any]:
    """By which rules public counts were made, in words, and what of the users' searches they cover.

    The shares are of test searches whose query is in the index: counted of everyone's training period, and
    as it is here. They are exact figures for whoever holds the data, and no part of what is public.
    """
    rules = rules_of(dataset.manifest)
    if rules is None:
        return {}
    release = Release.of(dataset)
    said: dict[str, Any] = {"public_counts": asdict(rules), "privacy": UNPROVEN}
    if release:
        said["privacy"] = release.in_words()
        said["released"] = {spent.name: spent.released for spent in release.tables.values()}
    here = _in_index(dataset, release or Bounds.of(dataset.manifest))
    return said | {"test_searches_in_index": {"central": _in_index(dataset, None), "here": here}}


def _in_index(dataset: Dataset, rules: Bounds | Release | None) -> float | None:
    """The share of test searches whose query counts by some rules; None without test searches."""
    texts = dataset.queries.column("text").to_pylist()
    known = popularity_of(dataset.events, texts, rules).count > 0
    query = column(dataset.events, "query_id")[in_split(dataset.events, "test")]
    return float(known[query].mean()) if len(query) else None


def _moment(microseconds: np.int64) -> str:
    """ISO 8601, in UTC."""
    return f"{np.datetime64(int(microseconds), 'us').astype('datetime64[s]')}Z"


def _spread(values: NDArray[Any]) -> dict[str, float]:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return {"min": float(low), "median": float(middle), "max": float(high)}


def _zipf_slope(counts: NDArray[np.int64]) -> float | None:
    """Slope of log count over log rank."""
    if len(counts) < 2:
        return None
    return float(np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0])


def _repeats(
    user: NDArray[np.int32], query: NDArray[np.int32]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For each event whether its user had submitted the query before, and how many events ago."""
    order = np.lexsort((query, user))
    again = (np.diff(user[order]) == 0) & (np.diff(query[order]) == 0)
    lags = np.zeros(len(query), np.int64)
    lags[order[1:][again]] = np.diff(order)[again]
    return lags > 0, lags[lags > 0]
