"""What nodes and the server that sums public counts tell each other: marks, names, and the sums.

A node is a machine that holds a dataset of its own users. It first tells marks: of everything that its users
tell of, a keyed hash and how many of them do. Nodes share the key, and the server does not have it: so it can
add up marks, but not guess searches. Only what passes the threshold is then told by name, with its counts.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.arrays import Int
from data.packing import packed, unpacked
from data.public_counts import Bounds
from data.schema import PUBLIC_SCHEMA
from ranking.events import COUNTED, QUERY, Counted
from ranking.naming import Part, parts

Hashes = NDArray[np.uint64]

LONGEST = 1000
"""Characters, at most, of a text that is told."""
MOST_THINGS = 2**24
"""Things, at most, that one message tells of."""
MOST_TELLERS, MOST_TIMES = 2**31, 2**53
"""More users than there can be, and more searches."""


class Marks(NamedTuple):
    """What the users of one node tell of, without names.

    Attributes:
        hashes: (T,) uint64, ascending: a keyed hash of each thing.
        tellers: (T,) int64: how many users of the node tell of it.
    """

    hashes: Hashes
    tellers: Int


def require_marks(marks: Marks) -> None:
    """Raise ValueError, with a sentence, unless these can be the marks of a node."""
    require_hashes(marks.hashes)
    tellers = marks.tellers
    if (
        not isinstance(tellers, np.ndarray)
        or tellers.dtype != np.int64
        or tellers.shape != marks.hashes.shape
    ):
        raise ValueError("marks: there must be one number of tellers, of 64 bits, for every hash.")
    if len(tellers) and not (tellers.min() >= 1 and tellers.max() < MOST_TELLERS):
        raise ValueError(f"marks: tellers must be from 1 to {MOST_TELLERS - 1}.")


def require_hashes(hashes: Hashes) -> None:
    """Raise ValueError, with a sentence, unless these are hashes that ascend."""
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ValueError("hashes must be one row of unsigned numbers of 64 bits.")
    if len(hashes) > MOST_THINGS:
        raise ValueError(f"{len(hashes)} hashes are more than {MOST_THINGS}.")
    if (hashes[1:] <= hashes[:-1]).any():
        raise ValueError("hashes must ascend, and none may come twice.")


@dataclass(frozen=True)
class _Table:
    """Things by name in an Arrow table; what comes as bytes is checked, and bounded.

    Attributes:
        table: the columns of ``SCHEMA``.
    """

    table: pa.Table

    SCHEMA = PUBLIC_SCHEMA
    """``kind`` is a number in `events.COUNTED`; for the others see `naming.Part`."""

    @classmethod
    def of(cls, **columns: Any) -> Self:
        """From columns of any type that Arrow understands."""
        return cls(pa.table([pa.array(columns[f.name], f.type) for f in cls.SCHEMA], schema=cls.SCHEMA))

    def to_bytes(self) -> bytes:
        """See `packing.packed`: equal tables have equal bytes."""
        return packed(self.table)

    @classmethod
    def from_bytes(cls, sent: bytes, bounds: Bounds | None = None) -> Self:
        """What `to_bytes` made, as far as it can be true.

        Args:
            sent: by somebody who need not be trusted.
            bounds: within which things were told; None: no matter.

        Raises:
            ValueError: it is not such a table.
        """
        found = cls(unpacked(sent, cls.SCHEMA, MOST_THINGS))
        found.require(bounds)
        return found

    def require(self, bounds: Bounds | None = None) -> None:
        """Raise ValueError, with a sentence, unless such things can have been told of."""
        table = self.table
        if table.num_rows > MOST_THINGS:
            raise ValueError(f"{table.num_rows} names are more than {MOST_THINGS}.")
        if any(table.column(name).null_count for name in table.column_names):
            raise ValueError("names: a value is missing.")
        if not table.num_rows:
            return
        kind, count, tellers = (self.values(name) for name in ("kind", "count", "tellers"))
        if kind.min() < 0 or kind.max() >= len(COUNTED):
            raise ValueError("names: of a kind that nobody counts.")
        if tellers.min() < 1 or tellers.max() >= MOST_TELLERS or (count < tellers).any():
            raise ValueError("names: somebody must tell of each, and everybody who does at least once.")
        if count.max() >= MOST_TIMES or (bounds and ((count - 1) // bounds.times >= tellers).any()):
            raise ValueError("names: more is told than each user may tell.")
        self._require_texts(kind)
        things = table.select(["kind", "first", "second"])
        if things.group_by(things.column_names).aggregate([]).num_rows < table.num_rows:
            raise ValueError("names: something is told twice.")

    def _require_texts(self, kind: NDArray[Any]) -> None:
        pairs = kind != COUNTED.index(QUERY)
        for name in ("first", "second"):
            texts = self.table.column(name)
            length = pc.utf8_length(texts).to_numpy()
            filled = pairs if name == "second" else np.ones(len(kind), bool)
            if length.max() > LONGEST or not np.array_equal(length > 0, filled):
                raise ValueError(f"names: a text is empty, out of place or longer than {LONGEST}.")
            if pc.any(pc.match_substring(texts, "\0")).as_py():
                raise ValueError("names: a text holds NUL.")

    def values(self, name: str) -> NDArray[Any]:
        """A column of numbers."""
        values: NDArray[Any] = self.table.column(name).to_numpy()
        return values

    def part(self, what: Counted) -> Part:
        """The things of one kind."""
        table = self.table.filter(pc.equal(self.table.column("kind"), COUNTED.index(what)))
        first, second = (table.column(name).to_pylist() for name in ("first", "second"))
        return Part(first, second, *(table.column(name).to_numpy() for name in ("count", "tellers")))


@dataclass(frozen=True)
class Named(_Table):
    """What a node tells by name of its own users; a column ``mark`` has the hash of each thing."""

    SCHEMA = _Table.SCHEMA.append(pa.field("mark", pa.uint64(), nullable=False))


@dataclass(frozen=True)
class PublicTables(_Table):
    """What the users of all nodes tell together, by kind and then text: the public counts."""

    @cached_property
    def fingerprint(self) -> str:
        """A short text that is equal for equal tables."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    def texts(self, which: str) -> set[str]:
        """Of all queries, first words or groups that are told of, by themselves or in pairs."""
        found = set[str]()
        for what in COUNTED:
            part = self.part(what)
            for is_of, texts in zip(parts(what), (part.first, part.second), strict=True):
                found.update(texts if is_of == which else ())
        return found
