"""The validity card: what a dataset looks like beside real search logs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Dataset, column, ragged


def card(dataset: Dataset) -> dict[str, Any]:
    """Users, period, queries per user, list and pool sizes, Zipf slope, repeats and lags, prefixes, recall.

    Quantiles are given as minimum, median and maximum.
    """
    user, query = column(dataset.events, "user_id"), column(dataset.events, "query_id")
    pool_offsets, pool = ragged(dataset.slates, "pool")
    reference_offsets, reference = ragged(dataset.slates, "reference")
    counts = np.sort(np.bincount(query)[np.unique(query)])[::-1]
    repeated, lags = _repeats(user, query)
    return {
        "kind": dataset.manifest.get("kind"),
        "fingerprint": dataset.fingerprint,
        "users": dataset.users.num_rows,
        "events": len(query),
        "first_event": _moment(column(dataset.events, "timestamp").min()),
        "last_event": _moment(column(dataset.events, "timestamp").max()),
        "slates": dataset.slates.num_rows,
        "distinct_queries": len(counts),
        "queries_per_user": _spread(np.bincount(user)),
        "list_size": _spread(np.diff(reference_offsets)),
        "pool_size": _spread(np.diff(pool_offsets)),
        "prefix_length": _spread(np.array([len(p) for p in dataset.slates.column("prefix").to_pylist()])),
        "zipf_slope_top_200": _zipf_slope(counts[:200]),
        "queries_seen_once": float((counts == 1).mean()),
        "top_10_share": float(counts[:10].sum() / counts.sum()),
        "repeat_rate": float(repeated.mean()),
        "repeat_lag_share": {f"<={k}": float((lags <= k).mean()) if len(lags) else None for k in (1, 5, 20)},
        "pool_recall": _recall(pool_offsets, pool, reference_offsets, reference),
        "missed": dataset.manifest.get("missed", 0),
        "left_out": dataset.manifest.get("left_out", {}),
    }


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
    last: dict[tuple[int, int], int] = {}
    lags = np.zeros(len(query), np.int64)
    for at, key in enumerate(zip(user.tolist(), query.tolist(), strict=True)):
        lags[at] = at - last[key] if key in last else 0
        last[key] = at
    return lags > 0, lags[lags > 0]


def _recall(
    pool_offsets: NDArray[np.int64],
    pool: NDArray[np.int32],
    reference_offsets: NDArray[np.int64],
    reference: NDArray[np.int32],
) -> float:
    """Share of slates with at least one reference in their pool."""
    found = 0
    for row in range(len(pool_offsets) - 1):
        wanted = reference[reference_offsets[row] : reference_offsets[row + 1]]
        found += bool(np.isin(wanted, pool[pool_offsets[row] : pool_offsets[row + 1]]).any())
    return found / (len(pool_offsets) - 1)
