"""Training losses of a slate's scores against its reference.

All take scores (…, N), position (…, N) with the candidate's place in the reference (0 outside it) and
mask (…, N), and return one loss per slate (…). BCE and MSE are *summed over the pool*: with the sum
the talk's λ = 15 weighs a user's data properly; averaged over candidates it would drown it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def bce(scores: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of membership in the reference, scores being logits."""
    target = (position > 0).to(scores.dtype)
    return (binary_cross_entropy_with_logits(scores, target, reduction="none") * mask).sum(-1)


def mse(scores: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    """Squared distance of sigmoid(score) to 1/position for the reference, to 0 outside it.

    The sigmoid keeps predictions where the targets are, in [0, 1], and the curvature near that of
    ``bce``: one step size suits both. It changes no ranking.
    """
    target = (position > 0) / position.clamp(min=1).to(scores.dtype)
    return ((scores.sigmoid() - target).square() * mask).sum(-1)


def softmax(scores: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of softmax(scores) against the uniform distribution on the reference (ListNet, Cao 2007).

    A slate without a reference in its pool has loss 0: there is nothing to raise.
    """
    member = ((position > 0) & mask).to(scores.dtype)
    log_share = scores.masked_fill(~mask, -torch.inf).log_softmax(-1).masked_fill(~mask, 0)
    return -(log_share * member).sum(-1) / member.sum(-1).clamp(min=1)


def listmle(scores: Tensor, position: Tensor, mask: Tensor) -> Tensor:
    """Minus the log-likelihood of the reference's order by a Plackett–Luce model (ListMLE, Xia 2008, top m).

    The user picks the first of the reference from the whole pool, the second from what is left, and so on,
    each time by softmax(scores). With one wanted candidate it is ``softmax``. A slate without a reference in
    its pool has loss 0.
    """
    member = (position > 0) & mask
    last = torch.iinfo(position.dtype).max
    place = torch.where(member, position, torch.where(mask, last - 1, last))  # members, others, padding
    order = place.sort(dim=-1, stable=True).indices
    ranked = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 2).gather(-1, order)
    left = ranked.flip(-1).logcumsumexp(-1).flip(-1)
    return ((left - ranked) * member.gather(-1, order)).sum(-1)


POINTWISE = ("bce", "mse")
"""Losses that judge every candidate by itself: a score is the logit of its being wanted."""

LOSSES: dict[str, Loss] = {"bce": bce, "mse": mse, "softmax": softmax, "listmle": listmle}
