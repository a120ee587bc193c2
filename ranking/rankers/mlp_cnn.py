"""`mlp-cnn`: a character CNN over prefix and suggestion beside the MLP over features.

The CNN reads a suggestion's characters and, as one more channel, which of them the user has typed;
its strongest response per filter joins the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import embedding

from ranking.compiled import Architecture
from ranking.rankers.network import Layout, dense, dense_shapes
from ranking.slates import Rows

ALPHABET = 97
"""Codes of characters: 0 is padding, 1 to 95 printable ASCII, 96 anything else."""


@dataclass(frozen=True)
class MLPCNN:
    """Hyper-parameters.

    Attributes:
        hidden: sizes of the hidden layers.
        characters: of a suggestion that are read, from its beginning.
        embedding: numbers that stand for a character.
        filters: how many there are.
        width: characters that a filter sees at once.
    """

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)] = (64, 64)
    characters: Annotated[int, Field(ge=4, le=200)] = 24
    embedding: Annotated[int, Field(ge=1, le=256)] = 8
    filters: Annotated[int, Field(ge=1, le=256)] = 16
    width: Annotated[int, Field(ge=1, le=4)] = 3

    def network(self, features: int, texts: Sequence[str]) -> "MLPCNNNetwork":
        """The network for slates with this many features whose query ids index ``texts``."""
        return MLPCNNNetwork(self, features, encode(texts, self.characters))


@plain_dataclass(frozen=True)
class MLPCNNNetwork:
    """The network with the encoded texts (V, L) of the queries; implements `Network`."""

    shape: MLPCNN
    features: int
    codes: Tensor = field(repr=False)

    @property
    def layout(self) -> Layout:
        """See `Network.layout`."""
        shape = self.shape
        convolution = {
            "convolution.weight": ((shape.embedding + 1) * shape.width, shape.filters),
            "convolution.bias": (shape.filters,),
        }
        sizes = list(self.architecture.sizes)
        return Layout({"embedding": (ALPHABET, shape.embedding)} | convolution | dense_shapes(sizes))

    @property
    def architecture(self) -> Architecture:
        """See `Network.architecture`."""
        shape = self.shape
        sizes = (self.features + shape.filters, *shape.hidden, 1)
        return Architecture(sizes, self.codes, ALPHABET, shape.embedding, shape.width, shape.filters)

    def scores(self, w: Tensor, rows: Rows) -> Tensor:
        """See `Network.scores`."""
        return self.head(w, self.inputs(w, rows))

    def inputs(self, w: Tensor, rows: Rows) -> Tensor:
        """See `Network.inputs`: the features, then each filter's strongest response."""
        return torch.cat([rows.features, self._read(self.layout.split(w), rows)], dim=-1)

    def head(self, w: Tensor, inputs: Tensor) -> Tensor:
        """See `Network.head`."""
        return dense(self.layout.split(w), inputs, len(self.shape.hidden) + 1).squeeze(-1)

    def beside(self, texts: Sequence[str]) -> "MLPCNNNetwork":
        """See `Network.beside`."""
        more = encode(texts, self.shape.characters)
        return MLPCNNNetwork(self.shape, self.features, torch.cat([self.codes, more]))

    def _read(self, named: dict[str, Tensor], rows: Rows) -> Tensor:
        """(C, R, filters): the strongest response of each filter to each candidate's text."""
        codes = self.codes[rows.candidates.long()].long()
        clients, size, length = codes.shape
        own_alphabet = torch.arange(clients)[:, None, None] * ALPHABET
        characters = embedding(codes + own_alphabet, named["embedding"].flatten(0, 1))
        typed = (rows.typed[..., None] > torch.arange(length)).to(characters.dtype)
        read = torch.cat([characters, typed[..., None]], dim=-1)
        windows = read.unfold(2, self.shape.width, 1).flatten(3).flatten(1, 2)
        bias, weight = named["convolution.bias"][:, None], named["convolution.weight"]
        response = torch.baddbmm(bias, windows, weight).relu()
        return response.view(clients, size, -1, self.shape.filters).amax(2)


def encode(texts: Sequence[str], length: int) -> Tensor:
    """(V, length) uint8 codes of each text's first characters, lower-cased."""
    codes = torch.zeros(len(texts), length, dtype=torch.uint8)
    for row, text in enumerate(texts):
        points = [ord(c) - 31 for c in text.lower()[:length]]
        codes[row, : len(points)] = torch.tensor([p if 1 <= p <= 95 else 96 for p in points])
    return codes
