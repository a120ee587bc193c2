"""Scoring slates with a network: one model for all, or each user's own, in stacked chunks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ranking.rankers.network import Network
from ranking.slates import Rows, Slates

CHUNK = 256
"""Slates scored at once, with their padding: bounds the memory of the hidden layers."""
DECIMALS = 9
"""Of scores by which a list is ordered: beyond, they depend on the order in which sums are taken."""
ALONE = 64
"""Slates of one user in a chunk, at most."""


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


def slate_scores(network: Network, w: Tensor, slate: Slates) -> Tensor:
    """Scores (C, N) of the N candidates of one slate by each of C models w (C, P): what a keystroke needs.

    They are computed in 64 bits and told to DECIMALS, so that a list is the same wherever it is made, in
    whatever order sums are taken.
    """
    with torch.inference_mode():
        rows = Rows(
            slate.features.double().expand(len(w), -1, -1),
            slate.candidates.expand(len(w), -1),
            slate.typed[:, None].expand(len(w), slate.widest),
            torch.arange(slate.widest).expand(len(w), 1, -1),
        )
        return network.scores(w.double(), rows).round(decimals=DECIMALS)


def _scores(network: Network, w: Tensor, slates: Slates) -> Tensor:
    rows = Rows.of(slates)
    return rows.unpack(network.scores(w, rows))


def _by_user(user: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Chunks of users (C,), the places (C, B) of their slates, and which of those are real, not padding.

    Users with like numbers of slates are together, and who has many stands in several chunks: padding
    never takes more than what is scored.
    """
    order = torch.argsort(user, stable=True)
    users, counts = torch.unique_consecutive(user[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    pieces = [
        (min(ALONE, count - begin), int(u), start + begin)
        for u, count, start in zip(users.tolist(), counts.tolist(), starts.tolist(), strict=True)
        for begin in range(0, count, ALONE)
    ]
    pieces.sort()
    while pieces:
        size = min(len(pieces), max(1, CHUNK // pieces[0][0]))
        while size > 1 and size * pieces[size - 1][0] > CHUNK:
            size -= 1
        part, pieces = pieces[:size], pieces[size:]
        count, whose, start = (torch.tensor(column) for column in zip(*part, strict=True))
        within = torch.arange(int(count.max()))[None]
        real = within < count[:, None]
        yield whose, order[start[:, None] + torch.minimum(within, count[:, None] - 1)], real
