"""Slates as padded, stacked tensors: what every ranker scores and every loss and metric reads."""

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.schema import DataError


@dataclass(frozen=True)
class Slates:
    """Slates with any leading axes ``…`` (usually S slates, or C clients × B slates) of N candidates.

    Attributes:
        features: (…, N, F) float32, 0 in the padding.
        mask: (…, N) bool, True where there is a candidate.
        position: (…, N) int16, the candidate's place 1, 2, … in the reference, 0 outside it.
        wanted: (…) int16, length m of the reference, whether or not it is in the pool.
        user: (…) int64, whose slate it is.
        candidates: (…, N) int32 query ids, -1 in the padding.
        typed: (…) int16, length of the prefix in characters.
    """

    features: Tensor
    mask: Tensor
    position: Tensor
    wanted: Tensor
    user: Tensor
    candidates: Tensor
    typed: Tensor

    def __len__(self) -> int:
        return self.mask.shape[0]

    def __getitem__(self, index: Tensor) -> "Slates":
        """Select along the first axis; an index of shape (C, B) gives slates with axes (C, B)."""
        return Slates(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def where_user(self, users: Tensor) -> "Slates":
        """The slates of these users, in the order they stand."""
        return self[torch.isin(self.user, users).nonzero().squeeze(1)]

    @classmethod
    def empty(cls, slates: int, candidates: int, features: int, directory: Path | None = None) -> "Slates":
        """Room for S slates of N candidates with F features.

        Args:
            slates: S.
            candidates: N.
            features: F.
            directory: if given, the tensors are files there, mapped into memory: whatever their size, the
                machine holds those pages only that are in use.
        """

        def room(name: str, dtype: torch.dtype, *shape: int) -> Tensor:
            if directory is None or not math.prod(shape):
                return torch.zeros(shape, dtype=dtype)
            directory.mkdir(parents=True, exist_ok=True)
            file = str(directory / name)
            return torch.from_file(file, shared=True, size=math.prod(shape), dtype=dtype).view(shape)

        return cls(
            features=room("features", torch.float32, slates, candidates, features),
            mask=room("mask", torch.bool, slates, candidates),
            position=room("position", torch.int16, slates, candidates),
            wanted=room("wanted", torch.int16, slates),
            user=room("user", torch.int64, slates),
            candidates=room("candidates", torch.int32, slates, candidates).fill_(-1),
            typed=room("typed", torch.int16, slates),
        )

    def put(
        self,
        slate: int,
        features: NDArray[np.float32],
        pool: NDArray[np.int32],
        reference: NDArray[np.int32],
        user: int,
        typed: int,
    ) -> None:
        """Fill in slate number ``slate``: its pool (N,) with features (N, F), and what was wanted.

        Raises:
            DataError: a feature is NaN or infinite.
        """
        if not np.isfinite(features).all():
            candidate, feature = (int(i) for i in np.argwhere(~np.isfinite(features))[0])
            raise DataError(f"slate {slate}, candidate {candidate}: feature {feature} is NaN or infinite.")
        size = len(pool)
        place = {query: at for at, query in enumerate(reference.tolist(), start=1)}
        self.features.numpy()[slate, :size] = features
        self.mask.numpy()[slate, :size] = True
        self.position.numpy()[slate, :size] = [place.get(query, 0) for query in pool.tolist()]
        self.candidates.numpy()[slate, :size] = pool
        self.wanted[slate], self.user[slate], self.typed[slate] = len(reference), user, typed


@dataclass(frozen=True)
class Rows:
    """The candidates of slates without their padding: what networks score.

    C clients' R rows each, R being the most candidates that any client has; clients with fewer repeat
    some slot, whose score `unpack` drops.

    Attributes:
        features: (C, R, F).
        candidates: (C, R) query ids.
        typed: (C, R) characters typed.
        slot: (C, B, N) the row of each slate's candidate, anything in the padding.
    """

    features: Tensor
    candidates: Tensor
    typed: Tensor
    slot: Tensor

    @classmethod
    def of(cls, slates: Slates) -> "Rows":
        """The rows of slates with axes (C, B)."""
        mask = slates.mask.flatten(1)
        place = mask.cumsum(1) - 1
        size = int(mask.sum(1).max())
        source = torch.zeros(len(mask), size + 1, dtype=torch.int64)
        source.scatter_(1, torch.where(mask, place, size), torch.arange(mask.shape[1]).expand_as(mask))
        source = source[:, :size]
        client = torch.arange(len(mask))[:, None]
        typed = slates.typed[..., None].expand(slates.mask.shape).flatten(1)
        return cls(
            slates.features.flatten(1, 2)[client, source],
            slates.candidates.flatten(1)[client, source].clamp(min=0),
            typed[client, source],
            place.clamp(min=0).view(slates.mask.shape),
        )

    def split(self, clients: int, sizes: list[int]) -> list["Rows"]:
        """Views of these rows: part k is the next so many clients, who have at most sizes[k] rows each."""
        tensors = (self.features, self.candidates, self.typed, self.slot)
        parts = zip(*(tensor.split(clients) for tensor in tensors), strict=True)
        return [
            Rows(features[:, :size], candidates[:, :size], typed[:, :size], slot)
            for (features, candidates, typed, slot), size in zip(parts, sizes, strict=True)
        ]

    def unpack(self, scores: Tensor) -> Tensor:
        """Scores (C, R) of rows back in their slates: (C, B, N), anything in the padding."""
        return scores.gather(1, self.slot.flatten(1)).view(self.slot.shape)


def pad(rows: list[Tensor], value: float = 0) -> Tensor:
    """Stack tensors of shape (N_r, …) into (R, max N_r, …), filling up with ``value``."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
