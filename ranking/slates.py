"""Slates as padded, stacked tensors: what every ranker scores and every loss and metric reads."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from data.arrays import ranges


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

    @classmethod
    def asked(cls, features: Tensor, candidates: Tensor, user: Tensor, typed: Tensor) -> "Slates":
        """One slate of which nobody knows what is wanted: that of somebody who is typing.

        Args:
            features: (N, F) of its candidates (N,).
            user: (1,) whose it is.
            typed: (1,) length of the prefix.
        """
        size = len(features)
        return cls(
            features=features[None],
            mask=torch.ones(1, size, dtype=torch.bool),
            position=torch.zeros(1, size, dtype=torch.int16),
            wanted=torch.ones(1, dtype=torch.int16),
            user=user,
            candidates=candidates[None],
            typed=typed,
        )

    def __len__(self) -> int:
        return self.mask.shape[0]

    def __getitem__(self, index: Tensor) -> "Slates":
        """Select along the first axis; an index of shape (C, B) gives slates with axes (C, B)."""
        return Slates(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def widest(self) -> int:
        """N."""
        return self.mask.shape[-1]

    def chunks(self, size: int) -> Iterator["Slates"]:
        """All slates, so many at a time."""
        for numbers in torch.arange(len(self)).split(size):
            yield self[numbers]

    def marks(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The ``mask`` and the ``position`` of some slates."""
        return self.mask[index], self.position[index]

    def rows(self, index: Tensor, real: Tensor) -> "Rows":
        """The rows of slates with axes (C, B), but of those only that are ``real`` (C, B)."""
        slates = self[index]
        return Rows.of(replace(slates, mask=slates.mask & real[..., None]))

    def where_user(self, users: Tensor) -> "Slates":
        """The slates of these users, in the order they stand."""
        return self[torch.isin(self.user, users).nonzero().squeeze(1)]


@dataclass(frozen=True)
class Rows:
    """The candidates of slates without their padding: what networks score.

    C clients' R rows each, R being the most candidates that any client has, but at least 1; who has fewer
    repeats some row, whose score is dropped wherever there is no candidate.

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
        size = max(1, int(mask.sum(1).max()))
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


@dataclass(frozen=True)
class StoredSlates:
    """S slates without their padding, R candidates in all; an index gives `Slates` or `Rows` of some of them.

    Attributes:
        offsets: (S + 1,) int64; slate s has the candidates offsets[s] … offsets[s + 1] − 1.
        features: (R, F) float32.
        candidates: (R,) int32 query ids.
        position: (R,) int16, the candidate's place 1, 2, … in its reference, 0 outside it.
        wanted, user, typed: (S,), see `Slates`.
        widest: N, to which slates are padded whichever of them are taken: the most candidates of any, and at
            least 1, also where all pools are empty.
        grade: (R,) int16, how much each candidate is wanted, 0 for not at all; None: nothing but the order
            of a reference is known.
    """

    offsets: Tensor
    features: Tensor
    candidates: Tensor
    position: Tensor
    wanted: Tensor
    user: Tensor
    typed: Tensor
    widest: int
    grade: Tensor | None = None

    @classmethod
    def empty(cls, sizes: Tensor, features: int, directory: Path | None = None) -> "StoredSlates":
        """Room for slates.

        Args:
            sizes: (S,) how many candidates each will have.
            features: F.
            directory: if given, the features are a file there, mapped into memory: whatever its size, the
                machine holds those pages only that are in use.
        """
        slates, rows = len(sizes), int(sizes.sum())
        if directory is None or not rows * features:
            values = torch.zeros(rows, features)
        else:
            directory.mkdir(parents=True, exist_ok=True)
            file = str(directory / "features")
            values = torch.from_file(file, shared=True, size=rows * features).view(rows, features)
        return cls(
            offsets=pad_front(sizes.cumsum(0)),
            features=values,
            candidates=torch.zeros(rows, dtype=torch.int32),
            position=torch.zeros(rows, dtype=torch.int16),
            wanted=torch.zeros(slates, dtype=torch.int16),
            user=torch.zeros(slates, dtype=torch.int64),
            typed=torch.zeros(slates, dtype=torch.int16),
            widest=max(1, int(sizes.max())) if slates else 1,
        )

    @classmethod
    def of(cls, slates: Slates) -> "StoredSlates":
        """The same slates without their padding."""
        mask = slates.mask
        return cls(
            offsets=pad_front(mask.sum(1).cumsum(0)),
            features=slates.features[mask],
            candidates=slates.candidates[mask],
            position=slates.position[mask],
            wanted=slates.wanted,
            user=slates.user,
            typed=slates.typed,
            widest=mask.shape[1],
        )

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, index: Tensor) -> Slates:
        """Select slates; an index of shape (C, B) gives slates with axes (C, B), padded to ``widest``."""
        mask, row = self._places(index)
        return Slates(
            features=_taken(self.features, row).masked_fill_(~mask[..., None], 0),
            mask=mask,
            position=_taken(self.position, row).masked_fill_(~mask, 0),
            wanted=self.wanted[index],
            user=self.user[index],
            candidates=_taken(self.candidates, row).masked_fill_(~mask, -1),
            typed=self.typed[index],
        )

    def all(self) -> Slates:
        """All slates, padded: for few of them."""
        return self[torch.arange(len(self))]

    def chunks(self, size: int) -> Iterator[Slates]:
        """All slates, so many at a time."""
        for numbers in torch.arange(len(self)).split(size):
            yield self[numbers]

    @property
    def missed(self) -> Tensor:
        """(S,) bool: no reference is in the pool, so no ranking can serve this moment."""
        found = pad_front((self.position > 0).cumsum(0))
        return found[self.offsets[1:]] == found[self.offsets[:-1]]

    def subset(self, numbers: Tensor) -> "StoredSlates":
        """Some slates (N,), stored alike."""
        size = self.offsets.diff()[numbers]
        rows = torch.from_numpy(ranges(self.offsets[numbers].numpy(), size.numpy()))
        return replace(
            self,
            offsets=pad_front(size.cumsum(0)),
            features=self.features[rows],
            candidates=self.candidates[rows],
            position=self.position[rows],
            wanted=self.wanted[numbers],
            user=self.user[numbers],
            typed=self.typed[numbers],
            grade=None if self.grade is None else self.grade[rows],
        )

    def graded(self, grade: Tensor) -> "StoredSlates":
        """The same slates with the grades (R,) of their candidates."""
        return replace(self, grade=grade)

    @property
    def relevance(self) -> Tensor:
        """(R,) grades, or where there are none, 1 in the reference and 0 outside it."""
        return (self.position > 0).short() if self.grade is None else self.grade

    def marks(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The ``mask`` and the ``position`` (…, N) of some slates, as `__getitem__` gives them."""
        mask, row = self._places(index)
        return mask, _taken(self.position, row).masked_fill_(~mask, 0)

    def rows(self, index: Tensor, real: Tensor) -> "Rows":
        """The rows of slates with axes (C, B), but of those only that are ``real`` (C, B)."""
        size = self.offsets.diff()[index] * real
        counts = size.sum(1)
        most = max(1, int(counts.max()))
        ends = size.cumsum(1)
        client = torch.arange(len(index))
        # Of every row of every client the slate it is from; clients with fewer repeat their first row.
        place = torch.arange(most).expand(len(index), -1)
        of = torch.searchsorted(ends, place.contiguous(), right=True).clamp_(max=index.shape[1] - 1)
        within = place - (ends - size).gather(1, of)
        source = torch.where(place < counts[:, None], self.offsets[index.gather(1, of)] + within, 0)
        source = torch.where(place < counts[:, None], source, source[:, :1])
        slot = (ends - size)[..., None] + torch.arange(self.widest)
        return Rows(
            _taken(self.features, source),
            _taken(self.candidates, source),
            self.typed[index].gather(1, of),
            torch.minimum(slot, (counts - 1).clamp_(min=0)[client, None, None]),
        )

    def _places(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """(…, N) where there is a candidate, and which row it is; some row of the same slates elsewhere."""
        place = torch.arange(self.widest)
        begin, size = self.offsets[index], self.offsets.diff()[index]
        mask = place < size[..., None]
        return mask, torch.where(mask, begin[..., None] + place, 0)


def _taken(values: Tensor, row: Tensor) -> Tensor:
    """The values (…, *) of rows (…), zeros where there is none at all: pools may all be empty."""
    return values[row] if len(values) else values.new_zeros((*row.shape, *values.shape[1:]))


def pad_front(ends: Tensor) -> Tensor:
    """0 and then ``ends`` (S,): where stretches that end there begin."""
    return torch.nn.functional.pad(ends, (1, 0))


def pad(rows: list[Tensor], value: float = 0) -> Tensor:
    """Stack tensors of shape (N_r, …) into (R, max N_r, …), filling up with ``value``."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
