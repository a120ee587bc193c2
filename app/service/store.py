"""What users do while a service runs: on disk before it is acknowledged, and gone when a user is deleted.

::

    users/ab/abcd….jsonl   what one user has done, a line for each: appended, synced, never changed
    .persarank.lock        while a service works here

Names of users are in no file and in no file's name: that is a hash of the name, salted per store. Lines end
with a checksum. What a killed process has left of a line that it did not finish was never acknowledged: it
is cut off before the next line is written.
"""

import errno
import hashlib
import json
import os
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from data.files import write_bytes
from data.folders import BusyError, FolderError, filling

USERS, SALT = "users", "salt"
SALT_BYTES = 16

MOST_SEEN = 1_000
"""Files whose ends and keys stay in memory, so that they are not read again for every further line."""

OBSERVED, ADAPTED, DELETED = "observed", "adapted", "deleted"
"""What entries tell: a search; that a model was made of all until then; that what there was is gone."""


class StoreError(Exception):
    """A store that cannot be opened, or a file in it that is not as it was written."""


class Entry(NamedTuple):
    """Something that a user has done.

    Attributes:
        what: OBSERVED, ADAPTED or DELETED.
        text: of a query, cleaned; of an adaptation, how far it goes, "" for as far as the run's models do.
        typed: the prefix that had been typed; of an adaptation, for which of several runs it is, "" for all.
        key: by which whoever sends it knows it: the same key twice is one entry; "" for none.
    """

    what: str
    text: str
    typed: str = ""
    key: str = ""


@dataclass(frozen=True)
class _Seen:
    """Where a file's whole lines end, which keys they have, and what the file was like then."""

    end: int
    keys: set[str]
    like: tuple[int, ...] | None


class Store:
    """A folder of what users do; one process at a time holds it, see `opened`.

    Threads may share it; those who change what is kept of the same user must come one after the other.
    """

    def __init__(self, folder: Path, salt: bytes) -> None:
        self._folder, self._salt = folder, salt
        self._seen = OrderedDict[Path, _Seen]()
        self._lock = Lock()

    def entries(self, user: str) -> list[Entry]:
        """All that a user has done and that was acknowledged, in its order.

        Raises:
            StoreError: the user's file is damaged.
        """
        file = self._file(user)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return []
        return [entry for entry, _ in _whole(file, content)]

    def has(self, user: str, key: str) -> bool:
        """Whether an entry with this key is kept of a user.

        Raises:
            StoreError: the user's file is damaged.
        """
        return key in self._look(self._file(user)).keys

    def append(self, user: str, entry: Entry) -> None:
        """Write an entry; it is on disk, whatever happens, once this returns.

        Raises:
            StoreError: the user's file is damaged.
            OSError: it cannot be written; then nothing of it is there later.
        """
        file = self._file(user)
        seen = self._look(file)
        self._write(file, seen.end, entry)
        seen.keys.add(entry.key)
        self._look(file, _Seen(seen.end + len(_line(entry)), seen.keys, _like(file)))

    def delete(self, user: str, mark: bool) -> None:
        """Remove all that is kept of a user.

        Args:
            user: whose.
            mark: whether it is kept that they have been deleted.

        Raises:
            OSError: it cannot be removed, or marked.
        """
        file = self._file(user)
        self._forget(file)
        if mark:
            self._write(file, 0, Entry(DELETED, ""))  # in the place of all that was there
        else:
            with suppress(FileNotFoundError):
                file.unlink()
                _sync(file.parent)

    def _write(self, file: Path, end: int, entry: Entry) -> None:
        """Have an entry be what stands at a place in a file, and nothing behind it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, end)
            line = _line(entry)
            if os.pwrite(handle, line, end) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
            os.fsync(handle)
        except BaseException:
            self._forget(file)
            with suppress(OSError):
                os.ftruncate(handle, end)
            raise
        finally:
            os.close(handle)
        if not end:
            _sync(file.parent)
            _sync(file.parent.parent)

    def _look(self, file: Path, now: "_Seen | None" = None) -> "_Seen":
        """What has been seen of a file, or is seen ``now``; it is read if that has been forgotten."""
        with self._lock:
            seen = now or self._seen.get(file)
        like = _like(file)
        if seen is None or seen.like != like:
            whole = list(_whole(file, file.read_bytes() if like else b""))
            seen = _Seen(sum(length for _, length in whole), {one.key for one, _ in whole}, like)
        with self._lock:
            self._seen[file] = seen
            self._seen.move_to_end(file)
            while len(self._seen) > MOST_SEEN:
                self._seen.popitem(last=False)
        return seen

    def _forget(self, file: Path) -> None:
        with self._lock:
            self._seen.pop(file, None)

    def _file(self, user: str) -> Path:
        name = hashlib.blake2b(user.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=20)
        return self._folder / USERS / name.hexdigest()[:2] / f"{name.hexdigest()}.jsonl"


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Hold a store, which is made if it is not there.

    Raises:
        StoreError: another process holds it, or something else is there.
    """
    try:
        with filling(folder, anew=False):
            known = folder / SALT
            if not known.exists():
                others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
                if others:
                    raise StoreError(f"{folder} holds something else than what users do, e.g. {others[0]}.")
                write_bytes(known, secrets.token_bytes(SALT_BYTES))
                _sync(folder)
            salt = known.read_bytes()
            if len(salt) != SALT_BYTES:
                raise StoreError(f"{known} is damaged: without it nobody's file can be found.")
            yield Store(folder, salt)
    except BusyError as error:
        raise StoreError(f"{folder} is held by another service: each needs a --store of its own.") from error
    except FolderError as error:
        raise StoreError(f"{error}: choose another --store.") from error


def _like(file: Path) -> tuple[int, ...] | None:
    """What changes with a file; None without one."""
    with suppress(FileNotFoundError):
        about = file.stat()
        return about.st_ino, about.st_size, about.st_mtime_ns
    return None


def _line(entry: Entry) -> bytes:
    """An entry as a line: a checksum of what follows, a space, and JSON in ASCII."""
    said = json.dumps(list(entry), ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(said), said)


def _whole(file: Path, content: bytes) -> Iterator[tuple[Entry, int]]:
    """The entries of a file, and how many bytes each takes; a last line without an end is left out."""
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield _entry(line), len(line) + 1
        except ValueError as error:
            raise StoreError(f"{file} is damaged in line {number}.") from error


def _entry(line: bytes) -> Entry:
    """Raises ValueError if it is none."""
    check, _, said = line.partition(b" ")
    if len(check) != 8 or int(check, 16) != zlib.crc32(said):
        raise ValueError("its checksum is not that of what follows")
    values: Any = json.loads(said)
    return Entry(*values)


def _sync(folder: Path) -> None:
    """Have the disk know which files a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
