"""What tests of nodes share: small logs, the whole exchange, and slates compared bit by bit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.dealing import deal
from data.log_import import ImportOptions, Reading, import_log
from data.public_counts import Bounds
from data.schema import Dataset
from data.storage import read, write
from ranking.public_tables import Marks, Named, PublicTables
from ranking.sources import Log
from ranking.summing import passing, together
from ranking.telling import Node

KEY = b"sixteen bytes or more"

STEMS = ("git", "git a", "git-a", "go", "g", "gé", "z z", "gi", "git  b".replace("  ", " "), "a!", "a", "a b")
"""First words that others begin with, and what sorts before and after a space."""


def log_of(seed: int, path: Path, users: int = 5, groups: bool = True) -> Path:
    """A small log of users with favourites, some of whose searches happen at the same time."""
    draw = np.random.default_rng(seed)
    texts = sorted({f"{stem}{end}" for stem in STEMS for end in ("", " x", " y x", "!")})
    texts = [texts[n] for n in draw.permutation(len(texts))[: draw.integers(6, 30)]]
    rows = []
    for user in range(users):
        liked = draw.dirichlet(np.full(len(texts), 0.4))
        time = 1_600_000_000
        for _ in range(int(draw.integers(5, 60))):
            time += int(draw.integers(0, 3)) * 700
            group = ["red", "blue", None][draw.integers(3)] if groups else None
            rows.append((f"user-{user}", time, texts[draw.choice(len(texts), p=liked)], group))
    pd.DataFrame(rows, columns=["user", "time", "query", "group"]).to_csv(path, index=False)
    return path


def imported(path: Path, out: Path, bounds: Bounds | None, **options: Any) -> Dataset:
    """A log as a dataset on disk."""
    chosen = ImportOptions(min_events=3, public_counts=bounds, reading=Reading(keep_copies=True), **options)
    return write(import_log(path, "user", "time", "query", "group", chosen), out)


def dealt(dataset: Dataset, nodes: int, out: Path) -> list[Dataset]:
    """The datasets of the nodes, as these read them."""
    return [read(place) for place in deal(dataset, nodes, out)]


def replies(datasets: Sequence[Dataset], bounds: Bounds) -> tuple[list[tuple[Marks, Named]], Any]:
    """What the nodes tell, and what passed; names go over the wire."""
    nodes = [Node(dataset, KEY) for dataset in datasets]
    marks = [node.marks() for node in nodes]
    passed = passing(marks, bounds.users)
    named = [Named.from_bytes(node.named(passed).to_bytes(), bounds) for node in nodes]
    return list(zip(marks, named, strict=True)), passed


def summed(datasets: Sequence[Dataset], bounds: Bounds) -> PublicTables:
    """The public counts of all nodes, over the wire."""
    told, passed = replies(datasets, bounds)
    return PublicTables.from_bytes(together(told, passed, bounds).to_bytes(), bounds)


Slate = tuple[str | None, list[str], Any, list[int], int, int]


def slates_by_user(log: Log, split: str) -> dict[str, list[Slate]]:
    """Of each user all that is known of each slate; features as their bytes, so that equal means equal."""
    slates, texts = log.slates(split), log.texts or []
    offsets = slates.offsets.tolist()
    found: dict[str, list[Slate]] = {}
    for row, prefix in enumerate(log.prefixes(split)):
        of = slice(offsets[row], offsets[row + 1])
        pool = [texts[query] for query in slates.candidates[of].tolist()]
        features = slates.features[of].numpy()
        one = (
            prefix,
            pool,
            (features.dtype, features.shape, features.tobytes()),
            slates.position[of].tolist(),
            int(slates.wanted[row]),
            int(slates.typed[row]),
        )
        found.setdefault(log.users[int(slates.user[row])], []).append(one)
    return found


SPLITS = ("train", "validation", "test")


def assert_same(central: Log, logs: Sequence[Log]) -> None:
    """The users of the nodes have, all together, the very slates that one place gives them."""
    assert all(log.feature_names == central.feature_names for log in logs)
    for split in SPLITS:
        parts = [slates_by_user(log, split) for log in logs]
        joined = {user: slates for part in parts for user, slates in part.items()}
        assert sum(map(len, parts)) == len(joined), "nobody is at two nodes"
        assert joined == slates_by_user(central, split)
