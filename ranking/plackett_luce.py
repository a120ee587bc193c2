"""The Plackett–Luce policy: rankings drawn by choosing without replacement, with odds exp(score).

The first place goes to candidate j with probability exp(s_j) / Σ exp(s), the next by the same rule among
those who are left, and so on (Plackett 1975). A ranking is an episode: at place k a candidate is chosen.
"""

import math

import torch
from torch import Tensor


def draw_rankings(scores: Tensor, mask: Tensor, exponential: Tensor) -> Tensor:
    """(…, M, N) int64: M rankings of each slate's candidates by their number; padding comes last.

    Candidates in the order of exponential / exp(score) are distributed by Plackett–Luce.

    Args:
        scores: (…, N).
        mask: (…, N), True where there is a candidate.
        exponential: (…, M, N) independent standard exponential variables.
    """
    late = exponential.log() - scores[..., None, :]
    return late.masked_fill(~mask[..., None, :], torch.inf).argsort(dim=-1, stable=True)


def log_probabilities(scores: Tensor, mask: Tensor, rankings: Tensor) -> Tensor:
    """(…, M, N) log-probability of each choice, given those before it; 0 in the padding.

    It can be differentiated twice. Candidates with less than 1e-19 (single precision) of the best one's odds
    count as equal: the second derivative divides by squares of odds.

    Args:
        scores: (…, N), differentiable.
        mask: (…, N).
        rankings: (…, M, N), see `draw_rankings`.
    """
    best = scores.detach().masked_fill(~mask, -torch.inf).amax(-1, keepdim=True)
    least = math.log(torch.finfo(scores.dtype).tiny) / 2
    relative = (scores - best).masked_fill(~mask, 0).clamp(min=least)
    ordered = relative[..., None, :].expand(rankings.shape).gather(-1, rankings)
    real = mask[..., None, :].expand(rankings.shape).gather(-1, rankings)
    odds = ordered.exp() * real
    left = odds.flip(-1).cumsum(-1).flip(-1)  # from the least likely on, which spares the small ones
    return (ordered - left.masked_fill(~real, 1).log()).masked_fill(~real, 0)


def nmrr_payments(position: Tensor, wanted: Tensor, rankings: Tensor) -> Tensor:
    """(…, M, N) what each place of a ranking adds to its NMRR: 1/(place · H_m) if it holds what was wanted.

    Args:
        position: (…, N) places in the reference, 0 outside it.
        wanted: (…) m, the length of the reference.
        rankings: (…, M, N).
    """
    place = torch.arange(1, 1 + max(rankings.shape[-1], int(wanted.max())))
    harmonic = (1 / place).cumsum(0)
    payment = (position > 0) / harmonic[wanted.long() - 1][..., None]
    chosen = payment[..., None, :].expand(rankings.shape).gather(-1, rankings)
    return chosen / place[: rankings.shape[-1]]
