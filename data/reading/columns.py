"""Cells of a log as the text that its file shows, and that text as users, queries and groups are stored."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.reading.rows import Places
from data.schema import DataError

LONGEST_QUERY = 200
"""Characters kept of a query: nobody completes more, and a log may hold anything."""

EXACT = {"double": 2.0**53, "float": 2.0**24, "halffloat": 2.0**11}
"""From these on two whole numbers may be one float, and what it shows may not be what was written."""

_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")  # categories Cc, Cs, Zl, Zp
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_ZERO_WIDTH = re.compile("[\u200b\u2060\ufeff]")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0 ]*"
)
"""A text of these alone is empty; joiners stay inside of texts (emoji, Persian)."""
_UNTIDY = r"[\x00-\x1f\x7f]|^ |  | $"
"""What ASCII text has none of if it is stored as it is."""


def clean(query: str) -> str:
    """A query as it is stored: NFC, control characters and runs of space as one space, bounded length."""
    return tidy(query)[:LONGEST_QUERY].rstrip()


def tidy(text: str) -> str:
    """NFC, with control characters and runs of space as one space; nothing if nobody can see any of it."""
    text = " ".join(_BREAKS.sub(" ", unicodedata.normalize("NFC", _ZERO_WIDTH.sub("", text))).split())
    return "" if _UNSEEN.fullmatch(text) else text


def tidy_name(text: str) -> str:
    """A user or a group as it is stored: tidy, without characters that nobody sees."""
    return tidy(_INVISIBLE.sub("", text))


def as_text(cells: pa.Array, column: str, places: Places) -> pa.Array:
    """Cells of any type as strings, nulls where there is no value.

    Raises:
        DataError: nested values, bytes that are no text, numbers that have lost digits; named by place.
    """
    where = f", column {column!r}: "
    if isinstance(cells, pa.ExtensionArray):
        cells = cells.storage
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if pa.types.is_string(kind):
        return cells
    if pa.types.is_null(kind):
        return pa.nulls(len(cells), pa.string())
    if pa.types.is_nested(kind):
        row = max(pc.index(cells.is_valid(), True).as_py(), 0)
        raise DataError(f"{places.of(row)}{where}one value is needed, not several.")
    if pa.types.is_floating(kind):
        return _floats(cells, column, places)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return _each(cells, bytes.hex)
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _bytes(cells.cast(pa.binary()), where, places)
    if pa.types.is_binary_view(kind):
        return _bytes(cells.cast(pa.binary()), where, places)
    if pa.types.is_timestamp(kind):
        return _trimmed(cells.cast(pa.string()))
    if pa.types.is_decimal(kind):
        return _decimals(cells)
    try:
        return cells.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(f"{places.of(0)}{where}values of the type {kind} cannot be read as text.") from error


def _each(cells: pa.Array, how: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else how(value) for value in cells.to_pylist()], pa.string())


def _decimals(cells: pa.Array) -> pa.Array:
    """Decimals with all digits and no exponent: 0.0000000000 and not 0E-10."""
    texts = cells.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return _each(cells, lambda value: format(value, "f"))


def _trimmed(texts: pa.Array) -> pa.Array:
    """Times without the zeros behind their seconds."""
    return pc.replace_substring_regex(texts, r"\.0+(Z?)$|(\.\d*[1-9])0+(Z?)$", r"\2\1\3")


def exact_floats(cells: pa.Array, column: str, places: Places) -> NDArray[np.float64]:
    """Floating-point cells, 0 where there is none.

    Raises:
        DataError: a whole number so large that it may have lost digits.
    """
    missing = cells.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    values = np.where(missing, 0.0, cells.cast(pa.float64()).to_numpy(zero_copy_only=False))
    lost = np.isfinite(values) & (np.abs(values) >= EXACT[str(cells.type)])
    if lost.any():
        row = int(lost.argmax())
        raise DataError(
            f"{places.of(row)}, column {column!r}: {values[row]:.0f} is too large for a floating-point "
            "number to keep all of its digits; write the column as integers or text."
        )
    return values


def _floats(cells: pa.Array, column: str, places: Places) -> pa.Array:
    values = exact_floats(cells, column, places)
    missing = cells.is_null(nan_is_null=True)
    whole = np.isfinite(values) & (values == np.floor(values))
    texts = pa.array(np.where(whole, values, 0).astype(np.int64)).cast(pa.string())
    if not whole.all():
        narrow = np.float32 if cells.type != pa.float64() else np.float64
        shown = [None if w else str(narrow(v)) for w, v in zip(whole.tolist(), values.tolist(), strict=True)]
        texts = pc.coalesce(pa.array(shown, pa.string()), texts)
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _bytes(cells: pa.Array, where: str, places: Places) -> pa.Array:
    """Bytes that are UTF-8; a UUID, which is none, is known by its type only: any 16 bytes may be text."""
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid as error:
        row = next(
            i for i, value in enumerate(cells.to_pylist()) if value is not None and not _is_text(value)
        )
        raise DataError(
            f"{places.of(row)}{where}its bytes are not UTF-8 text: write the column as text, or as UUIDs "
            "(fixed_size_binary of 16) if it holds them."
        ) from error


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Coded:
    """Some cells as they are stored: numbers in ``texts`` (-1 for none), and which texts had to be cut."""

    numbers: NDArray[np.int32]
    texts: pa.Array
    cut: NDArray[np.bool_]

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Which rows hold nothing."""
        return self.numbers < 0

    def cut_rows(self, rows: NDArray[np.bool_]) -> int:
        """How many of these rows hold a text that was cut."""
        return int(self.cut[self.numbers[rows]].sum()) if self.cut.any() else 0


def code(cells: pa.Array, store: Callable[[str], str], longest: int | None = None) -> Coded:
    """Cells as they are stored.

    Args:
        cells: strings.
        store: what is stored of a text; it must leave alone what is tidy and ASCII.
        longest: characters that are kept.
    """
    coded = cells.dictionary_encode()
    texts = coded.dictionary
    plain = pc.and_(pc.string_is_ascii(texts), pc.invert(pc.match_substring_regex(texts, _UNTIDY)))
    if longest is not None:
        plain = pc.and_(plain, pc.less_equal(pc.binary_length(texts), longest))
    odd = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    cut = np.zeros(len(texts), bool)
    if len(odd):
        stored = texts.to_pylist()
        for at in odd.tolist():
            stored[at] = store(stored[at])
            if longest is not None and len(stored[at]) > longest:
                cut[at], stored[at] = True, stored[at][:longest].rstrip()
        texts = pa.array(stored, pa.string())
    numbers = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    blank = np.append(pc.equal(texts, "").to_numpy(zero_copy_only=False), True)
    return Coded(np.where(blank[numbers], -1, numbers).astype(np.int32), texts, cut)


class Texts:
    """A column of texts, kept as numbers of distinct ones; grows chunk by chunk."""

    def __init__(self) -> None:
        self._numbers: list[NDArray[np.int32]] = []
        self._texts: list[pa.Array] = []
        self._size = 0

    def add(self, coded: Coded, rows: NDArray[np.bool_]) -> None:
        """Keep the marked rows."""
        numbers = coded.numbers[rows]
        self._numbers.append(np.where(numbers < 0, -1, numbers + self._size).astype(np.int32))
        self._texts.append(coded.texts.cast(pa.large_string()))
        self._size += len(coded.texts)

    def finish(self) -> tuple[NDArray[np.int32], list[str]]:
        """(rows,) numbers, -1 for none, and the distinct texts that occur, sorted; leaves nothing here."""
        if not self._texts:
            return np.zeros(0, np.int32), []
        coded = pa.concat_arrays(self._texts).dictionary_encode()
        self._texts = []
        numbers = np.concatenate(self._numbers)
        self._numbers = []
        numbers = np.append(coded.indices.to_numpy(zero_copy_only=False), np.int32(-1))[numbers]
        occurs = np.zeros(len(coded.dictionary) + 1, bool)
        occurs[numbers] = True
        order = pc.sort_indices(coded.dictionary).to_numpy(zero_copy_only=False)
        order = order[occurs[order]]
        rank = np.full(len(occurs), -1, np.int32)
        rank[order] = np.arange(len(order))
        return rank[numbers], coded.dictionary.take(pa.array(order)).to_pylist()
