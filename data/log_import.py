"""Turns a search log into a dataset.

A log holds neither prefixes nor shown lists, so both are built: for every event a prefix of the
submitted query, and as its pool the most popular completions of that prefix, together with the user's
own earlier ones. Popularity is counted over the training periods of everyone; of the user's own events
only those count that are strictly earlier, of others' also those that are later, as in a log that was
collected before. With ``strict_time`` nothing later than the event counts, whoever did it. An event
whose query is not in its own pool is a declared miss.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.log_slates import POOLS, Made, log_slates
from data.privacy import RELEASE, Budget, PrivacyError, Release
from data.progress import Tell, silent
from data.public_counts import TIMELESS, Bounds
from data.reading.columns import LONGEST_QUERY, clean
from data.reading.log import Log, read_log
from data.reading.rows import Reading
from data.renumbering import with_queries
from data.schema import SCHEMAS, DataError, Dataset, column, in_split
from data.splits import time_split

SESSION_GAP = 30 * 60 * 1_000_000
"""Microseconds of silence after which a new session starts."""

__all__ = ["LONGEST_QUERY", "PUBLISHED", "ImportOptions", "Reading", "clean", "import_log", "open_log"]


@dataclass(frozen=True)
class ImportOptions:
    """How slates are built from a log.

    Attributes:
        typed: length of every prefix in characters; None draws 1 to 6 for each event.
        min_events: users with fewer are left out, and counted.
        drop_missed: leave out the events whose query is not in its pool (the published protocol)
            instead of declaring them as misses that score 0.
        history: own events, at most, that a pool may look back on.
        seed: for the drawn prefix lengths.
        strict_time: pools and public counts hold only what anyone had done before the event.
        public_counts: pools and public counts hold only what users make public together, or what is
            released of it within a budget; None: everything.
        one_node: whether these are the users of one node of several: then they may be fewer than have to
            share a query for it to be public. It changes nothing else, and is not written down.
        reading: how the file is read where it leaves that open.
    """

    typed: int | None = None
    min_events: int = 5
    drop_missed: bool = False
    history: int = 100
    seed: int = 0
    strict_time: bool = False
    public_counts: Bounds | Budget | None = None
    one_node: bool = False
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.typed is not None and self.typed < 1:
            raise DataError(f"typed is {self.typed}: a prefix has at least 1 character.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"seed is {self.seed}: it must be from 0 to 2**32 - 1.")
        if self.strict_time and self.public_counts:
            raise DataError(TIMELESS)
        if self.min_events < 3:
            raise DataError(f"min_events is {self.min_events}: at least 3, to train, validate and test.")


PUBLISHED = ImportOptions(typed=1, min_events=30, drop_missed=True, reading=Reading(keep_copies=True))
"""The protocol of the literature: one typed character, users with 30 events, every row, no misses."""


MISSES = "misses"
"""What looking for them, before they are dropped, is called where its progress is shown."""

NO_REPEATS = "no query is among the completions of its prefix: the log has no repeats to learn from."


Releasing = Callable[[Dataset, Budget], Dataset]
"""See `ranking.releasing.released`."""


def import_log(
    file: Path,
    user: str,
    time: str,
    query: str,
    group: str | None = None,
    options: ImportOptions | None = None,
    now: datetime | None = None,
    releasing: Releasing | None = None,
) -> Dataset:
    """Read a log and build its dataset in memory; arguments and errors as in `open_log`."""
    coming = open_log(file, user, time, query, group, options, now, releasing=releasing)
    slates = pa.concat_tables(coming.slates()).combine_chunks()
    return replace(coming.dataset, slates=slates, manifest=coming.manifest())


def open_log(
    file: Path,
    user: str,
    time: str,
    query: str,
    group: str | None = None,
    options: ImportOptions | None = None,
    now: datetime | None = None,
    tell: Tell = silent,
    releasing: Releasing | None = None,
) -> "Coming":
    """Read a log, and prepare to make its slates.

    Args:
        file: the log.
        user: the column of that name; as ``time``, ``query`` and ``group``.
        options: how it becomes a dataset.
        now: the clock of the import: later times than tomorrow's are refused.
        tell: is told how far it is.
        releasing: makes public counts within a budget, where the options have one.

    Raises:
        PrivacyError: the budget does not fit so many users, or nobody is there to make the release.
        DataError: an unreadable file, a missing column, a cell that cannot be read for certain (its
            place is named), an empty log, or no user with enough events.
    """
    options = options or ImportOptions()
    log, times = read_log(file, user, time, query, group, options.reading, now, tell)
    counts = np.bincount(log.user)
    enough = counts >= options.min_events
    if not enough.any():
        raise DataError(
            f"{file}: no user has {options.min_events} or more events (the most is {int(counts.max())}): "
            "there is nothing to personalise."
        )
    log = log.of_users(enough)
    log.left_out["users with too few events"] = int((~enough).sum())
    source = {"file": file.name, "user": user, "time": time, "query": query, "group": group}
    return Coming(log, options, {"kind": "imported", "source": source}, times, tell, releasing)


class Coming:
    """A log on its way to a dataset. Its slates are made some thousands at a time, and only when asked for.

    Attributes:
        dataset: all but the slates.
    """

    def __init__(
        self,
        log: Log,
        options: ImportOptions,
        origin: dict[str, Any],
        times: str,
        tell: Tell,
        releasing: Releasing | None = None,
    ) -> None:
        self._options, self._origin, self._times, self._tell = options, origin, times, tell
        self._left_out = log.left_out
        rules = options.public_counts
        if isinstance(rules, Bounds) and not options.one_node:
            rules.require_users(len(log.users))
        self._rules = self._release(log, rules, releasing) if isinstance(rules, Budget) else rules
        if options.drop_missed:
            log = self._with_something_to_learn(log)
        self.dataset = self._tables(log)
        self._texts: list[str] = self.dataset.queries.column("text").to_pylist()
        self._found = np.zeros(len(log.user), bool)

    def slates(self) -> Iterator[pa.Table]:
        """The slates, in their order."""
        passed = kept = 0
        for made in self._made(self.dataset.events, self._texts):
            table = made.table
            self._found[passed : passed + table.num_rows] = made.found
            passed += table.num_rows
            if self._options.drop_missed:
                table = table.filter(made.found)
                numbers = pa.array(range(kept, kept + table.num_rows), pa.int64())
                table = table.set_column(0, SCHEMAS["slates"][0], numbers)
                kept += table.num_rows
            yield table

    def manifest(self) -> dict[str, Any]:
        """What is to be said beside the files, once all slates have been made."""
        chosen = asdict(self._options)
        del chosen["one_node"]
        reading = chosen.pop("reading") | {"times": self._times}
        missed = int((~self._found).sum())
        dropped = self._options.drop_missed
        left_out = self._left_out | ({"events whose query is not in its pool": missed} if dropped else {})
        said = {RELEASE: self._rules.said()} if isinstance(self._rules, Release) else {}
        return {
            **self._origin,
            **said,
            "reading": reading,
            "options": chosen,
            "left_out": left_out | self._without_test_slate(),
            "missed": 0 if dropped else missed,
        }

    def _release(self, log: Log, budget: Budget, releasing: Releasing | None) -> Release:
        """The public counts of all users there are, once: who is left out later has a part in them."""
        if releasing is None:
            raise PrivacyError("nobody is there to release public counts within a budget.")
        release = Release.of(releasing(replace(_tables(log), manifest=self._origin), budget))
        assert release is not None
        return release

    def _tables(self, log: Log) -> Dataset:
        """Users, queries and events of a log; what was released is known, whoever searched it."""
        if not isinstance(self._rules, Release):
            return _tables(log)
        known = {*log.queries, *self._rules.part(0).column("first").to_pylist()}
        return with_queries(replace(_tables(log), public=self._rules.table), known)

    def _made(self, events: pa.Table, texts: list[str], phase: str = POOLS) -> Iterator[Made]:
        options, rules = self._options, self._rules

        def tell(_: str, done: int, total: int) -> None:
            self._tell(phase, done, total)

        return log_slates(
            events, texts, options.typed, options.history, options.seed, options.strict_time, rules, tell
        )

    def _without_test_slate(self) -> dict[str, int]:
        """How many users nothing can be evaluated for, if there are any."""
        events = self.dataset.events
        ranked = self._found if self._options.drop_missed else np.ones(len(self._found), bool)
        judged = np.unique(column(events, "user_id")[ranked & in_split(events, "test")])
        without = self.dataset.users.num_rows - len(judged)
        return {"users without a test slate": without} if without else {}

    def _with_something_to_learn(self, log: Log) -> Log:
        """Only users who keep a training slate when misses are dropped.

        What those who go have searched goes with them, so that others' pools may change: until all stay.
        """
        gone = 0
        while True:
            tables = self._tables(log)
            events, texts = tables.events, tables.queries.column("text").to_pylist()
            found = np.concatenate([made.found for made in self._made(events, texts, MISSES)])
            kept: NDArray[np.bool_] = np.bincount(log.user[found & in_split(events, "train")]) > 0
            kept = np.append(kept, np.zeros(len(log.users) - len(kept), bool))
            if kept.all():
                break
            if not kept.any():
                raise DataError(NO_REPEATS)
            gone += int((~kept).sum())
            log = log.of_users(kept)
        if gone:
            self._left_out["users without a training slate"] = gone
        return log


def _tables(log: Log) -> Dataset:
    """Users, queries and events; no slates yet."""
    users = pa.table([np.arange(len(log.users)), log.users], schema=SCHEMAS["users"])
    blank, size = [None] * len(log.queries), len(log.queries)
    queries = pa.table([np.arange(size), log.queries, blank, np.zeros(size, int)], schema=SCHEMAS["queries"])
    new_user = np.diff(log.user, prepend=-1) != 0
    session = np.cumsum(new_user | (np.diff(log.time, prepend=log.time[0]) > SESSION_GAP)) - 1
    group = pa.array(log.groups, pa.string()).take(pa.array(log.group, mask=log.group < 0))
    columns = [np.arange(len(log.user)), log.user, log.time, log.query, session, group, time_split(log.user)]
    events = pa.table(
        [pa.array(c, type=f.type, from_pandas=True) for c, f in zip(columns, SCHEMAS["events"], strict=True)],
        schema=SCHEMAS["events"],
    )
    return Dataset(users, queries, events, SCHEMAS["slates"].empty_table())
