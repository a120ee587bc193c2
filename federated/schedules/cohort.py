"""`Cohort`: the synchronous server of FedAvg (McMahan 2017): wait for all of a cohort, then average."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.objectives import NonNegative, Positive
from federated.schedules import Merge
from federated.schedules.clock import exponential_delays, turns


@dataclass(frozen=True)
class Cohort:
    """w ← w − server_lr · Σ_i p_i Δ_i, p_i a user's share of the cohort's samples.

    Attributes:
        cohort: users in a round (all, where there are fewer).
        server_lr: 1 replaces the model by the weighted mean of the cohort's models.
        download_delay: mean delay from server to user, exponential law.
        upload_delay: mean delay back, computing included, exponential law; the slowest user ends the round.
    """

    cohort: Annotated[int, Field(ge=1)] = 20
    server_lr: Positive = 1.0
    download_delay: NonNegative = 1.0
    upload_delay: NonNegative = 1.0

    pools = False

    def run(self, clients: Clients, w: Tensor, updates: int) -> Iterator[Merge]:
        """See `Schedule.run`; the last round is whole, so a few more updates may be merged."""
        size = min(self.cohort, clients.number)
        delays = exponential_delays(clients.seed, self.download_delay, self.upload_delay)
        turn = turns(clients.number, clients.seed)
        time = 0.0
        for _ in range(-(-updates // size)):
            members = dict(islice(turn, size))
            while len(members) < size:  # a cohort across two passes may name a user twice
                members.update([next(turn)])
            users, counters = list(members), list(members.values())
            share = clients.samples[torch.tensor(users)].to(w.dtype)
            deltas = clients.deltas(users, counters, w.expand(size, -1))
            w = w - self.server_lr * (share / share.sum()) @ deltas
            time += max(sum(delays(u, c)) for u, c in members.items())
            yield Merge(w, tuple(users), (0,) * size, size, time)
