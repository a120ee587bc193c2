"""The server's side of public counts: adding up what nodes tell, of which it gets to know only what passes.

It is trusted to keep to this: one that lied about what passes would be told names that it should not know.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from data.public_counts import Bounds
from ranking.public_tables import Hashes, Marks, Named, PublicTables, require_hashes, require_marks


def passing(marks: Sequence[Marks], users: int) -> Hashes:
    """The hashes (P,), ascending, of what at least so many users of all nodes together tell of.

    Raises:
        ValueError: the marks of a node are none; a sentence.
    """
    for one in marks:
        require_marks(one)
    hashes = np.concatenate([np.zeros(0, np.uint64), *(one.hashes for one in marks)])
    tellers = np.concatenate([np.zeros(0, np.int64), *(one.tellers for one in marks)])
    known, number = np.unique(hashes, return_inverse=True)
    together = np.zeros(len(known), np.int64)
    np.add.at(together, number, tellers)
    return known[together >= users]


def require_named(named: Named, marks: Marks, passed: Hashes, bounds: Bounds) -> None:
    """Raise ValueError, with a sentence, unless a node names what passed, as it had marked it, and no more.

    Args:
        named: its reply.
        marks: its own.
        passed: what it was asked for, see `passing`.
        bounds: within which users tell.
    """
    require_marks(marks)
    require_hashes(passed)
    named.require(bounds)
    asked = np.isin(marks.hashes, passed)
    order = np.argsort(named.values("mark"), kind="stable")
    if not np.array_equal(named.values("mark")[order], marks.hashes[asked]):
        raise ValueError("names: a node names other things than it was asked for.")
    if not np.array_equal(named.values("tellers")[order], marks.tellers[asked]):
        raise ValueError("names: a node names other numbers of tellers than it had marked.")


def disagreeing(named: Mapping[int, Named]) -> list[int]:
    """Which nodes name a thing otherwise than most of those who tell of it: they have another key.

    Args:
        named: the replies of nodes by their numbers; of as many on both sides the smallest number is right.
    """
    marks: dict[tuple[int, str, str], dict[int, int]] = {}
    for node in sorted(named):
        columns = [named[node].table.column(name).to_pylist() for name in ("kind", "first", "second", "mark")]
        for kind, first, second, mark in zip(*columns, strict=True):
            marks.setdefault((kind, first, second), {})[node] = mark
    wrong = set[int]()
    for by_node in marks.values():
        usual = Counter(by_node.values()).most_common(1)[0][0]
        wrong |= {node for node, mark in by_node.items() if mark != usual}
    return sorted(wrong)


def together(replies: Sequence[tuple[Marks, Named]], passed: Hashes, bounds: Bounds) -> PublicTables:
    """The public counts: what the nodes that have answered name, summed.

    What had passed, but is named by too few because a node did not answer, is left out.

    Args:
        replies: of each node that has answered twice its marks and its names.
        passed: see `passing`.
        bounds: within which users tell.

    Raises:
        ValueError: see `require_named`; or two nodes name the same thing differently.
    """
    for marks, named in replies:
        require_named(named, marks, passed, bounds)
    every = pa.concat_tables([Named.SCHEMA.empty_table(), *(named.table for _, named in replies)])
    things = ["kind", "first", "second"]
    sums = every.group_by(things).aggregate(
        [("count", "sum"), ("tellers", "sum"), ("mark", "min"), ("mark", "max")]
    )
    low, high = (sums.column(f"mark_{end}").to_numpy() for end in ("min", "max"))
    if not np.array_equal(low, high) or len(np.unique(low)) < len(low):
        raise ValueError("names: two nodes name the same mark differently; do they share one key?")
    tellers = sums.column("tellers_sum").to_numpy()
    sums = sums.filter(pa.array(tellers >= bounds.users)).sort_by([(name, "ascending") for name in things])
    columns = {"count": sums.column("count_sum"), "tellers": sums.column("tellers_sum")}
    return PublicTables.of(**{name: sums.column(name) for name in things}, **columns)
