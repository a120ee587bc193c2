"""Cells that hold times as instants, by every convention that may be the column's."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.reading.rows import one_line
from data.reading.times import time_numbers
from data.reading.times.formats import expanded
from data.reading.times.shapes import CONVENTIONS, instants, layouts
from data.schema import DataError

LONGEST = 100
"""Characters of a time, at most."""


Rows = NDArray[np.int64]
Read = tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64] | None]
"""What a convention makes of some rows: instants or numbers, whether it fits, billionths of numbers."""


def typed(cells: pa.Array) -> Read:
    """Timestamps of any unit and zone, or dates, as microseconds in UTC."""
    if pa.types.is_date(cells.type):
        days = pa.types.is_date32(cells.type)
        cells = cells.cast(pa.int32()).cast(pa.int64()) if days else cells.cast(pa.int64())
        scale = 86_400_000_000 if days else 1000
    else:
        scale = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0}[cells.type.unit]
        cells = cells.cast(pa.int64())
    values = cells.to_numpy(zero_copy_only=False)
    if not scale:
        return values // 1000, np.ones(len(values), bool), None
    good = (values >= time_numbers.LIMITS[0] // scale) & (values <= time_numbers.LIMITS[1] // scale)
    return np.where(good, values, 0) * scale, good, None


def formatted(cells: pa.Array, time_format: str) -> Read:
    """Texts by a strptime format."""
    time_format = expanded(time_format)
    if "%p" in time_format:
        cells = pc.replace_substring_regex(cells, r"(?i)\b([ap])\.m\.", r"\1m")
    try:
        parsed = pd.to_datetime(
            pd.Series(cells.to_pylist(), dtype=object), format=time_format, utc=True, errors="coerce"
        )
    except (ValueError, TypeError) as error:
        raise DataError(f"the time format {time_format!r} cannot be used: {one_line(error)}.") from error
    good = parsed.notna().to_numpy()
    values = parsed.fillna(pd.Timestamp(0, tz="UTC")).dt.as_unit("us").dt.tz_localize(None)
    return values.to_numpy(dtype="datetime64[us]").astype(np.int64), good, None


def plain_blanks(cells: pa.Array) -> pa.Array:
    """Texts without blanks around them, and with plain ones inside, where browsers put others before PM."""
    if not pc.all(pc.string_is_ascii(cells)).as_py():
        cells = pc.replace_substring_regex(cells, "[\u00a0\u2007\u2009\u202f]", " ")
    return pc.utf8_trim_whitespace(cells)


def written(cell: pa.Scalar) -> str:
    """A cell as text, also a timestamp that Python cannot hold."""
    try:
        return str(cell.as_py())
    except (OverflowError, ValueError):
        return str(cell)


def parse(cells: pa.Array, wanted: set[str]) -> tuple[dict[str, Read], set[str]]:
    """What texts mean by every convention that is wanted, and their shapes."""
    found = set()
    size = len(cells)
    read = {
        name: (np.zeros(size, np.int64), np.zeros(size, bool), None) for name in wanted - {"number", "typed"}
    }
    numbers = np.zeros(size, np.int64), np.zeros(size, bool), np.zeros(size, np.int64)
    for rows, text, shape in shapes(cells):
        found.add(shape)
        for name, layout in layouts(shape).items():
            if name not in wanted:
                continue
            if name == "number":
                (numbers[0][rows], numbers[2][rows]), numbers[1][rows] = time_numbers.parse(text, layout)
            else:
                read[name][0][rows], read[name][1][rows] = instants(text, layout)
    return {**read, **({"number": numbers} if "number" in wanted else {})}, found


def shapes(cells: pa.Array) -> Iterator[tuple[Rows, NDArray[np.uint8], str]]:
    """Texts by shape: their rows, their characters as a matrix, and the shape."""
    _, offsets, characters = cells.buffers()
    ends = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    data = np.frombuffer(characters, np.uint8) if characters else np.zeros(0, np.uint8)
    lengths = np.diff(ends)
    for length in np.unique(lengths).tolist():
        if not 0 < length <= LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(cells):
            text = data[ends[0] : ends[-1]].reshape(-1, length)
        else:
            text = data[ends[rows][:, None] + np.arange(length)]
        plain = np.where((text >= 48) & (text <= 57), np.uint8(48), text)
        plain = np.where((text >= 65) & (text <= 90), text + np.uint8(32), plain)
        if (plain == plain[0]).all():
            yield rows, text, plain[0].tobytes().decode("latin-1")
            continue
        _, kind = np.unique(np.ascontiguousarray(plain).view(f"S{length}").ravel(), return_inverse=True)
        order = np.argsort(kind, kind="stable")
        for place in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
            yield rows[place], text[place], plain[place[0]].tobytes().decode("latin-1")


def shape_of(text: str) -> str:
    """The shape of a single text."""
    return re.sub(r"[0-9]", "0", text.strip().lower())


def fitting(text: str) -> set[str]:
    """The conventions that a single text fits."""
    read, _ = parse(pa.array([text], pa.string()), set(CONVENTIONS))
    return {name for name, (_, good, _) in read.items() if good[0]}
