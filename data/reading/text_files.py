"""Text files as lines: compressed or not, in any encoding, and with the line of what cannot be decoded."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from data.files import MARKS
from data.progress import READING, Tell, silent
from data.reading.rows import one_line
from data.schema import DataError

BLOCK = 1 << 20
LONGEST_LINE = 1 << 25
"""Characters of one line, at most: more is no log, or a file without line breaks."""

COMPRESSED = {".gz": "gzip", ".zst": "Zstandard", ".bz2": "bzip2", ".xz": "xz"}

OTHERS = {
    b"\x1f\x8b": "gzip-compressed: give its name the ending .gz",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed: give its name the ending .zst",
    b"BZh": "bzip2-compressed: give its name the ending .bz2",
    b"\xfd7zXZ\x00": "xz-compressed: give its name the ending .xz",
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or export it as CSV",
    b"PAR1": "Parquet: give its name the ending .parquet",
    b"SQLite format 3": "a database: export the table as CSV",
}
"""How files begin that are not text, and what to do about them."""


def line_blocks(
    file: Path, encoding: str | None, cut_end: bool = False, tell: Tell = silent
) -> Iterator[list[str]]:
    r"""The lines of a text file with their line ends (\n, \r\n or \r), some thousands at a time.

    Args:
        encoding: obeyed if given; otherwise the byte order mark's, and UTF-8 without one.
        cut_end: let the file end in the middle of a character.
        tell: is told how many bytes of the file have been read.

    Raises:
        DataError: a damaged file, or a byte that is not of the encoding; its line is named.
    """
    rest, lines = "", 0
    for text in text_pieces(file, encoding, cut_end, tell):
        text = rest + text
        end = text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{file}, line {lines + 1}: it has more than {LONGEST_LINE} characters.")
        if end:
            block = _lines(text[:end])
            lines += len(block)
            yield block
    if rest:
        yield _lines(rest)


def text_pieces(
    file: Path, encoding: str | None, cut_end: bool = False, tell: Tell = silent
) -> Iterator[str]:
    """The text of a file, piece by piece; the arguments and errors are those of `line_blocks`."""
    blocks = read_blocks(file, tell)
    first = next(blocks, b"")
    _refuse_others(file, first)
    name = encoding or _encoding(file, first)
    decoder = codecs.getincrementaldecoder(name)()
    before = _Before()
    block: bytes | None = first
    while block is not None:
        following = next(blocks, None)
        try:
            text = decoder.decode(block, final=following is None and not cut_end)
        except UnicodeDecodeError as error:
            raise DataError(_undecoded(file, error, name, encoding is not None, before)) from error
        except UnicodeError as error:
            raise DataError(f"{file} cannot be read as {name}: {one_line(error)}.") from error
        yield before.take(text if before.some else text.removeprefix("\ufeff"))
        block = following


class _Before:
    """Counts the lines of the text that has been read."""

    def __init__(self) -> None:
        self.some = False
        self.lines, self.characters, self._return = 1, 0, False

    def take(self, text: str) -> str:
        """Go on behind ``text``, and return it."""
        if text:
            self.some = True
            self.lines += breaks(text) - (self._return and text[0] == "\n")
            end = max(text.rfind("\n"), text.rfind("\r"))
            self.characters = len(text) - end - 1 + (self.characters if end < 0 else 0)
            self._return = text[-1] == "\r"
        return text


def breaks(text: str) -> int:
    r"""How many lines end in a text: \n, \r\n and \r are one end each."""
    returns = text.count("\r")
    return text.count("\n") + (returns - text.count("\r\n") if returns else 0)


def _lines(text: str) -> list[str]:
    return io.StringIO(text, newline="").readlines()


def _undecoded(file: Path, error: UnicodeDecodeError, name: str, given: bool, before: _Before) -> str:
    text = error.object[: error.start].decode(name, errors="replace")
    before.take(text if before.some else text.removeprefix("\ufeff"))
    place = f"{file}, line {before.lines}, character {before.characters + 1}"
    if "unexpected end" in error.reason or "truncated" in error.reason:
        other = f", or not to be {name.upper()}" if given else ""
        return f"{place}: the file ends in the middle of a character; it seems to be cut off{other}."
    what = f"{place}: the byte 0x{error.object[error.start]:02X} is not {name.upper()}"
    if given:
        return f"{what}: give --encoding another name, or leave it out."
    if name == "utf-8":
        return f"{what}; if the file is Latin-1 or Windows-1252, add --encoding windows-1252."
    return f"{what}, as the file's byte order mark says: it is damaged, or --encoding must name another."


def _refuse_others(file: Path, first: bytes) -> None:
    for magic, what in OTHERS.items():
        if first.startswith(magic):
            kind = COMPRESSED.get(file.suffix.lower())
            if kind and "-compressed" in what:
                raise DataError(
                    f"{file} is compressed twice: inside is {what.split(':')[0]} data; unpack it."
                )
            if kind:
                raise DataError(f"{file} is {kind} data, and inside is {what}.")
            raise DataError(f"{file} is {what}.")


def _encoding(file: Path, first: bytes) -> str:
    for mark, name in MARKS.items():
        if first.startswith(mark):
            return name
    if first[:1] == b"\0" or first[1:2] == b"\0":
        order = "be" if first[:1] == b"\0" else "le"
        raise DataError(f"{file} looks like UTF-16 without a byte order mark: add --encoding utf-16-{order}.")
    return "utf-8"


def read_blocks(file: Path, tell: Tell = silent) -> Iterator[bytes]:
    """The bytes of a file, decompressed if its name says that it is compressed.

    ``tell`` is told how many of the bytes on the disk have been read.

    Raises:
        DataError: it cannot be opened, is cut off, or is not what its name says.
    """
    kind = COMPRESSED.get(file.suffix.lower())
    try:
        with file.open("rb") as raw, _decompressed(raw, file.suffix) as stream:
            size = file.stat().st_size
            while block := stream.read(BLOCK):
                tell(READING, min(raw.tell(), size), size)
                yield block
    except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise DataError(f"{file} is cut off or damaged {kind} data ({one_line(error)}).") from error
    except OSError as error:
        if kind is None or error.errno is not None:
            raise DataError(f"{file} cannot be read: {error.strerror or one_line(error)}.") from error
        raise DataError(f"{file} is not {kind} data, or is damaged ({one_line(error)}).") from error


def _decompressed(raw: BinaryIO, suffix: str) -> Any:
    match suffix.lower():
        case ".gz":
            return gzip.open(raw)
        case ".bz2":
            return bz2.open(raw)
        case ".xz":
            return lzma.open(raw)
        case ".zst":
            return pa.CompressedInputStream(raw, "zstd")
    return raw
