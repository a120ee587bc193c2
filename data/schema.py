"""The one data format: four Parquet tables with explicit Arrow schemas, and a manifest.

A dataset is a directory::

    manifest.json     how it was made; rows and SHA-256 of every table
    users.parquet     one row per user
    queries.parquet   every distinct query, with its topic and public count where known
    events.parquet    one row per submitted query, by user and then time
    slates.parquet    one row per ranking moment: prefix, pool and reference
    public.parquet    public counts, where they were released with noise: nothing else knows of everyone's
    truth/            simulated data only, read by nothing but the oracle: the users' true weights
                      and the true utility of every candidate

In memory the tables are Arrow tables too; ids are row numbers (``user_id`` 7 is row 7 of users).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")


class DataError(Exception):
    """The data is not what it must be; the message is one sentence for the person who brought it."""


def schema_of(**columns: pa.DataType) -> pa.Schema:
    """Every column is required to hold values, unless its name is marked with a trailing underscore."""
    return pa.schema([pa.field(n.rstrip("_"), t, nullable=n.endswith("_")) for n, t in columns.items()])


SCHEMAS: dict[str, pa.Schema] = {
    "users": schema_of(user_id=pa.int32(), name=pa.string()),
    "queries": schema_of(query_id=pa.int32(), text=pa.string(), topic_=pa.string(), public_count=pa.int64()),
    "events": schema_of(
        event_id=pa.int64(),
        user_id=pa.int32(),
        timestamp=pa.timestamp("us", tz="UTC"),
        query_id=pa.int32(),
        session_id=pa.int32(),
        group_=pa.string(),
        split=pa.string(),
    ),
    "slates": schema_of(
        slate_id=pa.int64(),
        event_id=pa.int64(),
        prefix=pa.string(),
        pool=pa.list_(pa.int32()),
        reference=pa.list_(pa.int32()),
    ),
}
TRUTH_SCHEMAS: dict[str, pa.Schema] = {
    "weights": schema_of(user_id=pa.int32(), cluster=pa.int32(), weights=pa.list_(pa.float64())),
    "utilities": schema_of(slate_id=pa.int64(), utility=pa.list_(pa.float64())),
}
PUBLIC_SCHEMA = schema_of(
    kind=pa.int8(), first=pa.string(), second=pa.string(), count=pa.int64(), tellers=pa.int64()
)
"""Things that users tell of together; see `ranking.public_tables.PublicTables`."""


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory. ``truth`` is empty for imported logs and stays on disk until asked for.

    ``public`` are public counts that were released with noise, see `privacy.Release`; None: there are none.
    """

    users: pa.Table
    queries: pa.Table
    events: pa.Table
    slates: pa.Table
    manifest: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, pa.Table] = field(default_factory=dict)
    public: pa.Table | None = None

    @property
    def fingerprint(self) -> str:
        """Equal for equal tables; names the data that a run was trained on."""
        return str(self.manifest.get("fingerprint", ""))


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column without nulls as a numpy array; timestamps as whole microseconds."""
    values = table.column(name).combine_chunks()
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def in_split(events: pa.Table, split: str) -> NDArray[np.bool_]:
    """(E,) which events are in a split."""
    array: NDArray[np.bool_] = pc.equal(events.column("split"), split).to_numpy()
    return array


def ragged(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """A list column as (offsets of length rows+1, values): row r is ``values[offsets[r]:offsets[r+1]]``."""
    values = table.column(name).combine_chunks()
    offsets = np.asarray(values.offsets, dtype=np.int64)
    return offsets - offsets[0], values.flatten().to_numpy(zero_copy_only=False)
