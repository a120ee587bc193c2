"""What tree rankers share: they are fitted, not trained by gradients, and score row by row."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ranking.slates import Slates


class ModelError(Exception):
    """A model file that is not what it must be, and is therefore not trusted."""


class Fitted(Protocol):
    """A fitted tree ranker."""

    def scores(self, slates: Slates) -> Tensor:
        """Scores (S, N) of S slates; padding scores 0."""
        ...

    def dump(self) -> bytes:
        """The content of one file in an open format; equal models give equal bytes."""
        ...


CONSTANT = b"a constant ranker: there was no candidate to learn from\n"
"""The content of a `Constant`'s file."""


class Constant:
    """Scores everything alike, for a user whose pools were all empty; implements `Fitted`."""

    def scores(self, slates: Slates) -> Tensor:
        """(S, N) zeros."""
        return torch.zeros(slates.mask.shape, dtype=torch.float64)

    def dump(self) -> bytes:
        """CONSTANT."""
        return CONSTANT


def scores_of_rows(predict: Callable[[Tensor], Tensor], slates: Slates) -> Tensor:
    """(S, N) float64: ``predict`` ((R, F) → (R,)) applied to the candidates, 0 in the padding."""
    scores = torch.zeros(slates.mask.shape, dtype=torch.float64)
    if slates.mask.any():
        scores[slates.mask] = predict(slates.features[slates.mask]).double()
    return scores
