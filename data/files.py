"""Paths and text as people write them; files that appear whole or not at all, even if the machine stops."""

import codecs
import io
import os
from pathlib import Path

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, and what they say; UTF-32's begins like UTF-16's and is looked for first."""

PARTIAL = ".partial"
"""How names of files end that are being written."""


def expanded(text: str) -> Path:
    """The path that somebody means who writes ``text``: a ~ at its beginning is a home directory.

    Raises:
        ValueError: it is no path, or whose home is meant is unknown.
    """
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is no path.")
    path = os.path.expanduser(text)
    if text.startswith("~") and path == text:
        raise ValueError(f"{text}: there is no such home directory; a name that begins with ~ is ./{text}.")
    return Path(path)


def what_is_wrong(error: BaseException) -> str:
    """An error as a sentence for people; of the system's own, with the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}."
    return str(error)


def read_text(file: Path) -> str:
    """A text file in UTF-8, or in what its byte order mark says, as editors and shells of Windows write it.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is in no such encoding.
    """
    content = file.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not {encoding.upper()}; save it as UTF-8") from error
    return io.StringIO(text.removeprefix("\ufeff"), newline=None).read()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by way of a partial one beside it, which takes its name only once it is on the disk.

    Raises:
        OSError: it cannot be written; what was at ``path`` before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def named(variable: str, value: str) -> Path:
    """The path that a variable of the environment holds.

    Raises:
        ValueError: it begins with the home directory of nobody.
    """
    try:
        return expanded(value)
    except ValueError as error:
        raise ValueError(f"{variable} is {error}") from error


def cache() -> Path:
    """Where what can be made anew is kept: $XDG_CACHE_HOME, which counts only if it is absolute, or ~/.cache.

    Raises:
        ValueError: there is no such place.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    if given and (place := named("XDG_CACHE_HOME", given)).is_absolute():
        return place
    try:
        return expanded("~/.cache")
    except ValueError as error:
        raise ValueError("there is no home directory: set PERSARANK_HOME to a folder.") from error
