"""What reports need to know of the data that runs were judged on, beside its slates."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.runs.evaluation import Ground
from data.schema import column
from ranking.sources import Log

Int = NDArray[np.int64]


def user_names(ground: Ground) -> list[str]:
    """Of the users who have slates, in the order of all figures of users."""
    return [ground.source.users[user] for user in ground.slates.user.unique().tolist()]


def all_users(ground: Ground) -> int:
    """How many users the data has, with slates or without."""
    return len(ground.source.users)


def training_events(ground: Ground) -> Int:
    """(U,) how many events of the users who have slates, or queries, were there to learn from."""
    trained: Int = ground.source.trained()[ground.slates.user.unique().numpy()]
    return trained


def data_card(ground: Ground) -> dict[str, Any]:
    """The validity card."""
    return ground.source.card()


def earlier_searches(ground: Ground, split: str) -> Int | None:
    """(S,) how many events of the same user are strictly earlier than each slate's; None without a log."""
    if not isinstance(ground.source, Log):
        return None
    dataset = ground.source.dataset
    counts = earlier(column(dataset.events, "user_id"), column(dataset.events, "timestamp"))
    found: Int = counts[column(dataset.slates, "event_id")[ground.source.rows(split)]]
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
