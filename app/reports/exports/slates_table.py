"""A table of slates: one row per slate and ranking, with what is known of the moment and all metrics."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from data.arrays import Int
from ranking.metrics import METRICS, missed, with_cutoff
from ranking.ordering import Lists
from ranking.slates import Slates


def schema(cutoff: int) -> pa.Schema:
    """Of the table; ``place`` is the own choice's, of tied ones the mean place, and null for a miss."""
    columns = {
        "slate": pa.int64(),
        "user": pa.string(),
        "ranking": pa.string(),
        "prefix": pa.string(),
        "pool_size": pa.int32(),
        "reference_size": pa.int32(),
        "missed": pa.bool_(),
        "place": pa.float64(),
        "tied": pa.int32(),
        "choice_tied": pa.bool_(),
    }
    return pa.schema(columns | {with_cutoff(name, cutoff): pa.float64() for name in METRICS})


def rows(
    ranking: str,
    slates: Slates,
    ranked: Lists,
    metrics: dict[str, Tensor],
    numbers: Int,
    users: Sequence[str],
    prefixes: Sequence[str | None],
) -> dict[str, pa.Array]:
    """The columns of S slates by one ranking.

    Args:
        ranking: its name.
        slates: S of them.
        ranked: their lists.
        metrics: (S,) each.
        numbers: (S,) of the slates.
        users: names of all.
        prefixes: (S,) what was typed; None where that is not known.
    """
    place = ranked.choice_place
    return {
        "slate": pa.array(numbers, pa.int64()),
        "user": pa.array([users[user] for user in slates.user.tolist()], pa.string()),
        "ranking": pa.array([ranking] * len(slates), pa.string()),
        "prefix": pa.array(prefixes, pa.string()),
        "pool_size": pa.array(slates.mask.sum(1).numpy(), pa.int32()),
        "reference_size": pa.array(slates.wanted.numpy(), pa.int32()),
        "missed": pa.array(missed(slates).numpy()),
        "place": pa.array(place, pa.float64(), mask=np.isnan(place)),
        "tied": pa.array(ranked.tied, pa.int32()),
        "choice_tied": pa.array(ranked.choice_tied),
        **{name: pa.array(values.numpy(), pa.float64()) for name, values in metrics.items()},
    }
