"""Rankings that nobody has to train, and that a trained one has to beat."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranking.features import OWN_COUNT, OWN_RECENCY, POPULARITY, feature_names
from ranking.public_statistics import PublicStatistics
from ranking.slates import Slates

HISTORY = (OWN_COUNT, OWN_RECENCY, POPULARITY)
"""What the ranking by a user's history goes by, the most important first."""


def yardsticks(public: PublicStatistics) -> dict[str, Callable[[Slates], Tensor]]:
    """Name of each yardstick to its scores (S, N) of S slates.

    ``random`` orders nothing; ``popularity`` goes by what others search; ``history`` by how often the user
    has searched a candidate, then by how lately, and then by popularity: it learns nothing, and a device
    can compute it.
    """
    names = feature_names(public)
    return {
        "random": lambda slates: torch.zeros(slates.mask.shape),
        "popularity": lambda slates: slates.features[..., names.index(POPULARITY)],
        "history": lambda slates: lexicographic(slates.features[..., [names.index(n) for n in HISTORY]]),
    }


def lexicographic(keys: Tensor) -> Tensor:
    """Scores that order by the first key, where it is equal by the second, and so on.

    Args:
        keys: (S, N, K) finite; higher is better.

    Returns:
        (S, N) int64; equal where all keys are.
    """
    scores = torch.zeros(keys.shape[:-1], dtype=torch.int64)
    for key in keys.unbind(-1):
        values, place = torch.unique(key, return_inverse=True)
        # Numbered anew after each key: the product of all keys' values might not fit into 64 bits.
        scores = torch.unique(scores * len(values) + place, return_inverse=True)[1]
    return scores
