"""Tables of numbers and texts as bytes that somebody else may have made.

Arrow's own streams are no good for that: whoever sends one may compress it, so that few bytes fill any
memory. Here a table takes about as much memory as there are bytes, and equal tables have equal bytes.

First comes the number of rows (8 bytes), and then each column: numbers as they are, little-endian; of texts
first how many bytes each has (4 bytes), then all of these in UTF-8.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS, LENGTH = np.dtype("<u8"), np.dtype("<u4")


def packed(table: pa.Table) -> bytes:
    """A table of texts and numbers, without empty values, as bytes."""
    sent = [np.array([table.num_rows], ROWS).tobytes()]
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_string(field.type):
            texts = [text.encode() for text in column.to_pylist()]
            sent += [np.array([len(text) for text in texts], LENGTH).tobytes(), *texts]
        else:
            sent.append(column.to_numpy().astype(_number(field.type)).tobytes())
    return b"".join(sent)


def unpacked(sent: bytes, schema: pa.Schema, rows: int) -> pa.Table:
    """The table that `packed` was given.

    Args:
        sent: its bytes.
        schema: its columns.
        rows: more than so many are not read.

    Raises:
        ValueError: the bytes are not those of such a table; a sentence.
    """
    reader = _Reader(sent)
    size = int(reader.take(ROWS, 1)[0])
    if size > rows:
        raise ValueError(f"{size} rows are more than {rows}.")
    columns = [
        reader.texts(size) if pa.types.is_string(f.type) else pa.array(reader.take(_number(f.type), size))
        for f in schema
    ]
    reader.require_end()
    return pa.table(columns, schema=schema)


class _Reader:
    """Takes one column after the other."""

    def __init__(self, sent: bytes) -> None:
        self._sent, self._at = sent, 0

    def take(self, kind: np.dtype[Any], size: int) -> NDArray[Any]:
        """The next numbers (size,)."""
        end = self._at + size * kind.itemsize
        if end > len(self._sent):
            raise ValueError("the bytes of a table end too early.")
        taken = np.frombuffer(self._sent, kind, size, self._at).copy()  # Arrow wants numbers aligned
        self._at = end
        return taken

    def texts(self, size: int) -> pa.Array:
        """The next texts (size,)."""
        ends = np.cumsum(self.take(LENGTH, size), dtype=np.int64)
        total = int(ends[-1]) if size else 0
        letters = self.take(np.dtype("u1"), total)
        if total >= 2**31:
            raise ValueError("the texts of a table are too long.")
        offsets = np.append(0, ends).astype(np.int32)
        texts = pa.StringArray.from_buffers(size, pa.py_buffer(offsets), pa.py_buffer(letters))
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError("a text of a table is not UTF-8.") from error
        return texts

    def require_end(self) -> None:
        """Raise ValueError if bytes are left."""
        if self._at != len(self._sent):
            raise ValueError("the bytes of a table go on after its end.")


def _number(kind: pa.DataType) -> np.dtype[Any]:
    number: np.dtype[Any] = np.dtype(kind.to_pandas_dtype()).newbyteorder("<")
    return number
