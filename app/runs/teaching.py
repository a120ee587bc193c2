"""Which slates a ranker learns from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from data.schema import DataError
from ranking.slates import StoredSlates


def teaching(slates: StoredSlates, names: Sequence[str], whose: Sequence[int] | None = None) -> Tensor:
    """Which to learn from: not misses, which show nothing that was wanted, unless a user has nothing else.

    Args:
        slates: for training.
        names: of all users.
        whose: numbers of the users who are to learn; None: everybody.

    Raises:
        DataError: one of these has no slate at all.
    """
    users, hit = len(names), ~slates.missed
    without = torch.bincount(slates.user, minlength=users) == 0
    if whose is not None:
        without &= torch.bincount(torch.as_tensor(whose), minlength=users) > 0
    if without.any():
        name = names[int(without.int().argmax())]
        raise DataError(f"user {name!r} has no slate to train on: leave such users out.")
    hits = torch.bincount(slates.user[hit], minlength=users)
    return (hit | (hits[slates.user] == 0)).nonzero().squeeze(1)
