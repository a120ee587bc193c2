"""The main job: each user's training slates, ranked by a network shared or their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from data.arrays import ranges
from data.progress import Tell, silent
from data.schema import DataError
from federated.tasks import Ask, Chance, Descent, Rehearsal, nobody
from federated.tasks.autograd import ByAutograd
from federated.workers import in_parallel, shared
from ranking.compiled import Compiled
from ranking.kernels import Steps
from ranking.losses import LOSSES, POINTWISE
from ranking.metrics import nmrr, summarise
from ranking.rankers.network import Network
from ranking.scoring import network_scores
from ranking.slates import Rows, Slates, StoredSlates, pad_front

Known = Slates | StoredSlates
"""Slates that are there already, padded (a few, for tests) or not."""

VALIDATION = "validation"
"""What it is called where its progress is shown."""

RARE = -3.0
"""The logit at which scores begin: most candidates are not wanted (Lin 2017, section 4.1: "prior"). From a
probability of ½ all scores would fall together, past where a squared error has a slope."""

JUDGED = 1000
"""Validation slates scored at once."""


@dataclass(frozen=True)
class RankingBatch:
    """Slates with the numbers ``index`` (C, B), and the ``weight`` (C, B) of each in its client's loss.

    Weights of a client sum to 1. Slates of weight 0 stand in for such as their client does not have: they
    have no candidates. What autograd needs of the slates is gathered when it is asked for.
    """

    slates: Known
    index: Tensor
    weight: Tensor

    @cached_property
    def rows(self) -> Rows:
        """Their candidates without padding."""
        return self.slates.rows(self.index, self.weight > 0)

    @property
    def mask(self) -> Tensor:
        """(C, B, N), see `Slates`."""
        return self._marks[0]

    @property
    def position(self) -> Tensor:
        """(C, B, N), see `Slates`."""
        return self._marks[1]

    @property
    def wanted(self) -> Tensor:
        """(C, B), see `Slates`."""
        return self.slates.wanted[self.index]

    @cached_property
    def _marks(self) -> tuple[Tensor, Tensor]:
        mask, position = self.slates.marks(self.index)
        return mask & (self.weight > 0)[..., None], position


@dataclass(frozen=True)
class RankingBatches(Sequence[RankingBatch]):
    """K batches of the same clients: slates with the numbers (K, C, B), one weight (C, B) for all."""

    slates: Known
    numbers: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: Any) -> Any:
        kind = RankingBatches if isinstance(which, slice) else RankingBatch
        return kind(self.slates, self.numbers[which], self.weight)


def initial(network: Network, loss: str, seed: int) -> Tensor:
    """Start parameters (P,); where candidates are judged one by one, scores begin at what most deserve."""
    start = network.layout.initial(torch.Generator().manual_seed(seed))
    if loss in POINTWISE:
        start[-1] += RARE  # the last layer's bias
    return start


@dataclass(frozen=True)
class RankingTask(ByAutograd):
    """U users' training slates, stored once, in memory or on disk, and gathered by index.

    Attributes:
        network: the ranker.
        loss_name: a key of LOSSES; without meaning where a `RankingPolicy` learns from payments.
        train: slates sorted by user; users are 0 … U−1 and each has at least one.
        validation: slates for `evaluate`.
        rows: (R,) which of ``train`` to learn from, in their order.
        start: (U + 1,) user u's slates are train[rows[start[u] : start[u+1]]].
        tell: is told how far a validation is.
    """

    network: Network
    loss_name: str
    train: Known
    validation: Known
    rows: Tensor = field(repr=False)
    start: Tensor = field(repr=False)
    tell: Tell = silent

    @classmethod
    def of(
        cls,
        network: Network,
        loss: str,
        train: Known,
        validation: Known,
        users: int,
        rows: Tensor | None = None,
    ) -> "RankingTask":
        """The task of these slates; without ``rows`` all of ``train`` are learned from.

        Raises:
            DataError: a user without a training slate.
            ValueError: slates out of user order.
        """
        rows = torch.arange(len(train)) if rows is None else rows
        counts = torch.bincount(train.user[rows], minlength=users)
        if (counts == 0).any():
            raise DataError(f"user {int(counts.argmin())} has no slate to train on: leave such users out.")
        if (train.user[rows].diff() < 0).any():
            raise ValueError("training slates must be sorted by user.")
        start = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        return cls(network, loss, train, validation, rows, start)

    @cached_property
    def samples(self) -> Tensor:
        """See `Task.samples`: training slates per user."""
        return self.start.diff()

    def initial(self, seed: int) -> Tensor:
        """See `Task.initial`."""
        return initial(self.network, self.loss_name, seed)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> RankingBatches:
        """See `Task.batches`."""
        together = self.rows[self.start[users][:, None] + index]
        return RankingBatches(self.train, together, torch.full(index.shape[1:], 1 / index.shape[-1]))

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> RankingBatches:
        """See `Task.everything`; users with fewer slates than the longest get slates of weight 0."""
        held = self.samples[users][:, None]
        size = held if most is None else held.clamp(max=most)
        index = torch.arange(int(size.max())).expand(len(users), -1)
        slates = self.rows[self.start[users][:, None] + held - size + torch.minimum(index, size - 1)]
        return RankingBatches(self.train, slates[None], (index < size) / size)

    def loss(self, w: Tensor, batch: RankingBatch) -> Tensor:
        """See `Task.loss`."""
        scores = batch.rows.unpack(self.network.scores(w, batch.rows))
        return (LOSSES[self.loss_name](scores, batch.position, batch.mask) * batch.weight).sum(1)

    @property
    def stacked(self) -> bool:
        """See `Task.stacked`."""
        return self.compiled is None

    @cached_property
    def compiled(self) -> Compiled | None:
        """What computes derivatives faster than autograd does, where it can."""
        return Compiled.of(self.train, self.network.architecture, self.loss_name, shared)

    def gradient(self, w: Tensor, batch: RankingBatch) -> Tensor:
        """See `Slopes.gradient`."""
        if self.compiled is None:
            return super().gradient(w, batch)
        return self.compiled.gradient(w, batch.index, batch.weight)

    def hessian_times(self, w: Tensor, v: Tensor, batch: RankingBatch) -> Tensor:
        """See `Slopes.hessian_times`."""
        if self.compiled is None:
            return super().hessian_times(w, v, batch)
        return self.compiled.hessian_times(w, v, batch.index, batch.weight)

    def descend(
        self, w: Tensor, anchor: Tensor, batches: Sequence[RankingBatch], how: Descent, ask: Ask = nobody
    ) -> Tensor:
        """See `Task.descend`."""
        if self.compiled is None or not isinstance(batches, RankingBatches):
            return super().descend(w, anchor, batches, how, ask)
        steps = Steps(how.steps, how.lr, how.pull, how.tolerance, how.way, how.laps)
        return self.compiled.descend(w, anchor, batches.numbers, batches.weight, steps, ask)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """Validation loss and NMRR, averaged over each user's slates and then over users."""

        def loss(scores: Tensor, slates: Slates, chunk: int) -> Tensor:
            return LOSSES[self.loss_name](scores, slates.position, slates.mask)

        return self.judge(w, loss)

    def judge(self, w: Tensor, loss: Callable[[Tensor, Slates, int], Tensor]) -> dict[str, float]:
        """Mean loss and NMRR of the validation slates, some at a time, so that memory stays small.

        Args:
            w: one model (P,) for all, or one for each user (U, P).
            loss: (S,) of slates, given their scores (S, N), themselves and the number of their chunk.
        """

        def piece(chunk: int) -> tuple[Tensor, Tensor]:
            slates = self.validation[chunks[chunk]]
            scores = network_scores(self.network, w, slates)
            if not torch.isfinite(scores).all():
                raise FloatingPointError("the model's scores are no longer finite")
            losses = loss(scores, slates, chunk)
            if not torch.isfinite(losses).all():
                raise FloatingPointError("the model's loss is no longer finite")
            return losses, nmrr(scores, slates)

        number = len(self.validation)
        chunks = torch.arange(number).split(JUDGED)
        self.tell(VALIDATION, 0, number)
        judged = in_parallel(
            piece, range(len(chunks)), lambda done: self.tell(VALIDATION, min(done * JUDGED, number), number)
        )
        losses, ranked = map(torch.cat, zip(*judged, strict=True))
        return summarise({"loss": losses, "nmrr": ranked}, self.validation.user)

    def rehearsal(self) -> Rehearsal | None:
        """See `Task.rehearsal`: by validation slates; everybody keeps at least one slate to learn from."""
        if not len(self.validation):
            return None
        judging = torch.bincount(self.validation.user, minlength=len(self.samples))
        kept = (self.samples - judging).clamp(min=1)
        older = torch.from_numpy(ranges(self.start[:-1].numpy(), kept.numpy()))
        task = replace(self, rows=self.rows[older], start=pad_front(kept.cumsum(0)))
        return Rehearsal(task, judging, self._losses)

    def _losses(self, users: Tensor, w: Tensor) -> Tensor:
        """1 − NMRR, averaged over a user's validation slates, see `Rehearsal.losses`."""
        place = torch.full((len(self.samples),), -1).scatter_(0, users, torch.arange(len(users)))
        theirs = (place[self.validation.user] >= 0).nonzero().squeeze(1)

        def piece(numbers: Tensor) -> Tensor:
            slates = self.validation[numbers]
            slates = replace(slates, user=place[slates.user])
            scores = network_scores(self.network, w, slates)
            finite = torch.isfinite(scores).all(1)
            loss = 1 - nmrr(torch.where(finite[:, None], scores, 0), slates)
            return torch.where(finite, loss, torch.inf)

        whose = place[self.validation.user[theirs]]
        losses = torch.cat([whose.new_zeros(0), *in_parallel(piece, theirs.split(JUDGED))]).double()
        found = losses.new_zeros(len(users)).index_add_(0, whose, losses)
        return found / torch.bincount(whose, minlength=len(users))

    def of_users(self, users: Tensor) -> "RankingTask":
        """The task of some users (C,), who are renumbered in this order; nobody validates it."""
        held = self.samples[users]
        rows = self.rows[torch.from_numpy(ranges(self.start[users].numpy(), held.numpy()))]
        nobody = torch.zeros(0, dtype=torch.int64)
        return replace(self, validation=self.train[nobody], rows=rows, start=pad_front(held.cumsum(0)))

    def flipped(self, users: Tensor) -> "RankingTask":
        """See `Labelled.flipped`: what is wanted becomes unwanted, and everything else wanted.

        Who holds slates on disk gets another column of them in memory.
        """
        train = self.train if isinstance(self.train, StoredSlates) else StoredSlates.of(self.train)
        of_slate, sizes = users[train.user], train.offsets.diff()
        other = (train.position == 0).to(train.position.dtype)
        position = torch.where(of_slate.repeat_interleave(sizes), other, train.position)
        ends = pad_front(other.long().cumsum(0))
        now = (ends[train.offsets[1:]] - ends[train.offsets[:-1]]).clamp(min=1).to(train.wanted.dtype)
        wanted = torch.where(of_slate, now, train.wanted)
        return replace(self, train=replace(train, position=position, wanted=wanted))

    def pooled(self) -> "RankingTask":
        """See `Task.pooled`."""
        return replace(self, start=self.start[torch.tensor([0, -1])])
