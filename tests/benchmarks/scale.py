"""W-scale's data: N users in one file, written in chunks and read as a mapped array.

The file holds X of all users, then y of all users, float32. So neither writing nor training ever has
more than a chunk in memory that the machine could not take back.
"""

import mmap
from pathlib import Path

import numpy as np
from ours import Classification
from workload import LAYERS, SAMPLES, USERS, Array, Problem, make

FEATURES = LAYERS[0]
PER_USER = SAMPLES * FEATURES * 4
"""Bytes of one user's X."""


def write(path: Path, users: int) -> None:
    """Write so many users; the first chunk is the plain problem of the other workloads.

    Every chunk has its own draw and with it its own common label rule: nothing that is timed depends on it.
    """
    with path.open("wb") as file:
        for begin in range(0, users, USERS):
            chunk = make(min(USERS, users - begin), seed=begin // USERS)
            file.seek(begin * PER_USER)
            file.write(chunk.X)
            file.seek(users * PER_USER + begin * SAMPLES * 4)
            file.write(chunk.y)


class Mapped:
    """The data of a file, mapped.

    What is read of it becomes resident memory of this process, though it is the operating system's cache
    and can be taken back at once. Where memory is ample nothing takes it back, and the resident size would
    grow to that of the file: within a few rounds, since a fault maps up to a mebibyte around what was asked
    for. So the pages are let go after every round; they stay in the system's cache and cost cheap faults
    when they are read again. These are part of the rounds' time, at every number of users alike.
    """

    def __init__(self, path: Path, users: int) -> None:
        with path.open("rb") as file:
            # A private copy that nobody writes to: PyTorch warns of memory that is not writable.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._data = np.frombuffer(self._map, np.float32)
        self._users = users

    def task(self, start: Array) -> Classification:
        """All users' data as a task."""
        X, y = np.split(self._data, [self._users * SAMPLES * FEATURES])
        return Classification.of_problem(
            Problem(X.reshape(self._users, SAMPLES, FEATURES), y.reshape(self._users, SAMPLES), start)
        )

    def let_go(self) -> None:
        """Give back the pages that were read."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
