"""Whether three files of features can be training, validation and test: else figures would mean nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from data.arrays import Int
from data.reading.svmlight import Candidates
from data.schema import SPLITS, DataError

NAMED = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "vali", "val", "dev"),
    "test": ("test", "testing"),
}
"""By what words in the names of files and folders their authors say which part one is."""


@dataclass(frozen=True)
class Repeated:
    """Queries that two of the three files hold, with the same number, user and candidates.

    Attributes:
        one, other: the files.
        parts: which parts they are, as in "train and test".
        queries: how many.
    """

    one: Path
    other: Path
    parts: str
    queries: int

    def __str__(self) -> str:
        """A sentence for people."""
        what = "one query is" if self.queries == 1 else f"{self.queries:,} queries are"
        return f"{what} in {self.one} and, with the same candidates, in {self.other} ({self.parts})."


def require_order(files: Sequence[Path]) -> None:
    """Raise DataError if the name of a file, or else of its folder, says that it is another part."""
    for names in ([file.name for file in files], [file.absolute().parent.name for file in files]):
        said = [_part(name) for name in names]
        if len(set(said)) == 1:  # where all say the same, none says which part it is
            continue
        for file, part, place in zip(files, said, SPLITS, strict=True):
            if part not in (None, place):
                raise DataError(
                    f"{file} is named as the {part} part, but given as the {place} part: give the files in "
                    f"the order {', '.join(SPLITS)}, or rename it."
                )
        return


def _part(name: str) -> str | None:
    """Which part a name says that something is; None where it says nothing, or several."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    said = [part for part, known in NAMED.items() if words & set(known)]
    return said[0] if len(said) == 1 else None


def require_different(files: Sequence[Path], parts: Sequence[Candidates]) -> None:
    """Raise DataError if two files hold the same queries and nothing else, whatever their comments say."""
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        arrays = ("qid", "size", "grade", "count", "feature", "value")
        if all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays):
            same = "is given twice" if files[i] == files[j] else f"holds the same queries as {files[i]}"
            raise DataError(
                f"{files[j]} {same}: what a ranker is judged on must not be what it has learned from."
            )


def repeated(
    files: Sequence[Path], parts: Sequence[Candidates], users: Sequence[Sequence[str]]
) -> list[Repeated]:
    """Which files share how many queries; ``users`` says whose each query of each file is."""
    found = []
    for i, j in combinations(range(len(parts)), 2):
        common = np.intersect1d(parts[i].qid, parts[j].qid)
        one, other = (_contents(parts[part], users[part], common) for part in (i, j))
        same = sum(one[qid] == other[qid] for qid in one)
        if same:
            found.append(Repeated(files[i], files[j], f"{SPLITS[i]} and {SPLITS[j]}", same))
    return found


def _contents(part: Candidates, users: Sequence[str], wanted: Int) -> Mapping[int, tuple[object, ...]]:
    """All that a file says of each of the queries that are wanted, by their numbers."""
    rows = np.concatenate([[0], np.cumsum(part.size)])
    pairs = np.concatenate([[0], np.cumsum(part.count)])
    contents: dict[int, tuple[object, ...]] = {}
    for at in np.flatnonzero(np.isin(part.qid, wanted)).tolist():
        first, last = rows[at], rows[at + 1]
        named = slice(pairs[first], pairs[last])
        contents[int(part.qid[at])] = (
            users[at],
            part.grade[first:last].tobytes(),
            part.count[first:last].tobytes(),
            part.feature[named].tobytes(),
            part.value[named].tobytes(),
        )
    return contents


def require_known(files: Sequence[Path], users: Sequence[Sequence[str]]) -> None:
    """Raise DataError if a whole file would be left out, since nobody in it has a query in the first one."""
    known = set(users[0])
    for file, part, names in zip(files[1:], SPLITS[1:], users[1:], strict=True):
        if known.isdisjoint(names):
            raise DataError(
                f"{file}: none of its users, as {names[0]!r}, has a query in {files[0]}, so that nothing "
                f"would be left for {part}."
            )
