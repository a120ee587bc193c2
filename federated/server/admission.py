"""Which updates a server merges. One that would harm the model is refused and counted; the run goes on."""

from collections.abc import Sequence

import torch
from torch import Tensor

SHAPE, NOT_FINITE, TOO_LARGE, TOO_STALE = "wrong shape or type", "not finite", "norm over bound", "too stale"
CONTENT = (SHAPE, NOT_FINITE, TOO_LARGE)
"""Why an update is refused for what it holds, whenever it comes."""


def refusals(deltas: Sequence[Tensor] | Tensor, w: Tensor, max_norm: float | None) -> list[str | None]:
    """For each of C updates why it must not be merged into w (P,), or None if it may.

    Args:
        deltas: updates; from outside they can have any shape and any values.
        w: what they are to be merged into.
        max_norm: greatest Euclidean norm; None: any finite one.
    """
    if isinstance(deltas, Tensor) and deltas.shape[1:] == w.shape and deltas.dtype == w.dtype:
        norms = torch.linalg.vector_norm(deltas, dim=1).tolist()
        return [_judge(norm, max_norm) for norm in norms]
    return [
        SHAPE
        if delta.shape != w.shape or delta.dtype != w.dtype
        else _judge(float(torch.linalg.vector_norm(delta)), max_norm)
        for delta in deltas
    ]


def _judge(norm: float, max_norm: float | None) -> str | None:
    if not norm < float("inf"):  # also where it is NaN; a norm is finite only if every value is
        return NOT_FINITE
    return TOO_LARGE if max_norm is not None and norm > max_norm else None
