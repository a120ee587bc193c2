"""Paths of files that settings name, with the checksum of what they held: ``delays.csv#sha256=0a1b…``.

A run that is resumed, or begun again with the same settings, reads the same bytes or none.
"""

import hashlib
from pathlib import Path

from data.schema import DataError

MARK = "#sha256="


def pin(path: str) -> str:
    """The absolute path with the checksum of the file there; without one where no file can be read.

    What has a checksum already keeps it.
    """
    if MARK in path:
        return path
    place = str(Path(path).absolute())
    try:
        return place + MARK + hashlib.sha256(Path(place).read_bytes()).hexdigest()
    except OSError:  # whoever reads it will say so
        return place


def plain(path: str) -> str:
    """The path without the checksum."""
    return path.partition(MARK)[0]


def read_pinned(path: str, what: str) -> bytes:
    """The content of a file.

    Args:
        path: with or without a checksum.
        what: what the file is, for messages.

    Raises:
        DataError: it cannot be read, or holds something else than when it was pinned.
    """
    place, _, checksum = path.partition(MARK)
    try:
        content = Path(place).read_bytes()
    except OSError as error:
        raise DataError(f"{what} {place} cannot be read: {error.strerror}.") from error
    if checksum and hashlib.sha256(content).hexdigest() != checksum:
        raise DataError(f"{what} {place} has changed since this run's settings were written.")
    return content
