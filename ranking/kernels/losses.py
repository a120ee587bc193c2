"""Slopes and curvatures of the losses of `ranking.losses`, by the scores of a client's rows.

Everywhere ``ends`` (B,) is where the rows of each slate end, and ``weight`` (B,) what the slate counts in
the client's loss.
"""

import math

from ranking.kernels.compiling import compiled
from ranking.kernels.gathering import Array, Rows

BCE, MSE, SOFTMAX = range(3)
CODES = {"bce": BCE, "mse": MSE, "softmax": SOFTMAX}
"""Losses that are compiled, by their names in `ranking.losses.LOSSES`."""


@compiled
def sigmoid(s: float) -> float:
    """1/(1 + e^−s), which does not overflow."""
    if s >= 0:
        return 1 / (1 + math.exp(-s))
    e = math.exp(s)
    return e / (1 + e)


@compiled
def slopes(loss: int, scores: Array, rows: Rows, weight: Array, slope: Array) -> None:
    """Write the derivative (R,) of a client's loss by its scores (R,)."""
    begin = 0
    for b in range(len(rows.ends)):
        end = rows.ends[b]
        if loss == SOFTMAX:
            _softmax_slope(scores[begin:end], rows.position[begin:end], weight[b], slope[begin:end])
        else:
            for r in range(begin, end):
                place, p = rows.position[r], sigmoid(scores[r])
                if loss == BCE:
                    slope[r] = weight[b] * (p - (1.0 if place > 0 else 0.0))
                else:
                    target = 1.0 / place if place > 0 else 0.0
                    slope[r] = weight[b] * 2 * (p - target) * p * (1 - p)
        begin = end


@compiled
def curvatures(loss: int, scores: Array, change: Array, rows: Rows, weight: Array, curved: Array) -> None:
    """Write how the slope (R,) changes when the scores change by ``change`` (R,), to first order."""
    begin = 0
    for b in range(len(rows.ends)):
        end = rows.ends[b]
        if loss == SOFTMAX:
            place = rows.position[begin:end]
            _softmax_curvature(scores[begin:end], change[begin:end], place, weight[b], curved[begin:end])
        else:
            for r in range(begin, end):
                p = sigmoid(scores[r])
                bend = p * (1 - p)
                if loss == MSE:
                    target = 1.0 / rows.position[r] if rows.position[r] > 0 else 0.0
                    bend = 2 * bend * (bend + (p - target) * (1 - 2 * p))
                curved[r] = weight[b] * bend * change[r]
        begin = end


@compiled
def _members(position: Array) -> int:
    members = 0
    for place in position:
        members += place > 0
    return members


@compiled
def _softmax_slope(scores: Array, position: Array, weight: float, slope: Array) -> None:
    """Of one slate: the share of softmax less the share of the reference; 0 without a reference."""
    members = _members(position)
    _shares(scores, slope)
    for r in range(len(scores)):
        member = 1.0 / members if position[r] > 0 else 0.0
        slope[r] = weight * (slope[r] - member) if members else 0.0


@compiled
def _softmax_curvature(scores: Array, change: Array, position: Array, weight: float, curved: Array) -> None:
    """Of one slate: p (change − Σ p · change), p its softmax; 0 without a reference."""
    counted = weight if _members(position) else 0.0
    _shares(scores, curved)
    mean = 0.0
    for r in range(len(scores)):
        mean += curved[r] * change[r]
    for r in range(len(scores)):
        curved[r] = counted * curved[r] * (change[r] - mean)


@compiled
def _shares(scores: Array, shares: Array) -> None:
    """Softmax."""
    most, total = -math.inf, 0.0
    for score in scores:
        most = max(most, score)
    for r in range(len(scores)):
        shares[r] = math.exp(scores[r] - most)
        total += shares[r]
    for r in range(len(scores)):
        shares[r] /= total
