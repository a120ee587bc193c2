"""Turns a search log (CSV, JSONL or Parquet) into a dataset.

A log holds neither prefixes nor shown lists, so both are built: for every event a prefix of the
submitted query, and as its pool the most popular completions of that prefix in the training period
of everyone, together with the user's own earlier ones. Nothing later than the event is looked at.
An event whose query is not in its own pool is a declared miss.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.columns import LONGEST_QUERY, clean
from data.completions import POOL_SIZE, Completions
from data.log import Log, read_log
from data.randomness import generator
from data.rows import Reading
from data.schema import SCHEMAS, DataError, Dataset
from data.splits import time_split

SESSION_GAP = 30 * 60 * 1_000_000
"""Microseconds of silence after which a new session starts."""

__all__ = ["LONGEST_QUERY", "PUBLISHED", "ImportOptions", "Reading", "clean", "import_log"]


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
        reading: how the file is read where it leaves that open.
    """

    typed: int | None = None
    min_events: int = 5
    drop_missed: bool = False
    history: int = 100
    seed: int = 0
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.typed is not None and self.typed < 1:
            raise DataError(f"typed is {self.typed}: a prefix has at least 1 character.")
        if self.min_events < 3:
            raise DataError(f"min_events is {self.min_events}: at least 3, to train, validate and test.")


PUBLISHED = ImportOptions(typed=1, min_events=30, drop_missed=True, reading=Reading(keep_copies=True))
"""The protocol of the literature: one typed character, users with 30 events, every row, no misses."""


def import_log(
    file: Path,
    user: str,
    time: str,
    query: str,
    group: str | None = None,
    options: ImportOptions | None = None,
    now: datetime | None = None,
) -> Dataset:
    """Read a log and build its dataset; ``user``, ``time``, ``query``, ``group`` name its columns.

    ``now`` is the clock of the import: later times than tomorrow's are refused.

    Raises:
        DataError: an unreadable file, a missing column, a cell that cannot be read for certain (its
            place is named), an empty log, or no user with enough events.
    """
    options = options or ImportOptions()
    log, times = read_log(file, user, time, query, group, options.reading, now)
    counts = np.bincount(log.user)
    enough = counts >= options.min_events
    if not enough.any():
        raise DataError(
            f"{file}: no user has {options.min_events} or more events (the most is {int(counts.max())}): "
            "there is nothing to personalise."
        )
    log = log.of_users(enough)
    log.left_out["users with too few events"] = int((~enough).sum())
    users, queries, events = _tables(log)
    slates, missed = _slates(events, log.queries, options)
    chosen = asdict(options)
    manifest = {
        "kind": "imported",
        "source": {"file": file.name, "user": user, "time": time, "query": query, "group": group},
        "reading": chosen.pop("reading") | {"times": times},
        "options": chosen,
        "left_out": log.left_out
        | ({"events whose query is not in its pool": missed} if options.drop_missed else {})
        | _without_test_slate(events, slates),
        "missed": 0 if options.drop_missed else missed,
    }
    return Dataset(users, queries, events, slates, manifest)


def _without_test_slate(events: pa.Table, slates: pa.Table) -> dict[str, int]:
    """How many users nothing can be evaluated for, if there are any."""
    user, split = np.asarray(events.column("user_id")), np.asarray(events.column("split"))
    ranked = np.asarray(slates.column("event_id"))
    judged = np.unique(user[ranked[split[ranked] == "test"]])
    without = int(user[-1]) + 1 - len(judged)
    return {"users without a test slate": without} if without else {}


def _tables(log: Log) -> tuple[pa.Table, pa.Table, pa.Table]:
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
    return users, queries, events


def _slates(events: pa.Table, texts: list[str], options: ImportOptions) -> tuple[pa.Table, int]:
    """One slate per event, in event order; returns them and the number of misses."""
    user = np.asarray(events.column("user_id"))
    time = np.asarray(events.column("timestamp").cast(pa.int64()))
    query = np.asarray(events.column("query_id"))
    training = np.asarray(events.column("split")) == "train"
    index = Completions(texts, np.bincount(query[training], minlength=len(texts)))
    rows: list[tuple[int, str, list[int], list[int]]] = []
    missed = 0
    for of_user in np.split(np.arange(len(user)), np.flatnonzero(np.diff(user)) + 1):
        later = Counter(query[of_user][training[of_user]].tolist())
        passed = 0  # own events strictly earlier than the present one
        for at, event in enumerate(of_user):
            while time[of_user[passed]] < time[event]:
                before = of_user[passed]
                later[int(query[before])] -= int(training[before])
                passed += 1
            target = texts[query[event]]
            prefix = target[: _typed(options, int(event), len(target))]
            own = query[of_user[max(0, passed - options.history) : passed]][::-1].tolist()
            own = [q for q in own if texts[q].startswith(prefix)]
            pool = index.pool(prefix, own, later, POOL_SIZE)
            found = int(query[event]) in pool
            missed += not found
            if found or not options.drop_missed:
                rows.append((int(of_user[at]), prefix, pool, [int(query[event])]))
    if not rows:
        raise DataError(
            "no query is among the completions of its prefix: the log has no repeats to learn from."
        )
    event_ids, prefixes, pools, references = zip(*rows, strict=True)
    columns = [np.arange(len(rows)), event_ids, prefixes, pools, references]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SCHEMAS["slates"], strict=True)],
        schema=SCHEMAS["slates"],
    ), missed


def _typed(options: ImportOptions, event: int, length: int) -> int:
    if options.typed is not None:
        return min(options.typed, length)
    return int(generator(options.seed, "typed", event).integers(1, min(6, max(length - 1, 1)), endpoint=True))
