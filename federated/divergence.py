"""Trainings whose model is lost, or that merge nothing: which settings would help."""

from collections.abc import Sequence

from federated.server.admission import TOO_LARGE, TOO_STALE
from federated.server.intake import DOUBLE, SPENT, TOO_FEW, TOO_SOON

LOST = "the model is no longer finite"

STEPS = ("lr", "server_lr", "alpha", "inner_lr", "lam", "mu")
"""Hyper-parameters that make a model diverge when they are too large, where an algorithm has them."""

REMEDIES = {
    TOO_LARGE: "a larger max_update_norm",
    TOO_STALE: "a larger max_staleness, or fewer users in flight",
}
"""What else helps, by the reason why updates were refused."""

PASSED_OVER = {
    DOUBLE: "try a smaller buffer",
    SPENT: "try more participations",
    TOO_SOON: "try a smaller band, or fewer leaves",
    TOO_FEW: "try a larger cohort or buffer, or another rule",
}
"""Reasons that say nothing of updates themselves, and what helps if none was merged."""


def diverged(
    parts: Sequence[object], done: int, what: str = LOST, instead: str | None = None
) -> FloatingPointError:
    """The error of a training whose model is lost, with what would help.

    Args:
        parts: what has the hyper-parameters of the training.
        done: updates that have arrived.
        what: has happened.
        instead: helps besides.
    """
    *others, last = [name for name in STEPS if any(hasattr(part, name) for part in parts)]
    smaller = f"a smaller {', '.join(others)} or {last}" if others else f"a smaller {last}"
    remedy = f"{instead}, or {smaller}" if instead else smaller
    return FloatingPointError(f"{what} after {done} updates: try {remedy}.")
