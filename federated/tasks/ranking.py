"""The main job: each user's training slates, ranked by a network shared or their own."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from data.schema import DataError
from federated.tasks import Chance
from ranking.losses import LOSSES
from ranking.metrics import slate_metrics, summarise
from ranking.rankers.network import Network
from ranking.scoring import network_scores
from ranking.slates import Rows, Slates


@dataclass(frozen=True)
class RankingBatch:
    """Slates (C, B) as rows, what losses ask of them, and the weight (C, B) of each in its client's loss."""

    rows: Rows
    position: Tensor
    mask: Tensor
    wanted: Tensor
    weight: Tensor

    @classmethod
    def of(cls, slates: Slates, weight: Tensor) -> "RankingBatch":
        """The batch of slates (C, B); weights of a client sum to 1."""
        return cls(Rows.of(slates), slates.position, slates.mask, slates.wanted, weight)

    def split(self, clients: int) -> list["RankingBatch"]:
        """Views of this batch, so many clients each, with no more padding than they need."""
        sizes = self.mask.flatten(1).sum(1).view(-1, clients).amax(1).tolist()
        tensors = (self.position, self.mask, self.wanted, self.weight)
        rest = zip(*(tensor.split(clients) for tensor in tensors), strict=True)
        rows = self.rows.split(clients, sizes)
        return [RankingBatch(part, *others) for part, others in zip(rows, rest, strict=True)]


@dataclass(frozen=True)
class RankingTask:
    """U users' training slates, stored once, in memory or on disk, and gathered by index.

    Attributes:
        network: the ranker.
        loss_name: a key of LOSSES; without meaning where a `RankingPolicy` learns from payments.
        train: slates sorted by user; users are 0 … U−1 and each has at least one.
        validation: slates for `evaluate`.
        rows: (R,) which of ``train`` to learn from, in their order.
        start: (U + 1,) user u's slates are train[rows[start[u] : start[u+1]]].
    """

    network: Network
    loss_name: str
    train: Slates
    validation: Slates
    rows: Tensor = field(repr=False)
    start: Tensor = field(repr=False)

    @classmethod
    def of(
        cls,
        network: Network,
        loss: str,
        train: Slates,
        validation: Slates,
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

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`: training slates per user."""
        return self.start.diff()

    def initial(self, seed: int) -> Tensor:
        """See `Task.initial`."""
        return self.network.layout.initial(torch.Generator().manual_seed(seed))

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[list[RankingBatch]]:
        """See `Task.batches`."""
        steps, draws, clients, size = index.shape
        together = self.train[self.rows[(self.start[users][:, None] + index).reshape(-1, size)]]
        whole = RankingBatch.of(together, torch.full((len(together.mask), size), 1 / size))
        parts = whole.split(clients)
        return [parts[step * draws : (step + 1) * draws] for step in range(steps)]

    def everything(self, users: Tensor, seed: int) -> list[RankingBatch]:
        """See `Task.everything`; users with fewer slates than the longest get slates of weight 0."""
        size = self.samples[users][:, None]
        index = torch.arange(int(size.max())).expand(len(users), -1)
        slates = self.train[self.rows[self.start[users][:, None] + torch.minimum(index, size - 1)]]
        real = index < size
        slates = replace(slates, mask=slates.mask & real[..., None])
        return [RankingBatch.of(slates, real / size)]

    def loss(self, w: Tensor, batch: RankingBatch) -> Tensor:
        """See `Task.loss`."""
        scores = batch.rows.unpack(self.network.scores(w, batch.rows))
        return (LOSSES[self.loss_name](scores, batch.position, batch.mask) * batch.weight).sum(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """Validation loss and NMRR, averaged over each user's slates and then over users."""
        scores, nmrr = self.judge(w)
        loss = LOSSES[self.loss_name](scores, self.validation.position, self.validation.mask)
        return summarise({"loss": loss, "nmrr": nmrr}, self.validation.user)

    def judge(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (S, N) of the validation slates and their NMRR (S,)."""
        scores = network_scores(self.network, w, self.validation)
        if not torch.isfinite(scores).all():
            raise FloatingPointError("the model's scores are no longer finite.")
        return scores, slate_metrics(scores, self.validation)["nmrr"]

    def pooled(self) -> "RankingTask":
        """See `Task.pooled`."""
        return replace(self, start=self.start[torch.tensor([0, -1])])
