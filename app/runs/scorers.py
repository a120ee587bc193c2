"""Who ranks slates: yardsticks, the truth where it is known, and the models of a run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from app.runs.directory import Run
from ranking.rankers.trees import ModelError
from ranking.slates import Slates
from ranking.sources import Source

Scorer = Callable[[Slates, slice], Tensor]
"""Scores (C, N) of some slates, given with their numbers among all of their split."""


def yardstick_scorers(source: Source, split: str) -> dict[str, Scorer | None]:
    """What the yardsticks score slates of a split by; None for those that there are not."""
    scorers: dict[str, Scorer | None] = {
        name: None if by is None else partial(_alone, by) for name, by in source.yardsticks().items()
    }
    utilities = source.utilities(split)
    scorers["oracle"] = None if utilities is None else lambda _, numbers: utilities[numbers]
    return scorers


def _alone(scores: Callable[[Slates], Tensor], some: Slates, _: slice) -> Tensor:
    """Scores that need to know only the slates."""
    return scores(some)


def model_scorers(run: Run, source: Source, permuted: bool = False) -> dict[str, Scorer | None]:
    """What a run's models score slates by: ``global``, None where there is no common model, and ``personal``,
    which is the same function where nobody has a model of their own.

    The scorers raise ModelError for scores that are not finite.
    """
    model, users = run.model(source), len(source.users)

    def finite(scores: Tensor) -> Tensor:
        if not torch.isfinite(scores).all():
            raise ModelError(f"{run.directory}: the model's scores are not finite.")
        return scores

    def common(some: Slates, _: slice) -> Tensor:
        scores = model.global_scores(some)
        assert scores is not None, "asked only where there is a common model"
        return finite(scores)

    def personal(some: Slates, _: slice) -> Tensor:
        return finite(model.personal_scores(replace(some, user=(some.user + permuted) % users)))

    return {
        "global": common if model.has_common else None,
        "personal": personal if model.has_own else common,
    }
