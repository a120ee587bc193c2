"""How well the users' own models rank, users of all seeds together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.runs.directory import open_run
from app.runs.evaluation import Ground, judge
from ranking.metrics import per_user


def nmrr(runs: Sequence[Path], grounds: Sequence[Ground], split: str = "test") -> NDArray[np.float64]:
    """NMRR of each user by their own model or, where there is none, by the common one.

    Args:
        runs: one for each seed.
        grounds: what each is judged on.
        split: which part of the data those hold.
    """
    judged = [judge(open_run(run), ground, split) for run, ground in zip(runs, grounds, strict=True)]
    users = [per_user(one.personal["nmrr"], one.ground.slates.user)[1] for one in judged]
    return together(users, [one.run.fingerprint for one in judged])


def together(users: Sequence[NDArray[np.float64]], fingerprints: Sequence[str]) -> NDArray[np.float64]:
    """Figures of users (U,) of each seed, as those of users.

    Seeds of one dataset see the same users again, who must not count as others: their mean stands for them.
    """
    same = len(set(fingerprints)) == 1
    one: NDArray[np.float64] = np.mean(users, axis=0) if same else np.concatenate(users)
    return one
