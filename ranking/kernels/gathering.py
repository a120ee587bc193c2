"""The rows of a client's batch, gathered from stored slates."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranking.kernels.compiling import compiled

Array = NDArray[Any]


class Store(NamedTuple):
    """Slates as kernels read them; the arrays are those of `slates.StoredSlates`."""

    offsets: Array
    features: Array
    candidates: Array
    position: Array
    typed: Array


class Rows(NamedTuple):
    """Room for the rows of a batch: of each its query, characters typed and place in the reference.

    Attributes:
        ends: (B,) where the rows of each slate end.
    """

    candidates: Array
    typed: Array
    position: Array
    ends: Array


@compiled
def most_rows(begin: int, end: int, store: Store, index: Array, weight: Array) -> int:
    """The most rows that one of clients begin … end − 1 has in a batch of many (K, C, B), but at least 1."""
    most = 1
    for k in range(index.shape[0]):
        for c in range(begin, end):
            rows = 0
            for b in range(index.shape[2]):
                if weight[c, b] > 0:
                    rows += store.offsets[index[k, c, b] + 1] - store.offsets[index[k, c, b]]
            most = max(most, rows)
    return most


@compiled
def room(most: int, slates: int) -> Rows:
    """Room for so many rows of so many slates."""
    return Rows(
        np.empty(most, np.int32),
        np.empty(most, np.int16),
        np.empty(most, np.int16),
        np.empty(slates, np.int64),
    )


@compiled
def gather(store: Store, index: Array, weight: Array, inputs: int, x: Array, rows: Rows) -> int:
    """How many rows the slates (B,) with a weight have; they are copied into ``rows`` and ``x``.

    Args:
        store: all slates.
        index, weight: (B,) of the batch; slates of weight 0 have no rows.
        inputs: numbers between the beginnings of two rows in ``x``, at least as many as features.
        x: (most · inputs,) flat.
        rows: what else is copied.
    """
    features = store.features.shape[1]
    row = 0
    for b in range(len(index)):
        slate = index[b]
        if weight[b] > 0:
            for source in range(store.offsets[slate], store.offsets[slate + 1]):
                to, of = x[row * inputs : row * inputs + features], store.features[source]
                for f in range(features):
                    to[f] = of[f]
                rows.candidates[row] = store.candidates[source]
                rows.typed[row] = store.typed[slate]
                rows.position[row] = store.position[source]
                row += 1
        rows.ends[b] = row
    return row
