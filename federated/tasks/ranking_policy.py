"""Ranking as reinforcement learning: scores are a Plackett–Luce policy, paid by the NMRR of its rankings.

Users are tasks. An episode is a ranking, drawn place by place; a place that goes to a wanted candidate pays
1/(place · H_m), and all of a ranking's payments are its NMRR. It trains the very metric that is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.tasks import Chance, Endless, Rehearsal
from federated.tasks.autograd import ByAutograd
from federated.tasks.policy_gradient import leave_one_out, rewards_to_go, surrogate
from federated.tasks.ranking import RankingBatch, RankingTask
from ranking.plackett_luce import draw_rankings, log_probabilities, nmrr_payments
from ranking.rankers.network import Network
from ranking.slates import Slates


@dataclass(frozen=True)
class PlackettLuce:
    """How the policy is sampled.

    Attributes:
        rankings: M, drawn for each slate of a batch; each one's baseline is the mean of the others'.
        reward_scale: what NMRR 1 pays. Steps of the usual size suit losses that are sums over a pool.
    """

    rankings: Annotated[int, Field(ge=2, le=1000)] = 8
    reward_scale: Annotated[float, Field(gt=0, le=1e30)] = 100.0


@plain_dataclass(frozen=True)
class PolicyBatch:
    """Slates (C, B), and exponential variables (C, B, M, N) that decide which rankings a policy draws."""

    slates: RankingBatch
    exponential: Tensor


@plain_dataclass(frozen=True)
class RankingPolicy(ByAutograd):
    """The slates of a `RankingTask`, learned by drawing rankings of them."""

    slates: RankingTask
    policy: PlackettLuce

    @property
    def network(self) -> Network:
        """What gives the scores."""
        return self.slates.network

    @property
    def samples(self) -> Tensor:
        """See `Task.samples`: training slates per user."""
        return self.slates.samples

    def initial(self, seed: int) -> Tensor:
        """See `Task.initial`."""
        return self.slates.initial(seed)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> list[PolicyBatch]:
        """See `Task.batches`."""
        batches, _, size = index.shape
        widest = self.slates.train.widest  # whoever is in the batch: no key means two things
        noise = self._noise(chance, (batches, size, widest))
        slates = self.slates.batches(users, index, chance)
        return [PolicyBatch(slates[batch], noise[:, batch]) for batch in range(batches)]

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> Sequence[PolicyBatch]:
        """See `Task.everything`: new rankings of all slates in every batch."""
        slates = self.slates.everything(users, seed, most)[0]
        people = users.tolist()

        def batch(step: int) -> PolicyBatch:
            chance = Chance(seed, "personal rankings", people, [step] * len(people))
            return PolicyBatch(slates, self._noise(chance, slates.mask.shape[1:]))

        return Endless(batch)

    def loss(self, w: Tensor, batch: PolicyBatch) -> Tensor:
        """Minus the mean NMRR (C,) of the rankings drawn, with the derivatives of its expectation."""
        slates = batch.slates
        scores = slates.rows.unpack(self.network.scores(w, slates.rows))
        with torch.no_grad():
            rankings = draw_rankings(scores, slates.mask, batch.exponential)
            paid = nmrr_payments(slates.position, slates.wanted, rankings)
            to_go = rewards_to_go(paid, discount=1)
            advantage = leave_one_out(to_go)
        chosen = log_probabilities(scores, slates.mask, rankings)
        value = (to_go[..., 0] + surrogate(chosen, advantage)).mean(-1)
        return -self.policy.reward_scale * (value * slates.weight).sum(1)

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """On validation slates NMRR, ranked by score, and as loss minus what drawn rankings are paid."""

        def loss(scores: Tensor, slates: Slates, chunk: int) -> Tensor:
            chance = Chance(0, "judged rankings", [0], [chunk])
            rankings = draw_rankings(scores, slates.mask, self._noise(chance, slates.mask.shape)[0])
            paid = nmrr_payments(slates.position, slates.wanted, rankings)
            return -self.policy.reward_scale * paid.sum(-1).mean(-1)

        return self.slates.judge(w, loss)

    def rehearsal(self) -> Rehearsal | None:
        """See `Task.rehearsal`: judged as if there were a loss."""
        of = self.slates.rehearsal()
        if of is None:
            return None
        assert isinstance(of.task, RankingTask), "its rehearsal is of its own kind"
        return replace(of, task=RankingPolicy(of.task, self.policy))

    def flipped(self, users: Tensor) -> "RankingPolicy":
        """See `Labelled.flipped`: paid for what is not wanted."""
        return RankingPolicy(self.slates.flipped(users), self.policy)

    def pooled(self) -> "RankingPolicy":
        """See `Task.pooled`."""
        return RankingPolicy(self.slates.pooled(), self.policy)

    def _noise(self, chance: Chance, shape: Sequence[int]) -> Tensor:
        """(C, …, M, N) exponential variables for slates of shape (…, N)."""
        size = (*shape[:-1], self.policy.rankings, shape[-1])
        drawn = [one.standard_exponential(size, dtype=np.float32) for one in chance.generators()]
        return torch.from_numpy(np.stack(drawn))


def learned(slates: RankingTask, policy: PlackettLuce | None) -> RankingTask | RankingPolicy:
    """What is learned of slates: their loss, or with a policy what it is paid."""
    return slates if policy is None else RankingPolicy(slates, policy)
