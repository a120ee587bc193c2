"""Writes files as LETOR has them: graded queries of several users, with features that tell something."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FEATURES = 9


def write_letor(
    file: Path, first: int, queries: int, users: Sequence[str] = (), base: int = 1, seed: int = 0
) -> Path:
    """Write a file.

    Args:
        file: where.
        first: number of the first query.
        queries: how many; in every seventh nothing is wanted.
        users: the queries' users in turn; without any nothing is said of users.
        base: number of the first feature.
        seed: of what is drawn.
    """
    rng = np.random.default_rng((seed, first))
    with file.open("w") as out:
        for query in range(first, first + queries):
            comment = f" # docid = D1 user:{users[query % len(users)]}" if users else " # docid = D1"
            for _ in range(rng.integers(4, 12)):
                x = np.round(rng.normal(size=FEATURES) * (rng.random(FEATURES) < 0.7), 6)
                grade = int(np.clip(np.round(x[:4].sum() + 0.5 * rng.normal()), 0, 4)) if query % 7 else 0
                pairs = " ".join(f"{base + i}:{value}" for i, value in enumerate(x) if value)
                out.write(f"{grade} qid:{query} {pairs}{comment}\n")
    return file
