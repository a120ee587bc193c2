"""Tables as bytes: what was put in comes out, and of other bytes a sentence."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.packing import packed, unpacked
from data.schema import schema_of

SCHEMA = schema_of(small=pa.int8(), text=pa.string(), large=pa.uint64())
TEXT = st.text(st.characters(codec="utf-8"), max_size=9)
ROW = st.tuples(st.integers(-128, 127), TEXT, st.integers(0, 2**64 - 1))


def table(rows: list[tuple[int, str, int]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[], [], []]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


@given(st.lists(ROW, max_size=9))
def test_what_was_put_in_comes_out(rows: list[tuple[int, str, int]]) -> None:
    before = table(rows)
    sent = packed(before)
    assert unpacked(sent, SCHEMA, len(rows)).equals(before)
    assert len(sent) == 8 + sum(1 + 4 + len(text.encode()) + 8 for _, text, _ in rows)
    assert packed(pa.concat_tables([before.slice(0, 2), before.slice(2)])) == sent


@given(st.lists(ROW, min_size=1, max_size=4), st.data())
def test_other_bytes(rows: list[tuple[int, str, int]], data: st.DataObject) -> None:
    """They are a table or none, and nothing worse happens."""
    sent = bytearray(packed(table(rows)))
    for _ in range(data.draw(st.integers(1, 3))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpacked(bytes(sent), SCHEMA, 100)
    except ValueError:
        return
    assert packed(found) == sent


def test_bytes_of_no_table() -> None:
    sent = packed(table([(1, "é", 2), (3, "", 4)]))
    for wrong, told in (
        (sent[:-1], "end too early"),
        (b"", "end too early"),
        (sent[:12], "end too early"),
        (sent + b"x", "go on after its end"),
        (np.array([2**60], "<u8").tobytes() + sent[8:], "rows are more than 2"),
        (sent.replace("é".encode(), b"\xff\xff"), "is not UTF-8"),
        (sent.replace("é".encode(), "é".encode()[::-1]), "is not UTF-8"),
    ):
        with pytest.raises(ValueError, match=told):
            unpacked(wrong, SCHEMA, 2)
    with pytest.raises(ValueError, match="2 rows are more than 1"):
        unpacked(sent, SCHEMA, 1)
