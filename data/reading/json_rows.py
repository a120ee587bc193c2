"""JSON logs: one object a line, or one array of objects; numbers keep every digit that the file shows."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.progress import Tell, silent
from data.reading.rows import CHUNK, Chunk, Places, Reading, missing_columns, quoted
from data.reading.text_files import line_blocks, text_pieces
from data.schema import DataError

LONGEST_OBJECT = 1 << 24
"""Characters of one object of an array, at most."""

CUT = "cut last line"
LOOKED_AT = 1000
"""Objects among whose keys the columns are."""


def _decimal(text: str) -> str:
    """A number as the file shows it, without the .0 of a whole one."""
    return re.sub(r"\.0+$", "", text)


def _constant(text: str) -> str | None:
    return None if text == "NaN" else text


DECODER = json.JSONDecoder(parse_float=_decimal, parse_int=str, parse_constant=_constant)


def read_json(
    file: Path, columns: Sequence[str], reading: Reading, left_out: dict[str, int], tell: Tell = silent
) -> Iterator[Chunk]:
    """The wanted keys as text; a last line that is cut off is counted in ``left_out``.

    Raises:
        DataError: not JSON, not objects, nested values, or a key that no row has; the place is named.
    """
    rows = _Rows(file, columns)
    objects, unit = _read(file, reading, left_out, tell)
    yield from rows.chunks(objects, unit)
    rows.check_seen()


def first_json(file: Path, reading: Reading, rows: int) -> tuple[list[str], list[list[str]]]:
    """The keys that the first objects of a log have, and the values of some of them as text.

    Raises:
        DataError: it is empty, or is not JSON; the place is named.
    """
    objects = [value for _, value in islice(_read(file, reading, {}, silent)[0], LOOKED_AT)]
    if not objects:
        raise DataError(f"{file} is empty: it has no rows.")
    keys = list(dict.fromkeys(key for value in objects for key in value))
    return keys, [[_shown(value.get(key)) for key in keys] for value in objects[:rows]]


def _shown(value: Any) -> str:
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _read(
    file: Path, reading: Reading, left_out: dict[str, int], tell: Tell
) -> tuple[Iterator[tuple[int, dict[str, Any]]], str]:
    """The objects of a file with their places, and the unit of these: lines, or rows of an array."""
    begun = (piece.lstrip() for piece in text_pieces(file, reading.encoding, cut_end=True))
    begins = next((piece for piece in begun if piece), "")
    if not begins:
        raise DataError(f"{file} is empty.")
    if begins[0] == "[":
        return _array(file, text_pieces(file, reading.encoding, cut_end=True, tell=tell)), "row"
    blocks = line_blocks(file, reading.encoding, cut_end=True, tell=tell)
    return _objects(file, blocks, left_out), "line"


class _Rows:
    """Turns objects into chunks of columns."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self.file, self.columns = file, list(dict.fromkeys(columns))
        self.unseen = set(columns)
        self.keys: dict[str, None] = {}
        self.some = False

    def chunks(self, objects: Iterable[tuple[int, dict[str, Any]]], unit: str) -> Iterator[Chunk]:
        numbers: list[int] = []
        rows: list[dict[str, Any]] = []
        for number, value in objects:
            numbers.append(number)
            rows.append(value)
            if len(rows) == CHUNK:
                yield self._chunk(numbers, rows, unit)
                numbers, rows = [], []
        if rows:
            yield self._chunk(numbers, rows, unit)

    def _chunk(self, numbers: list[int], rows: list[dict[str, Any]], unit: str) -> Chunk:
        self.some = True
        if self.unseen:
            for row in rows[:LOOKED_AT]:
                self.keys |= dict.fromkeys(row)
            self.unseen -= set().union(*rows) & self.unseen
        whole = numbers[-1] - numbers[0] + 1 == len(numbers)
        places = range(numbers[0], numbers[-1] + 1) if whole else np.array(numbers, np.int64)
        where = Places(str(self.file), unit, places)
        return Chunk({name: self._column(name, rows, where) for name in self.columns}, where)

    def _column(self, name: str, rows: list[dict[str, Any]], places: Places) -> pa.Array:
        values: list[Any] = [row.get(name) for row in rows]
        kinds = set(map(type, values))
        if kinds & {list, dict}:
            at = next(i for i, value in enumerate(values) if isinstance(value, list | dict))
            raise DataError(f"{places.of(at)}, column {name!r}: one value is needed, not several.")
        if bool in kinds:
            values = [str(value).lower() if isinstance(value, bool) else value for value in values]
        try:
            return pa.array(values, pa.string())
        except UnicodeEncodeError:  # halves of surrogate pairs, which are no text
            return pa.array([v and re.sub("[\ud800-\udfff]", " ", v) for v in values], pa.string())

    def check_seen(self) -> None:
        """Refuse a log without rows, or with a wanted key that no row has."""
        if not self.some:
            raise DataError(f"{self.file} is empty: it has no rows.")
        if self.unseen:
            missing = [name for name in self.columns if name in self.unseen]
            raise DataError(missing_columns(self.file, missing, list(self.keys)))


def _objects(
    file: Path, blocks: Iterable[list[str]], left_out: dict[str, int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file that has one on every line, with their lines."""
    for number, line in enumerate(chain.from_iterable(blocks), 1):
        try:
            value = DECODER.decode(line)
        except (json.JSONDecodeError, RecursionError) as error:
            if not line.strip():
                continue
            if number > 1 and _is_cut(line, error):
                left_out[CUT] = 1
                return
            raise DataError(_not_json(file, number, line, error)) from error
        if not isinstance(value, dict):
            raise DataError(
                f"{file}, line {number}: {quoted(line.strip())} is not an object: every line must be "
                'one, like {"user": "u1", "time": 1705000000, "query": "git status"}.'
            )
        yield number, value


_BEGUN = re.compile(
    r"|-?I?(?:I|In|Inf|Infi|Infin|Infini|Infinit)|-|t|tr|tru|f|fa|fal|fals|n|nu|nul|N|Na|[.eE][+-]?"
)
"""What stands behind the place of an error if a value of which that is the beginning is cut off."""


def _is_cut(line: str, error: Exception) -> bool:
    """A last line that is right as far as it goes: nothing is wrong before its end."""
    if line.endswith(("\n", "\r")) or not isinstance(error, json.JSONDecodeError):
        return False
    if not line.lstrip().startswith("{") or error.msg.startswith("Extra data"):
        return False
    rest = line[error.pos :].rstrip()
    if error.msg.startswith("Invalid \\uXXXX"):
        return re.fullmatch(r"[\\u]*[0-9a-fA-F]{0,3}", rest) is not None
    return error.msg.startswith("Unterminated string") or _BEGUN.fullmatch(rest) is not None


def _not_json(file: Path, number: int, line: str, error: Exception) -> str:
    start = f"{file}, line {number}"
    if isinstance(error, json.JSONDecodeError):
        start += f", character {error.pos + 1}"
        what = _wrong(error)
    else:
        what = "it is nested too deeply"
    how = "every line must be one whole object"
    if line.strip() in ("{", "["):
        how = "an object must stand on one line, or the file must be one array of objects"
    return f"{start}: it cannot be read as jsonl ({what}): {how}."


def _wrong(error: json.JSONDecodeError) -> str:
    """What the parser says, without the word that its place follows."""
    return error.msg[0].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")


SPACE = re.compile(r"\s*")


def _behind_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    assert found is not None, "it matches nothing as well"
    return found.end()


def _array(file: Path, pieces: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file that is one array of them, counted from 1; read piece by piece."""
    text = next(piece for piece in pieces if piece.strip())
    at, row = text.index("[") + 1, 0
    while True:
        at = _behind_space(text, at)
        try:
            if text[at : at + 1] == "]" and row == 0:
                break
            value, end = DECODER.raw_decode(text, at)
            end = _behind_space(text, end)
            if text[end : end + 1] not in (",", "]"):
                raise json.JSONDecodeError("expecting ',' or ']'", text, end)
        except (json.JSONDecodeError, RecursionError) as error:
            more = next(pieces, None) if len(text) - at < LONGEST_OBJECT else None
            if more is None:
                raise DataError(_bad_array(file, row + 1, error, at >= len(text))) from error
            text, at = text[at:] + more, 0
            continue
        row += 1
        if not isinstance(value, dict):
            raise DataError(f"{file}, row {row}: {quoted(str(value))} is not an object.")
        yield row, value
        if text[end] == "]":
            at = end
            break
        at = end + 1
    after = text[at + 1 :] + "".join(pieces)
    if after.strip():
        raise DataError(f"{file}: text follows the end of the array: {quoted(after.strip())!r}.")


def _bad_array(file: Path, row: int, error: Exception, ended: bool) -> str:
    what = _wrong(error) if isinstance(error, json.JSONDecodeError) else "too deep"
    cut = isinstance(error, json.JSONDecodeError) and (
        error.pos >= len(error.doc.rstrip()) or what.startswith("unterminated string")
    )
    if ended or cut:
        what = "the file ends inside the array; it seems to be cut off"
    return f"{file}, row {row}: it cannot be read as json ({what})."
