"""What reports need to know of the data that runs were judged on, beside its slates."""

import numpy as np
from numpy.typing import NDArray

from app.runs.evaluation import Ground
from data.schema import column
from ranking.building import split_rows
from ranking.sources import Log

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
    if not isinstance(ground.source, Log):
        return None
    dataset = ground.dataset
    counts = earlier(column(dataset.events, "user_id"), column(dataset.events, "timestamp"))
    found: Int = counts[column(dataset.slates, "event_id")[split_rows(dataset, split)]]
    return found


def earlier(user: Int, time: Int) -> Int:
    """(E,) how many events of the same user are strictly earlier than each event.

    Args:
        user: (E,) whose they are, in any order.
        time: (E,) when they were.
    """
    order = np.lexsort((time, user))
    place = np.arange(len(order))
    user_begins = np.diff(user[order], prepend=-1) != 0
    moment_begins = user_begins | (np.diff(time[order], prepend=0) != 0)
    first_of_user = np.maximum.accumulate(np.where(user_begins, place, 0))
    first_of_moment = np.maximum.accumulate(np.where(moment_begins, place, 0))
    counts = np.empty_like(place)
    counts[order] = first_of_moment - first_of_user
    return counts
