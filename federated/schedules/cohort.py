"""`Cohort`: the synchronous server of FedAvg (McMahan 2017): wait for all of a cohort, then average."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.objectives import Positive
from federated.schedules import Merge
from federated.server.admission import CONTENT, refusals
from federated.server.intake import Intake
from federated.server.merging import Merging
from federated.server.optimisers import Moments, ServerOptimiser
from federated.state import Snapshot
from federated.virtual_time.clock import Clock, Timed
from federated.virtual_time.roster import Gate, Roster, Turn


@plain_dataclass
class Rounds:
    """The state of a synchronous server: model (P,), whose turn is next, virtual time, optimiser's state, and
    what it does beside the plain mean, if anything."""

    w: Tensor
    roster: Roster
    time: float = 0.0
    moments: Moments = field(default_factory=Moments)
    intake: Intake | None = None

    def turns(self, roster: Roster, size: int, clock: Clock, gate: Gate | None) -> list[Turn]:
        """Whose turn it is in a round of ``size``, or of fewer, where others would not be taken."""
        members: set[int] = set()
        found: list[Turn] = []
        while len(found) < size:
            turn = roster.next(members, clock.back, self.time, gate)
            if turn is None:
                break
            found.append(turn)
            members.add(turn[0])
        return found

    def pack(self) -> Snapshot:
        """See `State.pack`."""
        plain: dict[str, Any] = {"time": self.time, "roster": self.roster.pack()}
        tensors = {"w": self.w} | self.moments.pack()
        if self.intake is not None:
            more, plain["intake"] = self.intake.pack()
            tensors |= more
        return Snapshot(tensors, plain)


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
        roster = Roster(clients.number, clients.seed)
        return Rounds(w, roster, intake=clients.intake(self.size(clients.number)))

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Rounds:
        """See `Schedule.unpack`."""
        plain = snapshot.plain
        roster = Roster.unpack(clients.number, clients.seed, plain["roster"])
        intake = clients.intake(self.size(clients.number))
        if intake is not None:
            intake.unpack(snapshot.tensors, plain["intake"])
        moments = Moments.unpack(snapshot.tensors)
        return Rounds(snapshot.tensors["w"], roster, plain["time"], moments, intake)

    def run(self, clients: Clients, state: Rounds) -> Iterator[Merge]:
        """See `Schedule.run`."""
        size = self.size(clients.number)
        clock = Clock(self, clients.seed, clients.number)
        while True:
            roster = state.roster.copy()
            turns = state.turns(roster, size, clock, state.intake) or state.turns(roster, size, clock, None)
            members, counters, _ = map(list, zip(*turns, strict=True))
            ends = max(state.time, *clock.arrivals(turns))
            deltas = clients.deltas(members, counters, state.w.expand(len(members), -1))
            state.time, state.roster = ends, roster
            why = refusals(deltas, state.w, self.max_update_norm)
            users, refused = self.take(state, members, deltas, why, clients.samples[torch.tensor(members)])
            yield Merge(state.w, users, (0,) * len(users), refused, len(members), state.time)

    def size(self, users: int) -> int:
        """See `uploads.WithServer.size`."""
        return min(self.cohort, users)

    def take(
        self,
        server: Rounds | Merging,
        users: Sequence[int],
        deltas: Tensor,
        whys: Sequence[str | None],
        samples: Tensor,
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Merge a round's updates into the model, or refuse them.

        Args:
            server: its model is changed.
            users: (C,) whose updates have come, different ones.
            deltas: (C, P) these; anything, of any shape, where one is refused.
            whys: (C,) why one must not be merged, None if it may.
            samples: (C,) that each user holds.

        Returns:
            Whose were merged, and why others were not.
        """
        if server.intake is not None:
            return self._take_in(server, server.intake, users, deltas, whys, samples)
        merged = tuple(user for user, why in zip(users, whys, strict=True) if why is None)
        refused = tuple(why for why in whys if why is not None)
        if refused and merged:
            deltas = torch.stack([delta for delta, why in zip(deltas, whys, strict=True) if why is None])
            samples = samples[torch.tensor([why is None for why in whys])]
        if merged:
            share = self._share(samples, deltas.dtype)
            self._step(server, lambda factor: factor * share @ deltas)
        return merged, refused

    def _take_in(
        self,
        server: Rounds | Merging,
        intake: Intake,
        users: Sequence[int],
        deltas: Tensor,
        whys: Sequence[str | None],
        samples: Tensor,
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The same by a server that does more than to average."""
        places: list[int] = []
        refused: list[str] = []
        for place, user in enumerate(users):
            delta, why = intake.admit(user, deltas[place], whys[place], server.w)
            if why is not None:
                refused.append(why)
                continue
            places.append(place)
            intake.pending.append(delta)
        if not places:
            return (), tuple(refused)
        share = self._share(samples[places], deltas.dtype)
        lost = sum(why in CONTENT for why in whys)
        found = intake.merge([users[place] for place in places], share, self.max_update_norm, lost)
        if (update := found.update) is not None:
            self._step(server, lambda factor: factor * update)
        return tuple(users[places[kept]] for kept in found.kept), (*refused, *found.refused)

    def _share(self, samples: Tensor, kind: torch.dtype) -> Tensor:
        """(C,) p_i of users who hold so many samples (C,)."""
        share = samples.to(kind) if self.shares == "samples" else torch.ones(len(samples), dtype=kind)
        return share / share.sum()

    def _step(self, server: Rounds | Merging, times: Callable[[float], Tensor]) -> None:
        step, server.moments = self.server_step(self.server_lr, server.moments, times)
        server.w = server.w - step
