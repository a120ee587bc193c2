"""Scoring slates with a network: one model for all, or each user's own, in stacked chunks."""

import torch
from torch import Tensor

from ranking.rankers.network import Network
from ranking.slates import Rows, Slates

CHUNK = 256
"""Slates, or users, scored at once: bounds the memory of the hidden layers."""


def network_scores(network: Network, w: Tensor, slates: Slates) -> Tensor:
    """Scores (S, N) of S slates.

    Args:
        network: the ranker.
        w: one model (P,) for everyone, or (U, P) where slate s is scored by row slates.user[s].
        slates: the S slates.
    """
    with torch.no_grad():
        if w.dim() == 1:
            parts = torch.arange(len(slates)).split(CHUNK)
            return torch.cat([_scores(network, w[None], slates[p[None]])[0] for p in parts])
        scores = torch.zeros(slates.mask.shape, dtype=w.dtype)
        for users, index, real in _by_user(slates.user):
            values = _scores(network, w[users], slates[index])
            scores[index[real]] = values[real]
        return scores


def _scores(network: Network, w: Tensor, slates: Slates) -> Tensor:
    rows = Rows.of(slates)
    return rows.unpack(network.scores(w, rows))


def _by_user(user: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Chunks of users (C,), the places (C, B) of their slates, and which of those are real, not padding."""
    order = torch.argsort(user, stable=True)
    users, counts = torch.unique_consecutive(user[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    chunks = []
    for part in torch.arange(len(users)).split(CHUNK // 4):
        within = torch.arange(int(counts[part].max()))[None]
        real = within < counts[part][:, None]
        places = starts[part][:, None] + torch.minimum(within, counts[part][:, None] - 1)
        chunks.append((users[part], order[places], real))
    return chunks
