"""The hyper-parameters of a forest that is grown by all users together; `tasks.growing` grows it."""

import math
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

PRICES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""Of own votes, among which validation chooses, besides ∞: everybody's votes alone."""


@dataclass(frozen=True)
class Growing:
    """How a federated forest is grown, beside what every forest has.

    Attributes:
        bins: into which a feature is divided, at most.
        max_depth: of a tree.
        sample: the part of each user's slates that a tree sees while it grows.
        own_depth: down to this depth, a tree's branches are weighed by each user; 0: whole trees.
        own_price: how much evidence of their own moves a user's votes half of the way; ``auto``: each user
            chooses by their validation slates.
    """

    bins: Annotated[int, Field(ge=2, le=256)] = 32
    max_depth: Annotated[int, Field(ge=1, le=24)] = 14
    sample: Annotated[float, Field(gt=0, le=1)] = 0.5
    own_depth: Annotated[int, Field(ge=0, le=8)] = 5
    own_price: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"

    @property
    def prices(self) -> tuple[float, ...]:
        """What there is to choose from; just one where it is set."""
        return (math.inf, *PRICES) if self.own_price == "auto" else (self.own_price,)
