"""A node's side of public counts: it tells marks, then names of what passed, and takes the sums of all nodes.

A node holds a dataset of its own users, imported or dealt with bounds of what becomes public. What fewer
users tell of than these bounds ask for leaves it as a keyed hash only.
"""

import hashlib
from dataclasses import replace
from functools import cached_property

import numpy as np

from data.log_slates import Popularity, with_pools_anew
from data.public_counts import Bounds
from data.renumbering import with_queries
from data.schema import DataError, Dataset
from ranking.events import COUNTED, QUERY, Events
from ranking.public_statistics import PublicStatistics
from ranking.public_tables import LONGEST, Hashes, Marks, Named, PublicTables, require_hashes
from ranking.sources import Log

SHORTEST_KEY, LONGEST_KEY = 16, 64
"""Bytes of the secret that nodes share."""

MARK = b"persarank mark"
"""Keeps these hashes apart from others that somebody makes with the same key."""


class Node:
    """What the users of one node tell of, each within the bounds.

    Args:
        dataset: theirs.
        key: of 16 to 64 random bytes, which all nodes share and the server does not have.

    Raises:
        DataError: the dataset has no bounds, or a text is too long to be told.
        ValueError: the key is too short or too long, or gives two things the same hash.
    """

    def __init__(self, dataset: Dataset, key: bytes) -> None:
        if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
            raise ValueError(f"a key has {SHORTEST_KEY} to {LONGEST_KEY} bytes, not {len(key)}.")
        self.bounds = bounds_of(dataset)
        self._key = key
        public = PublicStatistics(with_queries(dataset, dataset.queries.column("text").to_pylist()))
        names = public.names()
        self._kind = np.concatenate([np.full(len(public.own[w].thing), n) for n, w in enumerate(COUNTED)])
        self._count = np.concatenate([public.own[what].count for what in COUNTED])
        self._tellers = np.concatenate([public.own[what].tellers for what in COUNTED])
        self._first, self._second = [], list[str]()
        for what in COUNTED:
            first, second = names.texts(what, public.own[what].thing)
            self._first += first
            self._second += second
        if long := [text for text in (*self._first, *self._second) if len(text) > LONGEST]:
            raise DataError(f"{long[0][:40]!r}… is longer than {LONGEST} characters, too long to be told.")

    def marks(self) -> Marks:
        """What is told first."""
        hashes, place = self._hashes
        return Marks(hashes, self._tellers[place].astype(np.int64))

    def named(self, passed: Hashes) -> Named:
        """What is told then: names and counts of what passed, as far as this node's users tell of it.

        Args:
            passed: see `summing.passing`.

        Raises:
            ValueError: it is not what a server can have sent.
        """
        require_hashes(passed)
        hashes, place = self._hashes
        asked = np.isin(hashes, passed)
        chosen = place[asked]
        return Named.of(
            kind=self._kind[chosen],
            first=[self._first[n] for n in chosen.tolist()],
            second=[self._second[n] for n in chosen.tolist()],
            count=self._count[chosen],
            tellers=self._tellers[chosen],
            mark=hashes[asked],
        )

    @cached_property
    def _hashes(self) -> tuple[Hashes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """(T,) hashes, ascending, and the number of each one's thing (T,)."""
        keyed = hashlib.blake2b(digest_size=8, key=self._key, person=MARK)
        digests = bytearray()
        for kind, first, second in zip(self._kind.tolist(), self._first, self._second, strict=True):
            digest = keyed.copy()
            one = first.encode()
            # The length of the first text, so that nothing but these two texts gives the same bytes.
            digest.update(b"%d %d " % (kind, len(one)) + one + second.encode())
            digests += digest.digest()
        hashes = np.frombuffer(digests, "<u8").astype(np.uint64)
        order = np.argsort(hashes, kind="stable")
        if (np.diff(hashes[order]) == 0).any():
            raise ValueError("two things have the same hash with this key: choose another.")
        return hashes[order], order


def bounds_of(dataset: Dataset) -> Bounds:
    """The bounds of what becomes public of a dataset.

    Raises:
        DataError: it has none.
    """
    bounds = Bounds.of(dataset.manifest)
    if bounds is None:
        raise DataError(
            "this data does not say what of it may become public: make it with --public-counts federated."
        )
    return bounds


def source(dataset: Dataset, tables: PublicTables, told: bool = True) -> Log:
    """A node's slates, as they are where public counts are those of all nodes together.

    Pools of logs are made anew: popular is what all tell together. Those of simulated users are drawn from
    a catalogue that everybody knows, and stay. A log's event whose query is not in its pool now stays, as
    a miss. The fingerprint is that of the dataset and the tables together.

    Args:
        dataset: the node's.
        tables: what all nodes tell together.
        told: whether this node has told its part, and been answered: so that the tables hold it. Otherwise
            nothing is taken off them for its users.

    Raises:
        DataError: the dataset has no bounds, or the tables lack what its users have told.
        ValueError: the tables cannot be what users tell within these bounds.
    """
    tables.require(bounds_of(dataset))
    known = dataset.queries.column("text").to_pylist()
    joined = with_queries(dataset, {*known, *tables.texts(QUERY)})
    both = hashlib.sha256(f"{dataset.fingerprint} {tables.fingerprint} {told}".encode()).hexdigest()[:16]
    joined = replace(joined, manifest={**dataset.manifest, "fingerprint": both})
    public = PublicStatistics(joined, tables, told)
    if dataset.manifest.get("kind") == "imported":
        events = public.marked(Events.of(joined.events, public.group_names), 0)
        popularity = Popularity(
            public.count - public.outside, None if events.told is None else events.told[QUERY]
        )
        joined = with_pools_anew(joined, popularity)
    return Log(joined, public)
