"""Lines of text from columns, many at once."""

from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc


def text(values: Any, kind: pa.DataType | None = None) -> pa.Array:
    """Values as strings; numbers are as short as they can be without becoming others."""
    return pc.cast(pa.array(values, kind), pa.string())


def write_lines(file: IO[str], *columns: Any) -> None:
    """Write lines of words: columns are arrays of strings (R,), or one word that stands in all lines."""
    lines = pc.binary_join_element_wise(*columns, " ")
    if len(lines):
        file.write("\n".join(lines.to_pylist()) + "\n")
