"""What is known when a user types: what others have searched, and the user's own strictly earlier events.

Public statistics are counts over the training period of everyone *else*: a user's own training events
are taken off them. So what a user does at or after t never changes that user's features at t, and no
ranker can tell a future search by a count that is one lower than other users see it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from data.schema import Dataset, column

HISTORY = 100
"""Own events, at most, that features look back on."""


@dataclass(frozen=True)
class Event:
    """One submitted query, as far as features care."""

    query: int
    session: int
    group: str | None


class PublicStatistics:
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
        self.followers: dict[int, Counter[int]] = defaultdict(Counter)
        user = column(events, "user_id")
        for e in np.flatnonzero(training):
            if groups[e] is not None:
                self.group_count[groups[e]][int(query[e])] += 1
            if e and user[e - 1] == user[e]:
                self.followers[int(query[e - 1])][int(query[e])] += 1


class History:
    """What one user has done before the present moment, at most HISTORY events back.

    ``own_training`` lists all of the user's training events in order, also those still to come: the
    public counts hold them, and features take them off.
    """

    def __init__(self, public: PublicStatistics, own_training: Sequence[Event] = ()) -> None:
        size = len(public.texts)
        self.public = public
        self.events: list[Event] = []
        self.count = np.zeros(size, np.int32)
        self.last = np.full(size, -1, np.int64)
        self.tokens: Counter[int] = Counter()
        self.topics = np.zeros(len(public.topics) + 1)  # the last place counts queries without a topic
        self.followers: dict[int, Counter[int]] = defaultdict(Counter)
        self.own: Counter[int] = Counter(e.query for e in own_training)
        self.own_in_group: Counter[tuple[str | None, int]] = Counter((e.group, e.query) for e in own_training)
        self.own_followers: dict[int, Counter[int]] = defaultdict(Counter)
        for a, b in pairwise(own_training):
            self.own_followers[a.query][b.query] += 1

    def add(self, event: Event) -> None:
        """Let one event happen."""
        previous = self.events[-1].query if self.events else None
        self._tally(event.query, 1)
        self.last[event.query] = len(self.events)
        if previous is not None:
            self.followers[previous][event.query] += 1
        self.events.append(event)
        if len(self.events) > HISTORY:
            self._forget(len(self.events) - HISTORY - 1)

    def _tally(self, query: int, by: int) -> None:
        self.count[query] += by
        self.tokens[int(self.public.first_token[query])] += by
        self.topics[self.public.topic[query]] += by

    def _forget(self, place: int) -> None:
        query, follower = self.events[place].query, self.events[place + 1].query
        self._tally(query, -1)
        self.followers[query][follower] -= 1


def walk(dataset: Dataset, public: PublicStatistics) -> Iterator[tuple[int, History]]:
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


def full_history(dataset: Dataset, public: PublicStatistics, user: int) -> History:
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
