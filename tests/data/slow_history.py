"""The slow twin of `ranking.history` and `ranking.features`: one event, one slate, one candidate at a time.

It keeps what a user has done in dictionaries that change with every event, and computes the features of
one slate from them. What it gives, the array programs have to give to the last bit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.schema import Dataset, column, ragged
from ranking.history import HISTORY

Taken = tuple[int, str, str, int, int]
"""A step that was taken: how far back, what of the earlier and the later query, and the two."""

STEPS = (
    (1, "query", "query"),
    (2, "query", "query"),
    (1, "first word", "query"),
    (1, "first word", "first word"),
)

SCALES = (2, 5, 3, 8, 1.5, 8, 0.5, 1.5)


@dataclass(frozen=True)
class Event:
    """One submitted query, as far as features care."""

    query: int
    session: int
    group: str | None


class SlowStatistics:
    """Counts over everyone's training period, and what is known of each of the V queries."""

    def __init__(self, dataset: Dataset) -> None:
        texts = dataset.queries.column("text").to_pylist()
        self.texts: list[str] = texts
        named = dataset.queries.column("topic").to_pylist()
        self.topics = sorted({t for t in named if t is not None})
        self.topic = np.array([-1 if t is None else self.topics.index(t) for t in named])
        first = {t: i for i, t in enumerate(dict.fromkeys(text.split(" ", 1)[0] for text in texts))}
        self.first_token = np.array([first[text.split(" ", 1)[0]] for text in texts])
        self.length = np.array([len(text) for text in texts])

        events = dataset.events
        query = column(events, "query_id")
        training = column(events, "split") == "train"
        groups = events.column("group").to_pylist()
        self.count = column(dataset.queries, "public_count") + np.bincount(
            query[training], minlength=len(texts)
        )
        self.group_count: dict[str, Counter[int]] = defaultdict(Counter)
        self.first_word = self.first_token.tolist()
        user = column(events, "user_id")
        for e in np.flatnonzero(training):
            if groups[e] is not None:
                self.group_count[groups[e]][int(query[e])] += 1
        self.steps: Counter[Taken] = Counter()
        for u in np.unique(user):
            self.steps += Counter(self.taken(query[training & (user == u)].tolist()))

    def taken(self, queries: Sequence[int]) -> Iterator[Taken]:
        """Every step from one of some successive queries to a later one."""
        for back, given, then in STEPS:
            for a, b in zip(queries, queries[back:], strict=False):
                yield back, given, then, self.part(a, given), self.part(b, then)

    def part(self, query: int, which: str) -> int:
        """The query, or the number of its first word."""
        return int(query if which == "query" else self.first_word[query])


class History:
    """What one user has done before the present moment, at most HISTORY events back.

    ``own_training`` lists all of the user's training events in order, also those still to come: the
    public counts hold them, and features take them off.
    """

    def __init__(self, public: SlowStatistics, own_training: Sequence[Event] = ()) -> None:
        size = len(public.texts)
        self.public = public
        self.events: list[Event] = []
        self.count = np.zeros(size, np.int32)
        self.last = np.full(size, -1, np.int64)
        self.tokens: Counter[int] = Counter()
        self.topics = np.zeros(len(public.topics) + 1)  # the last place counts queries without a topic
        self.own: Counter[int] = Counter(e.query for e in own_training)
        self.own_in_group: Counter[tuple[str | None, int]] = Counter((e.group, e.query) for e in own_training)
        self.own_steps = Counter(public.taken([e.query for e in own_training]))

    def add(self, event: Event) -> None:
        """Let one event happen."""
        self._tally(event.query, 1)
        self.last[event.query] = len(self.events)
        self.events.append(event)
        if len(self.events) > HISTORY:
            self._tally(self.events[-HISTORY - 1].query, -1)

    def _tally(self, query: int, by: int) -> None:
        self.count[query] += by
        self.tokens[int(self.public.first_token[query])] += by
        self.topics[self.public.topic[query]] += by


def walk(dataset: Dataset, public: SlowStatistics) -> Iterator[tuple[int, History]]:
    """For every slate in order its row and the user's history at that moment (strictly earlier events).

    The history is one changing object: use it before asking for the next slate.
    """
    user, time = column(dataset.events, "user_id"), column(dataset.events, "timestamp")
    happened = _events(dataset.events)
    training = column(dataset.events, "split") == "train"
    of_event = column(dataset.slates, "event_id")
    order = np.argsort(of_event, kind="stable")
    starts = np.searchsorted(user, np.arange(dataset.users.num_rows + 1))
    present, passed, history = -1, 0, History(public)
    for row in order:
        event = of_event[row]
        if user[event] != present:
            present, passed = int(user[event]), int(starts[user[event]])
            mine = range(passed, int(starts[present + 1]))
            history = History(public, [happened[e] for e in mine if training[e]])
        while time[passed] < time[event] and passed < event:
            history.add(happened[passed])
            passed += 1
        yield int(row), history


def full_history(dataset: Dataset, public: SlowStatistics, user: int) -> History:
    """Everything that ``user`` has done: the state in which the next keystroke will find them."""
    mine = dataset.events.filter(column(dataset.events, "user_id") == user)
    happened = _events(mine)
    training = column(mine, "split") == "train"
    history = History(public, [e for e, trained in zip(happened, training, strict=True) if trained])
    for event in happened:
        history.add(event)
    return history


def _events(events: pa.Table) -> list[Event]:
    query, session = column(events, "query_id").tolist(), column(events, "session_id").tolist()
    groups = events.column("group").to_pylist()
    return [Event(*event) for event in zip(query, session, groups, strict=True)]


def features(
    history: History, prefix: str, pool: NDArray[np.int32], session: int | None, group: str | None
) -> NDArray[np.float32]:
    """The (N, F) features of a pool of N candidates for one user at one moment.

    Args:
        history: the user's state, holding strictly earlier events only.
        prefix: what has been typed.
        pool: (N,) query ids.
        session: the present session; an earlier event of the same one tells the session's topic.
        group: the user's group at this moment, or None.
    """
    public = history.public
    own = history.count[pool]
    followed = list(_followed(history, pool))
    columns = [
        (np.log1p(public.count[pool] - _look_up(history.own, pool)) - 2) / 1.5,
        _group_popularity(history, pool, group),
        (public.length[pool] - 20) / 10,
        5 * len(prefix) / public.length[pool],
        3 * np.log1p(own),
        np.where(own > 0, 5 / (len(history.events) - history.last[pool]), 0),
        *(5 * np.log1p(_among(history.events[-n:], pool)) for n in (3, 10, 30)),
        np.log1p([history.tokens[t] for t in public.first_token[pool].tolist()]),
        5.0 * (pool == history.events[-1].query if history.events else np.zeros(len(pool))),
        *(scale * np.log1p(counted) for scale, counted in zip(SCALES, followed, strict=True)),
        *_shares(public.count[pool] - _look_up(history.own, pool), own, followed[0], followed[1]),
        *_topics(history, pool, session),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _group_popularity(history: History, pool: NDArray[np.int32], group: str | None) -> NDArray[np.float64]:
    if group is None:
        return np.zeros(len(pool))
    own = np.array([history.own_in_group[group, q] for q in pool.tolist()])
    counts: NDArray[np.float64] = _look_up(history.public.group_count[group], pool) - own
    return np.log1p(counts) / 1.5


def _among(events: Sequence[Event], pool: NDArray[np.int32]) -> list[int]:
    """How many of some events are of each candidate."""
    return [sum(event.query == q for event in events) for q in pool.tolist()]


def _shares(*counts: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """What part of each count in the pool is a candidate's."""
    for counted in counts:
        total = sum(counted.tolist())
        yield 8 * (counted / total) if total else np.zeros(len(counted))


def _followed(history: History, pool: NDArray[np.int32]) -> Iterator[NDArray[np.float64]]:
    """How often each candidate followed what came before, by every step: for others, and for the user."""
    public, queries = history.public, [e.query for e in history.events]
    mine = Counter(public.taken(queries[-HISTORY:]))
    for back, given, then in STEPS:
        if len(queries) < back:
            yield from np.zeros((2, len(pool)))
            continue
        start = back, given, then, public.part(queries[-back], given)
        ends = [(*start, public.part(q, then)) for q in pool.tolist()]
        yield np.array([public.steps[end] - history.own_steps[end] for end in ends], float)
        yield np.array([mine[end] for end in ends], float)


def _topics(history: History, pool: NDArray[np.int32], session: int | None) -> list[NDArray[np.float64]]:
    """The topic's share of the user's history, whether it is the session's, and which one it is."""
    public = history.public
    if not public.topics:
        return []
    topic = public.topic[pool]
    share = np.where(topic >= 0, history.topics[topic], 0) / max(history.topics.sum(), 1)
    same = np.zeros(len(pool))
    if history.events and history.events[-1].session == session:
        same = ((topic >= 0) & (topic == public.topic[history.events[-1].query])).astype(float)
    return [4 * share, 3 * same, *(3.0 * (topic[None] == np.arange(len(public.topics))[:, None]))]


def _look_up(counts: Mapping[int, int], pool: NDArray[np.int32]) -> NDArray[np.float64]:
    if not counts:
        return np.zeros(len(pool))
    return np.array([counts.get(q, 0) for q in pool.tolist()], dtype=float)


def slow_build(dataset: Dataset) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.int32]]]:
    """Every slate's row number, features (N, F) and pool (N,)."""
    public = SlowStatistics(dataset)
    offsets, pool = ragged(dataset.slates, "pool")
    of_event = column(dataset.slates, "event_id")
    session = column(dataset.events, "session_id")
    groups = dataset.events.column("group").to_pylist()
    for row, history in walk(dataset, public):
        event, candidates = of_event[row], pool[offsets[row] : offsets[row + 1]]
        prefix = dataset.slates.column("prefix")[row].as_py()
        yield row, features(history, prefix, candidates, int(session[event]), groups[event]), candidates
