"""A search log in memory: the usable rows of its file, as numbers of users, queries and groups."""

from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.progress import Tell, silent
from data.reading.columns import LONGEST_QUERY, Texts, as_text, code, tidy, tidy_name
from data.reading.files import read_chunks
from data.reading.rows import Chunk, Reading
from data.reading.times.cells import written
from data.reading.times.column import Times
from data.schema import DataError

NO_QUERY, NO_USER = "rows without a query", "rows without a user"
CUT, COPIES, COPIES_KEPT = "queries cut at 200 characters", "exact copies", "exact copies (kept)"
EXAMPLES = 3
"""Times that are kept as they are written."""


@dataclass(frozen=True)
class Log:
    """Usable rows of a log, by user (names sorted) and then time; rows of equal time keep the file's order.

    Attributes:
        user: (E,) number in ``users``, ascending.
        users: names, sorted; every one occurs.
        time: (E,) microseconds since 1970, UTC.
        query: (E,) number in ``queries``.
        queries: distinct cleaned texts, sorted; every one occurs.
        group: (E,) number in ``groups``, -1 for none.
        groups: distinct names of groups, sorted.
        left_out: what was dropped or changed, by reason, for the manifest and the card.
        examples: the first times as they are written, and as they are understood (as ``time``).
    """

    user: NDArray[np.int32]
    users: list[str]
    time: NDArray[np.int64]
    query: NDArray[np.int32]
    queries: list[str]
    group: NDArray[np.int32]
    groups: list[str]
    left_out: dict[str, int]
    examples: tuple[tuple[str, int], ...] = ()

    def of_users(self, kept: NDArray[np.bool_]) -> "Log":
        """The log of the marked users alone: no query or group stays that only others have."""
        if kept.all():
            return self
        rows = kept[self.user]
        user, users = _compact(self.user[rows], self.users)
        query, queries = _compact(self.query[rows], self.queries)
        group, groups = _compact(self.group[rows], self.groups)
        kept_time = self.time[rows]
        return Log(user, users, kept_time, query, queries, group, groups, self.left_out, self.examples)


def read_log(
    file: Path,
    user: str,
    time: str,
    query: str,
    group: str | None = None,
    reading: Reading | None = None,
    now: datetime | None = None,
    tell: Tell = silent,
) -> tuple[Log, str]:
    """The usable rows of a log, and in words how its times are written.

    Args:
        user: the column of that name; as ``time``, ``query`` and ``group``.
        reading: what the log leaves open.
        now: the clock of the import; times may be up to a day later.
        tell: is told how much of the file has been read.

    Raises:
        DataError: whatever cannot be read for certain; the message is one sentence with the place.
    """
    reading = reading or Reading()
    wanted = {"user": user, "time": time, "query": query}
    for one, other in combinations(wanted, 2):
        if wanted[one] == wanted[other]:
            raise DataError(f"{one} and {other} are both the column {wanted[one]!r}: name one for each.")
    rows = _Rows(user, time, query, group, Times(time, reading, now))
    left_out: dict[str, int] = {NO_QUERY: 0}
    names = [user, time, query, *([group] if group else [])]
    for chunk in read_chunks(file, names, reading, left_out, tell):
        rows.add(chunk, left_out)
    if rows.read == 0:
        raise DataError(f"{file} is empty: it has a header but no rows.")
    for column, values, what in ((query, rows.some_query, "query"), (user, rows.some_user, "user")):
        if not values:
            raise DataError(f"{file}: column {column!r} holds no {what} at all.")
    if rows.times.rows == 0:
        raise DataError(f"{file}: no row has both a user and a query.")
    return rows.finish(left_out, reading.keep_copies)


class _Rows:
    """Collects the columns of a log."""

    def __init__(self, user: str, time: str, query: str, group: str | None, times: Times) -> None:
        self.names = (user, time, query, group)
        self.times = times
        self.users, self.queries, self.groups = Texts(), Texts(), Texts()
        self.read = 0
        self.some_user = self.some_query = False
        self.first_times: list[str] = []

    def add(self, chunk: Chunk, left_out: dict[str, int]) -> None:
        """Take the usable rows of a chunk and count the others."""
        user_name, time_name, query_name, group_name = self.names
        users = code(as_text(chunk.columns[user_name], user_name, chunk.places), tidy_name)
        texts = as_text(chunk.columns[query_name], query_name, chunk.places)
        queries = code(texts, tidy, LONGEST_QUERY)
        self.some_user |= not users.empty.all()
        self.some_query |= not queries.empty.all()
        self.read += len(texts)
        usable = ~users.empty & ~queries.empty
        _count(left_out, NO_QUERY, int(queries.empty.sum()))
        _count(left_out, NO_USER, int((users.empty & ~queries.empty).sum()))
        _count(left_out, CUT, queries.cut_rows(usable))
        times = chunk.columns[time_name]
        times = times if usable.all() else pc.filter(times, usable)
        self.times.add(times, chunk.places.take(usable))
        if not self.first_times:
            self.first_times = [written(cell) for cell in times[:EXAMPLES]]
        self.users.add(users, usable)
        self.queries.add(queries, usable)
        if group_name is not None:
            groups = code(as_text(chunk.columns[group_name], group_name, chunk.places), tidy_name)
            self.groups.add(groups, usable)

    def finish(self, left_out: dict[str, int], keep_copies: bool) -> tuple[Log, str]:
        """The log in its order."""
        time, convention = self.times.finish()
        examples = tuple(zip(self.first_times, time[:EXAMPLES].tolist(), strict=False))
        user, users = self.users.finish()
        query, queries = self.queries.finish()
        group, groups = self.groups.finish()
        if self.names[3] is None:
            group = np.full(len(user), -1, np.int32)
        order = np.lexsort((time, user))
        user, time = user[order], time[order]  # one after the other: there may be many millions
        query = query[order]
        group = group[order]
        del order
        copies = _copies(user, time, query)
        _count(left_out, COPIES_KEPT if keep_copies else COPIES, int(copies.sum()))
        if copies.any() and not keep_copies:
            user, time, query, group = user[~copies], time[~copies], query[~copies], group[~copies]
        group, groups = _compact(group, groups)
        return Log(user, users, time, query, queries, group, groups, left_out, examples), convention


def _count(left_out: dict[str, int], reason: str, rows: int) -> None:
    if rows:
        left_out[reason] = left_out.get(reason, 0) + rows


def _copies(user: NDArray[np.int32], time: NDArray[np.int64], query: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Rows that repeat user, time and query of an earlier one; the rows are sorted by user and time."""
    same = (np.diff(user) == 0) & (np.diff(time) == 0)
    tied = np.append(same, False) | np.append(False, same)[: len(user)]
    rows = np.flatnonzero(tied)
    moment = np.cumsum(np.append(False, ~same))[rows] if len(rows) else rows
    order = np.lexsort((query[rows], moment))
    again = (np.diff(moment[order]) == 0) & (np.diff(query[rows][order]) == 0)
    copies = np.zeros(len(user), bool)
    copies[rows[order[1:][again]]] = True
    return copies


def _compact(numbers: NDArray[np.int32], texts: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Numbers in only those texts that occur, and these texts."""
    occurs = np.zeros(len(texts) + 1, bool)
    occurs[numbers] = True  # -1 marks the last place
    kept = np.flatnonzero(occurs[:-1])
    place = np.full(len(texts) + 1, -1, np.int32)
    place[kept] = np.arange(len(kept))
    return place[numbers], [texts[i] for i in kept.tolist()]
