"""What the tests of `ranking` share: slates written down as the places of their candidates."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from ranking.slates import Slates, pad


@pytest.fixture(scope="session")
def make_slates() -> Callable[..., Slates]:
    """Slates from ``[[2, 0, 1], …]``: each candidate's place in the reference, 0 outside it.

    ``wanted`` is the reference's length (default: its last place in the pool), ``user`` whose slate it
    is (default: 0), ``width`` the number of columns if more than needed; features are random.
    """

    def make(
        places: Sequence[Sequence[int]],
        wanted: Sequence[int] | None = None,
        user: Sequence[int] | None = None,
        width: int = 0,
        features: int = 3,
    ) -> Slates:
        position = pad([torch.tensor(p, dtype=torch.int16) for p in places])
        mask = pad([torch.ones(len(p), dtype=torch.bool) for p in places])
        extra = (0, max(0, width - mask.shape[1]))
        position, mask = torch.nn.functional.pad(position, extra), torch.nn.functional.pad(mask, extra)
        values = np.random.default_rng(len(places)).normal(size=(*mask.shape, features))
        return Slates(
            features=torch.from_numpy(values).float() * mask[..., None],
            mask=mask,
            position=position,
            wanted=torch.tensor(wanted or [max(1, *p) for p in places], dtype=torch.int16),
            user=torch.tensor(user or [0] * len(places)),
            candidates=torch.where(mask, torch.arange(mask.shape[1]), -1).int(),
            typed=torch.ones(len(places), dtype=torch.int16),
        )

    return make
