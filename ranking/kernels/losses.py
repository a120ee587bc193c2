"""Slopes and curvatures of the losses of `ranking.losses`, by the scores of a client's rows.

Everywhere ``ends`` (B,) is where the rows of each slate end, and ``weight`` (B,) what the slate counts in
the client's loss.
"""

import math

import numpy as np

from ranking.kernels.compiling import compiled
from ranking.kernels.gathering import Array, Rows

BCE, MSE, SOFTMAX, LISTMLE = range(4)
CODES = {"bce": BCE, "mse": MSE, "softmax": SOFTMAX, "listmle": LISTMLE}
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
        elif loss == LISTMLE:
            _listmle_slope(scores[begin:end], rows.position[begin:end], weight[b], slope[begin:end])
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
        elif loss == LISTMLE:
            place = rows.position[begin:end]
            _listmle_curvature(scores[begin:end], change[begin:end], place, weight[b], curved[begin:end])
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
    shares(scores, slope)
    for r in range(len(scores)):
        member = 1.0 / members if position[r] > 0 else 0.0
        slope[r] = weight * (slope[r] - member) if members else 0.0


@compiled
def _softmax_curvature(scores: Array, change: Array, position: Array, weight: float, curved: Array) -> None:
    """Of one slate: p (change − Σ p · change), p its softmax; 0 without a reference."""
    counted = weight if _members(position) else 0.0
    shares(scores, curved)
    mean = 0.0
    for r in range(len(scores)):
        mean += curved[r] * change[r]
    for r in range(len(scores)):
        curved[r] = counted * curved[r] * (change[r] - mean)


@compiled
def shares(scores: Array, out: Array) -> None:
    """Write the softmax of scores (R,)."""
    most, total = -math.inf, 0.0
    for score in scores:
        most = max(most, score)
    for r in range(len(scores)):
        out[r] = math.exp(scores[r] - most)
        total += out[r]
    for r in range(len(scores)):
        out[r] /= total


@compiled
def _picked(position: Array) -> Array:
    """The rows of a slate's reference, in the order of their places."""
    order = np.empty(_members(position), np.int64)
    for r in range(len(position)):
        if position[r] > 0:
            before = 0
            for other in range(len(position)):
                if position[other] > 0 and (position[other], other) < (position[r], r):
                    before += 1
            order[before] = r
    return order


@compiled
def _logs_of_left(scores: Array, position: Array, order: Array) -> Array:
    """log Σ e^score over the rows that are left before each pick: all but those picked before.

    Each is computed from its own greatest score, so that none is lost, however far apart scores are.
    """
    most, total = -math.inf, 0.0
    for r in range(len(scores)):
        if not position[r] > 0:
            most = max(most, scores[r])
    for r in range(len(scores)):
        if not position[r] > 0:
            total += math.exp(scores[r] - most)
    log = most + math.log(total) if total else -math.inf
    logs = np.empty(len(order), np.float64)
    for j in range(len(order) - 1, -1, -1):
        log = _log_sum(log, np.float64(scores[order[j]]))
        logs[j] = log
    return logs


@compiled
def _log_sum(a: float, b: float) -> float:
    """log(e^a + e^b), b finite."""
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


@compiled
def _listmle_slope(scores: Array, position: Array, weight: float, slope: Array) -> None:
    """Of one slate: how often a row was expected to be picked while it was there, less whether it was.

    With L_j the logs of what is left, that is e^(s − L_j) Σ_(i ≤ j) e^(L_j − L_i) for the row of pick j.
    """
    order = _picked(position)
    if len(order) == 0:
        slope[:] = 0
        return
    logs, often = _logs_of_left(scores, position, order), 0.0
    for j in range(len(order)):
        often = 1.0 + (often * math.exp(logs[j] - logs[j - 1]) if j else 0.0)
        slope[order[j]] = weight * (math.exp(scores[order[j]] - logs[j]) * often - 1)
    for r in range(len(scores)):
        if not position[r] > 0:
            slope[r] = weight * math.exp(scores[r] - logs[-1]) * often


@compiled
def _listmle_curvature(scores: Array, change: Array, position: Array, weight: float, curved: Array) -> None:
    """Of one slate: the sum over picks of p (change − Σ p · change), p the softmax of what is left."""
    order = _picked(position)
    if len(order) == 0:
        curved[:] = 0
        return
    logs = _logs_of_left(scores, position, order)
    means = _means_of_left(scores, change, position, order, logs)
    often = drawn = 0.0
    for j in range(len(order)):
        fewer = math.exp(logs[j] - logs[j - 1]) if j else 0.0
        often, drawn = often * fewer + 1, drawn * fewer + means[j]
        row = order[j]
        curved[row] = weight * math.exp(scores[row] - logs[j]) * (change[row] * often - drawn)
    for r in range(len(scores)):
        if not position[r] > 0:
            curved[r] = weight * math.exp(scores[r] - logs[-1]) * (change[r] * often - drawn)


@compiled
def _means_of_left(scores: Array, change: Array, position: Array, order: Array, logs: Array) -> Array:
    """Σ p · change over the rows that are left before each pick, p their softmax."""
    last = len(order) - 1
    mean = math.exp(scores[order[last]] - logs[last]) * change[order[last]]
    for r in range(len(scores)):
        if not position[r] > 0:
            mean += math.exp(scores[r] - logs[last]) * change[r]
    means = np.empty(len(order), np.float64)
    means[last] = mean
    for j in range(last - 1, -1, -1):
        row = order[j]
        mean = mean * math.exp(logs[j + 1] - logs[j]) + math.exp(scores[row] - logs[j]) * change[row]
        means[j] = mean
    return means
