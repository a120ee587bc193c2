"""Which slates a ranker learns from."""

import torch
from torch import Tensor

from data.schema import DataError, Dataset
from ranking.slates import StoredSlates


def teaching(slates: StoredSlates, dataset: Dataset) -> Tensor:
    """Which to learn from: not misses, which show nothing that was wanted, unless a user has nothing else.

    Raises:
        DataError: a user has no slate at all.
    """
    users, hit = dataset.users.num_rows, ~slates.missed
    without = torch.bincount(slates.user, minlength=users) == 0
    if without.any():
        name = dataset.users.column("name")[int(without.int().argmax())].as_py()
        raise DataError(f"user {name!r} has no slate to train on: leave such users out.")
    hits = torch.bincount(slates.user[hit], minlength=users)
    return (hit | (hits[slates.user] == 0)).nonzero().squeeze(1)
