"""`Arrivals`: the asynchronous server. It merges each update as it arrives, or a buffer of K at a time.

Which algorithm it is depends on the settings: PersA-FL (Toghani 2022) adds every update as it comes,
FedBuff (Nguyen 2022) the mean of K, weighed by staleness, and FedAsync (Xie 2019) mixes in whole models.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.objectives import NonNegative, Positive
from federated.schedules import Merge
from federated.schedules.flight import Flight
from federated.server.admission import TOO_STALE
from federated.server.intake import Intake
from federated.server.merging import Arrival, Merging, Taken
from federated.server.optimisers import ServerOptimiser
from federated.server.staleness import Weighting, weight
from federated.state import Snapshot
from federated.virtual_time.clock import LONGEST, Clock, Timed
from federated.virtual_time.roster import Roster


@dataclass(frozen=True)
class Arrivals(Timed, ServerOptimiser):
    """w ← w − (β/K) Σ s(τ_i) Δ_i over every K arrivals.

    More settings from `Timed`; and from `ServerOptimiser`, by which the server may step otherwise.

    Attributes:
        concurrency: places for users to compute in (as many as users, where there are fewer). Where K = 1 and
            nothing is refused, mean staleness is one less than the mean number in flight when an update
            arrives: all places, unless users are away or arrive at once. With constant delays those who
            begin together arrive together, and only then read again: (concurrency − 1)/2. A place stays
            empty while nobody who is free may be merged (see `Intake.open_from`).
        idle_time: if given, every user works in a loop of their own and pauses for this mean time
            (exponential law) between an arrival and the next read; ``concurrency`` has no meaning then.
        server_lr: β; None is the talk's 1/n.
        buffer: K, arrivals in a merge.
        merge: "delta" adds what a user has changed; "model" mixes in the user's whole model,
            w ← (1 − a) w + a w_i with a = β s(τ), as FedAsync does.
        weighting: s(τ) by staleness, see `staleness.weight`.
        power: of the polynomial weighting, (τ + 1)^−power.
        slope: of the hinge weighting, 1 / (slope (τ − late) + 1) for τ > late.
        late: the staleness up to which the hinge weighs fully.
        max_staleness: updates that are staler are refused; None: no bound.
    """

    concurrency: Annotated[int, Field(ge=1)] = 5
    idle_time: Annotated[float, Field(gt=0, le=LONGEST)] | None = None
    server_lr: Positive | None = None
    buffer: Annotated[int, Field(ge=1, le=100_000)] = 1
    merge: Literal["delta", "model"] = "delta"
    weighting: Weighting = "constant"
    power: NonNegative = 0.5
    slope: NonNegative = 10.0
    late: Annotated[int, Field(ge=0)] = 4
    max_staleness: Annotated[int, Field(ge=0)] | None = None

    pools = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge == "model" and (self.server_lr or 0) > 1:
            raise ValueError("merge = model mixes models, so server_lr can be at most 1")
        if self.merge == "model" and self.server_optimiser != "sgd":
            raise ValueError("merge = model mixes models and takes no step: leave server_optimiser = sgd")

    def start(self, clients: Clients, w: Tensor) -> Flight:
        """See `Schedule.start`."""
        server = Merging(w, intake=clients.intake(self.buffer))
        flight = Flight(server, Roster(clients.number, clients.seed))
        clock = Clock(self, clients.seed, clients.number)
        if self.idle_time:
            for user in range(clients.number):
                flight.book_after_pause(clock, user, 0, self.idle_time, 0.0)
        else:
            flight.book(clock, min(self.concurrency, clients.number), 0.0)
        return flight

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Flight:
        """See `Schedule.unpack`."""
        return Flight.unpack(clients, snapshot, clients.intake(self.buffer))

    def run(self, clients: Clients, state: Flight) -> Iterator[Merge]:
        """See `Schedule.run`."""
        clock = Clock(self, clients.seed, clients.number)
        while True:
            job, in_flight, arrival = state.land(clients, clock, self.max_update_norm)
            taken = self.take(state.server, arrival, clients.number)
            if self.idle_time:
                state.book_after_pause(clock, job.user, job.counter + 1, self.idle_time, job.time)
            else:
                state.book(clock, min(self.concurrency, clients.number), job.time)
            if taken is not None:
                held = len(state.server.held)
                yield Merge(state.w, *taken, in_flight, job.time, held)

    def take(self, server: Merging, arrival: Arrival, users: int) -> Taken | None:
        """Merge or refuse an arrival; None where it only fills the buffer.

        Args:
            server: what it arrives at.
            arrival: what.
            users: n.
        """
        staleness, (delta, why) = server.version - arrival.version, (arrival.delta, arrival.why)
        if why is None and self.max_staleness is not None and staleness > self.max_staleness:
            why = TOO_STALE
        if server.intake is not None:
            delta, why = server.intake.admit(arrival.user, delta, why, server.w)
        if why is not None:
            return Taken((), (), (why,))
        self._hold(server, staleness, arrival._replace(delta=delta))
        if server.intake is not None:
            return self._merge_intake(server, server.intake, self.server_lr or 1 / users)
        if len(server.held) < self.buffer:
            return None
        merged, late = zip(*server.held, strict=True)
        self._merge(server, self.server_lr or 1 / users)
        return Taken(merged, late, ())

    def size(self, users: int) -> int:
        """See `uploads.WithServer.size`."""
        return self.buffer

    def _hold(self, server: Merging, staleness: int, arrival: Arrival) -> None:
        """Put one update into the buffer."""
        change = arrival.delta if self.merge == "delta" else arrival.delta + (server.w - arrival.read)
        counts = weight(self.weighting, staleness, self.power, self.slope, self.late)
        change = change if counts == 1 else change * counts
        server.held.append((arrival.user, staleness))
        if server.intake is not None:
            server.intake.pending.append(change)
        else:
            server.buffer = change if server.buffer is None else server.buffer + change

    def _merge_intake(self, server: Merging, intake: Intake, server_lr: float) -> Taken | None:
        """Empty what waits into the model, once it is enough; the server does more than to average."""
        users, late = zip(*server.held, strict=True)
        if not intake.full(users, self.buffer):
            return None
        server.held = []
        found = intake.merge(users, None, self.max_update_norm)
        if (update := found.update) is not None:
            step, server.moments = self.server_step(server_lr, server.moments, lambda factor: factor * update)
            server.w = server.w - step
            server.version += 1
        return Taken(tuple(users[k] for k in found.kept), tuple(late[k] for k in found.kept), found.refused)

    def _merge(self, server: Merging, server_lr: float) -> None:
        """Empty the buffer into the model."""
        held = server.buffer
        assert held is not None, "merges follow arrivals"
        step, server.moments = self.server_step(
            server_lr, server.moments, lambda factor: (factor / self.buffer) * held
        )
        server.w = server.w - step
        server.version += 1
        server.buffer, server.held = None, []
