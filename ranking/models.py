"""What a run has learned: a model for everyone, models of the users' own, or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ranking.rankers.network import Network
from ranking.rankers.trees import Fitted
from ranking.scoring import network_scores
from ranking.slates import Slates


class Model(Protocol):
    """Scores slates for everyone alike, and for each slate's own user."""

    @property
    def has_common(self) -> bool:
        """Whether there is a model for everyone: not where every user trained alone."""
        ...

    @property
    def has_own(self) -> bool:
        """Whether anybody has a model of their own."""
        ...

    def global_scores(self, slates: Slates) -> Tensor | None:
        """(S, N), or None where there is no model for everyone."""
        ...

    def personal_scores(self, slates: Slates) -> Tensor:
        """(S, N) by each slate's user's own model; by the global one where the algorithm has no other."""
        ...


@dataclass(frozen=True)
class NeuralModel:
    """A network's parameters: ``common`` (P,) and ``personal`` (U, P); one of them may be None."""

    network: Network
    common: Tensor | None
    personal: Tensor | None

    @property
    def has_common(self) -> bool:
        """See `Model.has_common`."""
        return self.common is not None

    @property
    def has_own(self) -> bool:
        """See `Model.has_own`."""
        return self.personal is not None

    def global_scores(self, slates: Slates) -> Tensor | None:
        """See `Model.global_scores`."""
        return None if self.common is None else network_scores(self.network, self.common, slates)

    def of(self, user: int) -> Tensor:
        """(P,) what ranks for a user: their own model, or the common one where nobody has another."""
        w = self.common if self.personal is None else self.personal[user]
        assert w is not None, "a model has a common part, a personal part, or both"
        return w

    def keeps_common(self, user: int) -> bool:
        """Whether what ranks for a user is the common model."""
        return self.common is not None and torch.equal(self.of(user), self.common)

    def personal_scores(self, slates: Slates) -> Tensor:
        """See `Model.personal_scores`."""
        w = self.common if self.personal is None else self.personal
        assert w is not None, "a model has a common part, a personal part, or both"
        return network_scores(self.network, w, slates)


@dataclass(frozen=True)
class TreeModel:
    """Fitted trees: one ``common`` ranker, or a ``personal`` one for each user."""

    common: Fitted | None
    personal: Sequence[Fitted]

    @property
    def has_common(self) -> bool:
        """See `Model.has_common`."""
        return self.common is not None

    @property
    def has_own(self) -> bool:
        """See `Model.has_own`."""
        return self.common is None

    def global_scores(self, slates: Slates) -> Tensor | None:
        """See `Model.global_scores`."""
        return None if self.common is None else self.common.scores(slates)

    def personal_scores(self, slates: Slates) -> Tensor:
        """See `Model.personal_scores`."""
        if self.common is not None:
            return self.common.scores(slates)
        scores = torch.zeros(slates.mask.shape, dtype=torch.float64)
        for user in slates.user.unique().tolist():
            rows = (slates.user == user).nonzero().squeeze(1)
            scores[rows] = self.personal[user].scores(slates[rows])
        return scores
