"""`Cohort`: the synchronous server of FedAvg (McMahan 2017): wait for all of a cohort, then average."""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.objectives import Positive
from federated.schedules import Merge
from federated.server.admission import refusals
from federated.server.optimisers import Moments, ServerOptimiser
from federated.state import Snapshot
from federated.virtual_time.clock import Clock, Timed
from federated.virtual_time.roster import Roster


@plain_dataclass
class Rounds:
    """The state of a synchronous server: model (P,), whose turn is next, virtual time, optimiser's state."""

    w: Tensor
    roster: Roster
    time: float = 0.0
    moments: Moments = field(default_factory=Moments)

    def pack(self) -> Snapshot:
        """See `State.pack`."""
        plain = {"time": self.time, "taken": self.roster.taken, "waiting": list(self.roster.waiting.items())}
        return Snapshot({"w": self.w} | self.moments.pack(), plain)


@dataclass(frozen=True)
class Cohort(Timed, ServerOptimiser):
    """w ← w − server_lr · Σ_i p_i Δ_i, p_i a user's share of the cohort.

    More settings from `Timed`; and from `ServerOptimiser`, by which the server may step otherwise.

    Attributes:
        cohort: users in a round (all, where there are fewer); the slowest ends it.
        server_lr: 1 replaces the model by the weighted mean of the cohort's models.
        shares: p_i by "samples" that a user holds, or "equal".
    """

    cohort: Annotated[int, Field(ge=1)] = 20
    server_lr: Positive = 1.0
    shares: Literal["samples", "equal"] = "samples"

    pools = False

    def start(self, clients: Clients, w: Tensor) -> Rounds:
        """See `Schedule.start`."""
        return Rounds(w, Roster(clients.number, clients.seed))

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Rounds:
        """See `Schedule.unpack`."""
        plain = snapshot.plain
        roster = Roster(clients.number, clients.seed, plain["taken"], dict(plain["waiting"]))
        return Rounds(snapshot.tensors["w"], roster, plain["time"], Moments.unpack(snapshot.tensors))

    def run(self, clients: Clients, state: Rounds) -> Iterator[Merge]:
        """See `Schedule.run`."""
        size = min(self.cohort, clients.number)
        clock = Clock(self, clients.seed, clients.number)
        while True:
            members: dict[int, int] = {}  # user → which of their updates this is
            turns, roster = [], state.roster.copy()
            for _ in range(size):
                turns.append(roster.next(members, clock.back, state.time))
                members[turns[-1][0]] = turns[-1][1]
            ends = max(state.time, *clock.arrivals(turns))
            deltas = clients.deltas(list(members), list(members.values()), state.w.expand(size, -1))
            state.time, state.roster = ends, roster
            why = refusals(deltas, state.w, self.max_update_norm)
            refused = tuple(reason for reason in why if reason is not None)
            users = tuple(user for user, reason in zip(members, why, strict=True) if reason is None)
            if refused and users:
                deltas = torch.stack([d for d, reason in zip(deltas, why, strict=True) if reason is None])
            if users:
                step, state.moments = self.step(state.moments, deltas, clients.samples[torch.tensor(users)])
                state.w = state.w - step
            yield Merge(state.w, users, (0,) * len(users), refused, size, state.time)

    def step(self, moments: Moments, deltas: Tensor, samples: Tensor) -> tuple[Tensor, Moments]:
        """What a round's updates take off the model (P,), and the optimiser's state.

        Args:
            moments: the state before.
            deltas: (C, P) of those whose updates are merged.
            samples: (C,) that each of them holds.
        """
        share = torch.ones(len(deltas), dtype=deltas.dtype)
        if self.shares == "samples":
            share = samples.to(deltas.dtype)
        share = share / share.sum()
        return self.server_step(self.server_lr, moments, lambda factor: factor * share @ deltas)
