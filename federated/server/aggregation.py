"""Robust aggregation: how K updates become one, and what is done to them before.

Every function takes updates (K, P), float32 or float64, whose values are finite (`admission` sees to that),
and leaves them as they are. f is the number of hostile updates that are to be survived, as in ByzFL, whose
names and parameters these are. Nothing is random. Ties are broken by position, and otherwise the order of the
updates changes results by rounding only. That f suits K is checked by `rules.Defence`, not here.
"""

import numpy as np
import torch
from torch import Tensor

# Rules: (K, P) → (P,)


def mean(updates: Tensor) -> Tensor:
    """(P,) the mean: one hostile update can move it anywhere."""
    return updates.mean(0)


def trimmed_mean(updates: Tensor, f: int) -> Tensor:
    """(P,) in each coordinate the mean without the f least and the f greatest values (Yin 2018, def. 2).

    Args:
        updates: (K, P).
        f: less than K/2.
    """
    return _sorted(updates)[f : len(updates) - f].mean(0)


def median(updates: Tensor) -> Tensor:
    """(P,) in each coordinate the median; for even K the mean of the two in the middle (Yin 2018, def. 1)."""
    return trimmed_mean(updates, (len(updates) - 1) // 2)


def krum(updates: Tensor, f: int) -> Tensor:
    """(P,) the update that is nearest to those around it (Blanchard 2017).

    It has the least mean squared distance to its K − f − 1 nearest others. That count is ByzFL's; Blanchard's
    is one less.

    Args:
        updates: (K, P).
        f: at most K − 2.
    """
    return updates[_scores(updates, f).argmin()].clone()


def multi_krum(updates: Tensor, f: int) -> Tensor:
    """(P,) the mean of the K − f updates that `krum` likes best (Blanchard 2017).

    Args:
        updates: (K, P).
        f: at most K − 2.
    """
    best = _scores(updates, f).argsort(stable=True)[: len(updates) - f]
    return updates[best.sort().values].mean(0)


def geometric_median(updates: Tensor, nu: float, iterations: int) -> Tensor:
    """(P,) about the point with the least sum of distances to all updates (Pillutla 2022).

    The smoothed Weiszfeld algorithm, which here starts at zero, as in ByzFL: z ← Σ β_i x_i / Σ β_i with
    β_i = 1 / max(ν, ‖x_i − z‖).

    Args:
        updates: (K, P).
        nu: ν > 0, in the unit of the updates: nearer ones all weigh the same.
        iterations: T; the more, the nearer to that point.
    """
    z = torch.zeros_like(updates[0])
    for _ in range(iterations):
        weights = 1 / _norms(updates - z).clamp(min=nu)
        z = _weighted(weights / weights.sum(), updates)
    return z


def centred_clipping(updates: Tensor, start: Tensor | None, tau: float | None, L: int) -> Tensor:
    """(P,) the mean, but no update pulls farther than τ from where one starts (Karimireddy 2021).

    L times v ← v + (1/K) Σ (x_i − v) min(1, τ / ‖x_i − v‖).

    Args:
        updates: (K, P).
        start: (P,) the first v: what was aggregated the last time. None: the coordinate-wise median.
        tau: τ ≥ 0, in the unit of the updates. None: each time the median of all ‖x_i − v‖.
        L: how often.
    """
    v = median(updates) if start is None else start
    for _ in range(L):
        v = v + clip(updates - v, tau).mean(0)
    return v


# What comes before a rule: (K, P) → (K, P)


def clip(updates: Tensor, norm: float | None) -> Tensor:
    """(K, P) the updates, each scaled down to a Euclidean norm if its own is greater.

    Args:
        updates: (K, P).
        norm: C ≥ 0. None: the median norm of these updates (of an even number, the lower of the two in the
            middle), so that about half of them are scaled.
    """
    norms = _norms(updates)
    bound = norms.median() if norm is None else torch.tensor(norm, dtype=norms.dtype)
    factors = torch.where(norms > bound, bound / norms, 1.0)
    return updates * factors[:, None].to(updates.dtype)


def nnm(updates: Tensor, f: int) -> Tensor:
    """(K, P) each update replaced by the mean of its K − f nearest, itself included (Allouah 2023).

    Args:
        updates: (K, P).
        f: less than K/2.
    """
    kept = len(updates) - f
    nearest = _distances(updates).argsort(dim=1, stable=True)[:, :kept]
    chosen = torch.zeros(len(updates), len(updates), dtype=updates.dtype).scatter_(1, nearest, 1.0)
    return chosen @ updates / kept


def _sorted(updates: Tensor) -> Tensor:
    """(K, P) sorted in each coordinate; numpy does this many times faster than torch."""
    return torch.from_numpy(np.sort(updates.numpy(), axis=0))


def _norms(updates: Tensor) -> Tensor:
    """(K,) Euclidean norms in float64, where the squares of large numbers of 32 bits do not overflow."""
    norms: Tensor = torch.linalg.vector_norm(updates, dim=1, dtype=torch.float64)
    return norms


def _weighted(weights: Tensor, updates: Tensor) -> Tensor:
    """(P,) the sum with weights (K,)."""
    return weights.to(updates.dtype) @ updates


def _distances(updates: Tensor) -> Tensor:
    """(K, K) Euclidean distances in float64, by subtraction: scalar products would round small ones away."""
    number = len(updates)
    distances = torch.zeros(number, number, dtype=torch.float64)
    above = torch.triu_indices(number, number, 1)
    distances[above[0], above[1]] = torch.pdist(updates.double())
    return distances + distances.T


def _scores(updates: Tensor, f: int) -> Tensor:
    """(K,) the mean squared distance to the K − f − 1 nearest others, as `krum` needs it."""
    squares = _distances(updates).square().sort(dim=1).values
    return squares[:, 1 : len(updates) - f].mean(1)


def by_buffers(updates: Tensor, users: Tensor, buffers: int) -> Tensor:
    """(B, P) the means of the updates of BASGD's B buffers, none of them empty; user u is in buffer u mod B.

    Updates that arrive one by one cannot be compared with each other, but means of buffers can; and a user,
    however often they send, reaches one buffer only (Yang & Li 2021, algorithm 1).

    Args:
        updates: (K, P).
        users: (K,) whose.
        buffers: B.
    """
    place = users % buffers
    sums = updates.new_zeros(buffers, updates.shape[1]).index_add_(0, place, updates)
    return sums / torch.bincount(place, minlength=buffers)[:, None].to(sums.dtype)
