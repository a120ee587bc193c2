"""Text files as lines: compressed or not, in any encoding, and with the line of what cannot be decoded."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.rows import one_line
from data.schema import DataError

BLOCK = 1 << 20
LONGEST_LINE = 1 << 25
"""Characters of one line, at most: more is no log, or a file without line breaks."""

COMPRESSED = {".gz": "gzip", ".zst": "Zstandard", ".bz2": "bzip2", ".xz": "xz"}

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, and what they say; UTF-32's begins like UTF-16's and is looked for first."""

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


def line_blocks(file: Path, encoding: str | None, cut_end: bool = False) -> Iterator[list[str]]:
    r"""The lines of a text file with their line ends (\n, \r\n or \r), some thousands at a time.

    Args:
        encoding: obeyed if given; otherwise the byte order mark's, and UTF-8 without one.
        cut_end: let the file end in the middle of a character.

    Raises:
        DataError: a damaged file, or a byte that is not of the encoding; its line is named.
    """
    rest, lines = "", 0
    for text in _texts(file, encoding, cut_end):
        if isinstance(text, _Undecoded):
            raise DataError(text.sentence(file, lines, rest))
        text = rest + text
        end = text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{file}, line {lines + 1}: it has more than {LONGEST_LINE} characters.")
        if end:
            block = io.StringIO(text[:end], newline="").readlines()
            lines += len(block)
            yield block
    if rest:
        yield io.StringIO(rest, newline="").readlines()


class _Undecoded:
    """The text before a byte that cannot be decoded, and the trouble with it."""

    def __init__(self, error: UnicodeDecodeError, encoding: str, given: bool) -> None:
        before = error.object[: error.start]
        self.before = before.decode(encoding, errors="replace").removeprefix("\ufeff")
        self.byte = error.object[error.start]
        self.cut = "unexpected end" in error.reason or "truncated" in error.reason
        self.encoding, self.given = encoding.upper(), given

    def sentence(self, file: Path, lines: int, rest: str) -> str:
        block = io.StringIO(rest + self.before, newline="").readlines()
        ended = not block or block[-1].endswith(("\n", "\r"))
        line = lines + len(block) + ended
        place = f"{file}, line {line}, character {1 if ended else len(block[-1]) + 1}"
        if self.cut:
            return f"{place}: the file ends in the middle of a character; it seems to be cut off."
        what = f"{place}: the byte 0x{self.byte:02X} is not {self.encoding}"
        if self.given:
            return f"{what}: give --encoding another name, or leave it out."
        if self.encoding == "UTF-8":
            return f"{what}; if the file is Latin-1 or Windows-1252, add --encoding windows-1252."
        return f"{what}, as the file's byte order mark says: it is damaged, or --encoding must name another."


def _texts(file: Path, encoding: str | None, cut_end: bool) -> "Iterator[str | _Undecoded]":
    blocks = read_blocks(file)
    first = next(blocks, b"")
    name = encoding or _encoding(file, first)
    decoder = codecs.getincrementaldecoder(name)()
    block: bytes | None = first
    begun = False
    while block is not None:
        following = next(blocks, None)
        try:
            text = decoder.decode(block, final=following is None and not cut_end)
        except UnicodeDecodeError as error:
            yield _Undecoded(error, name, encoding is not None)
            return
        yield text if begun else text.removeprefix("\ufeff")
        begun = begun or bool(text)
        block = following


def _encoding(file: Path, first: bytes) -> str:
    for magic, what in OTHERS.items():
        if first.startswith(magic):
            raise DataError(f"{file} is {what}.")
    for mark, name in MARKS.items():
        if first.startswith(mark):
            return name
    if first[:1] == b"\0" or first[1:2] == b"\0":
        order = "be" if first[:1] == b"\0" else "le"
        raise DataError(f"{file} looks like UTF-16 without a byte order mark: add --encoding utf-16-{order}.")
    return "utf-8"


def read_blocks(file: Path) -> Iterator[bytes]:
    """The bytes of a file, decompressed if its name says that it is compressed.

    Raises:
        DataError: it cannot be opened, is cut off, or is not what its name says.
    """
    kind = COMPRESSED.get(file.suffix.lower())
    try:
        with _open(file) as stream:
            while block := stream.read(BLOCK):
                yield block
    except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise DataError(f"{file} is cut off or damaged {kind} data ({one_line(error)}).") from error
    except OSError as error:
        if kind is None or error.errno is not None:
            raise DataError(f"{file} cannot be read: {error.strerror or one_line(error)}.") from error
        raise DataError(f"{file} is not {kind} data, or is damaged ({one_line(error)}).") from error


def _open(file: Path) -> Any:
    match file.suffix.lower():
        case ".gz":
            return gzip.open(file)
        case ".bz2":
            return bz2.open(file)
        case ".xz":
            return lzma.open(file)
        case ".zst":
            return pa.CompressedInputStream(pa.OSFile(str(file)), "zstd")
    return file.open("rb")
