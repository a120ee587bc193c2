"""`mlp`: a multi-layer perceptron over the features of each candidate."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ranking.compiled import Architecture
from ranking.rankers.network import Layout, dense, dense_shapes
from ranking.slates import Rows


@dataclass(frozen=True)
class MLP:
    """Hyper-parameters.

    Attributes:
        hidden: sizes of the hidden layers.
    """

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)] = (64, 64)

    def network(self, features: int, texts: Sequence[str]) -> "MLPNetwork":
        """The network for slates with this many features; it reads no texts."""
        return MLPNetwork((features, *self.hidden, 1))


@dataclass(frozen=True)
class MLPNetwork:
    """An MLP with its layer sizes fixed; implements `Network`."""

    sizes: tuple[int, ...]

    @property
    def layout(self) -> Layout:
        """See `Network.layout`."""
        return Layout(dense_shapes(list(self.sizes)))

    @property
    def architecture(self) -> Architecture:
        """See `Network.architecture`."""
        return Architecture(self.sizes)

    def scores(self, w: Tensor, rows: Rows) -> Tensor:
        """See `Network.scores`."""
        return self.head(w, self.inputs(w, rows))

    def inputs(self, w: Tensor, rows: Rows) -> Tensor:
        """See `Network.inputs`: the features alone."""
        return rows.features

    def head(self, w: Tensor, inputs: Tensor) -> Tensor:
        """See `Network.head`."""
        return dense(self.layout.split(w), inputs, len(self.sizes) - 1).squeeze(-1)

    def beside(self, texts: Sequence[str]) -> "MLPNetwork":
        """See `Network.beside`: it reads no texts."""
        return self
