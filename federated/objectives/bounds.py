"""Bounds of hyper-parameters."""

from typing import Annotated

from pydantic import Field

MOST = 1e30
"""Greatest factor that makes sense: its products still are numbers of 32 bits."""

Positive = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
