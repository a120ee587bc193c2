"""Turns a search log (CSV, JSONL or Parquet) into a dataset.

A log holds neither prefixes nor shown lists, so both are built: for every event a prefix of the
submitted query, and as its pool the most popular completions of that prefix in the training period
of everyone, together with the user's own earlier ones. Nothing later than the event is looked at.
An event whose query is not in its own pool is a declared miss.
"""

import csv
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from data.completions import POOL_SIZE, Completions
from data.randomness import generator
from data.schema import SCHEMAS, DataError, Dataset
from data.splits import time_split

SESSION_GAP = 30 * 60 * 1_000_000
"""Microseconds of silence after which a new session starts."""

WRITTEN_DATES = {"%Y%m%d": 1, "%Y%m%d%H%M%S": 1_000_000}
"""Formats of dates written as one number, and what scales 19000101 … 21001231 to their range."""

LONGEST_QUERY = 200
"""Characters kept of a query: nobody completes more, and a log may hold anything."""


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
    """

    typed: int | None = None
    min_events: int = 5
    drop_missed: bool = False
    history: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.typed is not None and self.typed < 1:
            raise DataError(f"typed is {self.typed}: a prefix has at least 1 character.")
        if self.min_events < 3:
            raise DataError(f"min_events is {self.min_events}: at least 3, to train, validate and test.")


PUBLISHED = ImportOptions(typed=1, min_events=30, drop_missed=True)
"""The protocol of the literature: one typed character, users with 30 events, no misses."""


def import_log(
    file: Path,
    user: str,
    time: str,
    query: str,
    group: str | None = None,
    options: ImportOptions | None = None,
) -> Dataset:
    """Read a log and build its dataset; ``user``, ``time``, ``query``, ``group`` name its columns.

    Raises:
        DataError: an unreadable file, a missing column, an unparsable time (its row is named), an
            empty log, or no user with enough events.
    """
    options = options or ImportOptions()
    log, left_out = _read_log(file, user, time, query, group)
    counts = log["user"].map(log["user"].value_counts())
    kept = log[counts >= options.min_events]
    if kept.empty:
        raise DataError(
            f"{file}: no user has {options.min_events} or more events (the most is {int(counts.max())}): "
            "there is nothing to personalise."
        )
    left_out["users with too few events"] = int(log["user"].nunique() - kept["user"].nunique())
    users, queries, events = _tables(kept)
    slates, missed = _slates(events, queries.column("text").to_pylist(), options)
    manifest = {
        "kind": "imported",
        "source": {"file": file.name, "user": user, "time": time, "query": query, "group": group},
        "options": vars(options),
        "left_out": left_out
        | ({"events whose query is not in its pool": missed} if options.drop_missed else {}),
        "missed": 0 if options.drop_missed else missed,
    }
    return Dataset(users, queries, events, slates, manifest)


def _read_log(
    file: Path, user: str, time: str, query: str, group: str | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    raw = _read_frame(file)
    names = {"user": user, "time": time, "query": query} | ({"group": group} if group else {})
    missing = [n for n in names.values() if n not in raw.columns]
    if missing:
        have = ", ".join(map(str, raw.columns))
        raise DataError(f"{file} has no column {', '.join(map(repr, missing))}; its columns are: {have}.")
    if raw.empty:
        raise DataError(f"{file} is empty: it has a header but no rows.")
    twice = [n for n in names.values() if list(raw.columns).count(n) > 1]
    if twice:
        raise DataError(f"{file} has the column {twice[0]!r} twice.")
    log = pd.DataFrame({n: raw[c] for n, c in names.items()})
    for column in names:
        nested = log[column].map(lambda value: isinstance(value, list | dict | np.ndarray)).to_numpy(bool)
        if nested.any():
            row = int(nested.argmax()) + 1
            raise DataError(f"{file}, row {row}, column {names[column]!r}: one value is needed, not several.")
    if "group" not in log:
        log["group"] = None
    log["time"] = _parse_times(file, time, log["time"])
    nobody = log["user"].isna()
    if nobody.any():
        raise DataError(f"{file}, row {int(nobody.argmax()) + 1}, column {user!r}: no user is named.")
    log["user"] = log["user"].astype(str)
    log["query"] = [
        clean(q) if isinstance(q, str) else clean(str(q)) if pd.notna(q) else "" for q in log["query"]
    ]
    empty = log["query"] == ""
    log = log[~empty]
    if log.empty:
        raise DataError(f"{file}: column {query!r} holds no query at all.")
    log = log.sort_values(["user", "time"], kind="stable", ignore_index=True)
    return log, {"rows without a query": int(empty.sum())}


def clean(query: str) -> str:
    """A query as it is stored: NFC, control characters and runs of space as one space, bounded length."""
    text = unicodedata.normalize("NFC", query)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(text.split())[:LONGEST_QUERY].rstrip()


def _read_frame(file: Path) -> pd.DataFrame:
    readers = {
        ".csv": lambda: _read_csv(file),
        ".jsonl": lambda: pd.read_json(file, lines=True, dtype=False),
        ".parquet": lambda: pd.read_parquet(file),
    }
    if not file.is_file():
        raise DataError(f"{file} does not exist or is not a file.")
    if file.suffix.lower() not in readers:
        raise DataError(f"{file}: the name must end in {', '.join(readers)}.")
    try:
        return readers[file.suffix.lower()]()
    except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
        raise DataError(
            f"{file} cannot be read as {file.suffix[1:]}: {str(error).splitlines()[0]}."
        ) from error


def _read_csv(file: Path) -> pd.DataFrame:
    """Rows as text; stricter than pandas, which shifts rows that have one field too many."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        header = next(reader, None)
        if not header:
            raise DataError(f"{file} is empty.")
        rows = [[value or None for value in row] for row in reader if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise DataError(f"{file}, row {number}: it has {len(row)} fields, the header has {len(header)}.")
    return pd.DataFrame(rows, columns=header, dtype=object)


def _parse_times(file: Path, name: str, times: "pd.Series[Any]") -> "pd.Series[Any]":
    """UTC timestamps from text (ISO 8601 and the like) or from Unix seconds, milli- or microseconds.

    Numbers like 20240131 and 20240131093000 are dates and times written without their dashes.
    """
    if pd.api.types.is_datetime64_any_dtype(times):
        times = times.astype(str).where(times.notna())
    numbers = pd.to_numeric(times, errors="coerce")
    written = [
        f for f, scale in WRITTEN_DATES.items() if numbers.floordiv(scale).between(19000101, 21001231).all()
    ]
    if written:
        digits = numbers.astype("int64").astype(str)
        parsed = pd.to_datetime(digits, format=written[0], utc=True, errors="coerce")
    elif numbers.notna().all():
        size = float(numbers.abs().median())
        unit = 1 if size >= 1e14 else 1_000 if size >= 1e11 else 1_000_000
        parsed = pd.to_datetime((numbers * unit).round(), unit="us", utc=True, errors="coerce")
    else:
        parsed = pd.to_datetime(times, utc=True, errors="coerce", format="mixed")
    bad = parsed.isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise DataError(f"{file}, row {row + 1}, column {name!r}: {times.iloc[row]!r} is not a time.")
    return parsed


def _tables(log: pd.DataFrame) -> tuple[pa.Table, pa.Table, pa.Table]:
    user, names = pd.factorize(log["user"], sort=True)
    query, texts = pd.factorize(log["query"], sort=True)
    time = log["time"].to_numpy(dtype="datetime64[us]").astype(np.int64)
    users = pa.table([np.arange(len(names)), list(names)], schema=SCHEMAS["users"])
    blank = [None] * len(texts)
    queries = pa.table(
        [np.arange(len(texts)), list(texts), blank, np.zeros(len(texts), int)], schema=SCHEMAS["queries"]
    )
    new_user = np.diff(user, prepend=-1) != 0
    session = np.cumsum(new_user | (np.diff(time, prepend=time[0]) > SESSION_GAP)) - 1
    group = [None if pd.isna(g) else str(g) for g in log["group"]]
    columns = [np.arange(len(log)), user, time, query, session, group, time_split(user)]
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
