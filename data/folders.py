"""Folders that a command fills: held by one process, and after a failure as they were before.

A lock file is taken in the folder before anything else is written there. The lock ends with its process,
however that ends, and counts only while its file is the one at that place: who locked a file that its holder
has just removed tries again.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from data.files import PARTIAL

LOCK = ".persarank.lock"
PATIENCE, PAUSE = 0.5, 0.02
"""Seconds that a lock is waited for, as others look at it for a moment, and between two tries."""


class FolderError(Exception):
    """A folder that cannot be filled; the message says why, and is no sentence yet: what to do comes next."""


class BusyError(FolderError):
    """Another process works in the folder."""


class TakenError(FolderError):
    """Something is there already."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, one that exists, for oneself.

    Raises:
        BusyError: another process holds it.
        OSError: it is not there, or nothing can be written in it.
    """
    lock = _locked(folder)
    try:
        yield
    finally:
        _release(lock, folder)


@contextmanager
def filling(folder: Path, anew: bool = True) -> Iterator[None]:
    """Make a folder, and those it lies in, and hold it; after a failure those left empty are removed.

    Args:
        folder: what may be there already: a folder, or a link to one.
        anew: whether it must be free, in the sense of `require_free`.

    Raises:
        BusyError: another process holds it.
        TakenError: it is not free.
        FolderError: it is no folder.
        OSError: it cannot be made, or nothing can be written in it.
    """
    if anew:
        require_free(folder)  # what is there is not even touched
    made: list[Path] = []
    try:
        lock = _made_and_locked(folder, made)
        try:
            if anew:
                require_free(folder)
            yield
        finally:
            _release(lock, folder)
    except BaseException:
        _remove_empty(reversed(made))
        raise


def require_free(folder: Path) -> None:
    """Refuse a folder in which something could be lost; hidden files do not count.

    Raises:
        BusyError: another process is filling it.
        TakenError: something is there already.
    """
    if not _is_free(folder) and (folder / LOCK).exists():
        with suppress(OSError), held(folder):  # else its process has been killed, or has ended meanwhile
            pass
    if not _is_free(folder):
        raise TakenError(f"{folder} exists and is not an empty directory")


def require_fillable(folder: Path) -> None:
    """Raise what `filling` would raise of a folder that must be free, as far as can be seen from outside."""
    require_free(folder)
    made = folder
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        made = place
    if not place.is_dir():
        raise FolderError(_in_the_way(place))
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(made))


def _in_the_way(place: Path) -> str:
    return f"{place} is a link to nothing" if place.is_symlink() else f"{place} is not a directory"


def _is_free(folder: Path) -> bool:
    try:
        return all(_negligible(path.name) for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return not folder.exists()


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove files by patterns of their paths in ``folder``, and the folders in it that are then empty."""
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            with suppress(OSError):
                path.unlink()
            _remove_empty(folder / part for part in path.relative_to(folder).parents if part.name)


def _negligible(name: str) -> bool:
    """Names of files that say nothing about whether a folder is in use."""
    return name.startswith(".") or name == "lost+found" or name.endswith(PARTIAL)


def _made_and_locked(folder: Path, made: list[Path]) -> BufferedWriter:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _make(folder, made)
            return _locked(folder)
        except FileNotFoundError:  # whoever made it has just failed and removed it, or it cannot be made
            if time.monotonic() >= until:
                raise


def _make(folder: Path, made: list[Path]) -> None:
    """Make what is missing of a path, and add it to ``made``."""
    for place in (*reversed(folder.parents), folder):
        if place.is_dir():
            continue
        try:
            place.mkdir()
            made.append(place)
        except FileExistsError as error:
            if place.is_dir():  # by now
                continue
            raise FolderError(_in_the_way(place)) from error


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, until one is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _locked(folder: Path) -> BufferedWriter:
    """The folder's lock file, open and locked."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            lock = (folder / LOCK).open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                lock.close()
                raise
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise BusyError(f"{folder} is in use by another process") from error
            time.sleep(PAUSE)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        else:
            if _is_at(lock, folder):
                return lock
            lock.close()


def _release(lock: BufferedWriter, folder: Path) -> None:
    with lock, suppress(OSError):
        if _is_at(lock, folder):
            (folder / LOCK).unlink()


def _is_at(lock: BufferedWriter, folder: Path) -> bool:
    """Whether this open lock file is the one in the folder."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / LOCK))
    except FileNotFoundError:
        return False
