"""The slow twin of `data.log_slates`: one event after the other, its pool from dictionaries."""

from collections import Counter

import numpy as np
import pyarrow as pa

from data.completions import POOL_SIZE, Completions
from data.log_import import ImportOptions
from data.randomness import generator
from data.schema import SCHEMAS


def slow_slates(events: pa.Table, texts: list[str], options: ImportOptions) -> tuple[pa.Table, int]:
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
