"""A dataset with other queries: more of them, or fewer, always by text."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.arrays import Int
from data.schema import SCHEMAS, Dataset, column, ragged


def with_queries(dataset: Dataset, texts: Collection[str]) -> Dataset:
    """A dataset whose queries are these, sorted; events and slates keep theirs under other numbers.

    Args:
        dataset: what is renumbered; its truth stays as it is.
        texts: distinct. All that events and slates name are among them; of others nothing is known.
    """
    old = dataset.queries.column("text").combine_chunks()
    new = pa.array(sorted(texts), pa.string())
    if new.equals(old):
        return dataset
    before = pc.index_in(new, value_set=old)
    number = pc.index_in(old, value_set=new).fill_null(-1).to_numpy().astype(np.int64)
    outside = dataset.queries.column("public_count").take(before).fill_null(0)
    columns = [np.arange(len(new)), new, dataset.queries.column("topic").take(before), outside]
    queries = pa.table(
        [_of_type(c, f.type) for c, f in zip(columns, SCHEMAS["queries"], strict=True)],
        schema=SCHEMAS["queries"],
    )
    events = with_columns(dataset.events, "events", query_id=number[column(dataset.events, "query_id")])
    slates = dataset.slates
    lists = {name: _lists(slates, name, number) for name in ("pool", "reference")}
    return Dataset(
        dataset.users,
        queries,
        events,
        with_columns(slates, "slates", **lists),
        dataset.manifest,
        dataset.truth,
        dataset.public,
    )


def _lists(slates: pa.Table, name: str, number: Int) -> pa.Array:
    offsets, values = ragged(slates, name)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), number[values].astype(np.int32))


def with_columns(table: pa.Table, which: str, **columns: Int | pa.Array) -> pa.Table:
    """A table of `schema.SCHEMAS` with other values in some columns."""
    for name, values in columns.items():
        field = SCHEMAS[which].field(name)
        table = table.set_column(table.schema.get_field_index(name), field, _of_type(values, field.type))
    return table


def _of_type(values: Int | pa.Array | pa.ChunkedArray, wanted: pa.DataType) -> pa.Array:
    known = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return known.cast(wanted)
