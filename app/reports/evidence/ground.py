"""What reports need to know of the data that runs were judged on, beside its slates."""

import numpy as np
from numpy.typing import NDArray

from app.runs.evaluation import Ground

Int = NDArray[np.int64]


def user_names(ground: Ground) -> list[str]:
    """Of the users who have slates, in the order of all figures of users."""
    everyone = ground.source.users
    return [everyone[user] for user in ground.slates.user.unique().tolist()]


def all_users(ground: Ground) -> int:
    """How many users the data has, with slates or without."""
    return len(ground.source.users)


def training_events(ground: Ground) -> Int:
    """(U,) how many events of the users who have slates were there to learn from."""
    trained: Int = ground.source.trained()[ground.slates.user.unique().numpy()]
    return trained


def typed(ground: Ground) -> Int | None:
    """(S,) how many characters had been typed; None of imported features, which have no text."""
    return None if ground.source.texts is None else ground.slates.typed.numpy().astype(np.int64)


def earlier_searches(ground: Ground, split: str) -> Int | None:
    """(S,) how many events of the same user are strictly earlier than each slate's; None without a log."""
    return ground.source.earlier(split)
