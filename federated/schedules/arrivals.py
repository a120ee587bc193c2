"""`Arrivals`: the asynchronous server of PersA-FL (Toghani 2022): each update is merged as it arrives."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.objectives import NonNegative, Positive
from federated.schedules import Merge
from federated.schedules.clock import Delays, exponential_delays, turns


class Job(NamedTuple):
    """An update under way. Jobs are ordered by arrival; the number breaks ties."""

    arrives: float
    number: int
    user: int
    counter: int
    version: int


@dataclass(frozen=True)
class Arrivals:
    """w ← w − β Δ_i on every arrival, without buffer or staleness weight.

    Attributes:
        concurrency: users in flight at any time (all, where there are fewer users); mean
            staleness is one less.
        server_lr: β; None is the talk's 1/n.
        download_delay: mean delay from server to user, exponential law.
        upload_delay: mean delay back, computing included, exponential law.
    """

    concurrency: Annotated[int, Field(ge=1)] = 5
    server_lr: Positive | None = None
    download_delay: NonNegative = 1.0
    upload_delay: NonNegative = 1.0

    pools = False

    def run(self, clients: Clients, w: Tensor, updates: int) -> Iterator[Merge]:
        """See `Schedule.run`."""
        server_lr = self.server_lr or 1 / clients.number
        flight = _Flight(min(self.concurrency, clients.number), clients, self._delays(clients))
        flight.depart(w, version=0, now=0.0)
        for version in range(updates):
            in_flight = len(flight.jobs)
            job, delta = flight.land()
            w = w - server_lr * delta
            yield Merge(w, (job.user,), (version - job.version,), in_flight, job.arrives)
            flight.depart(w, version + 1, job.arrives)

    def _delays(self, clients: Clients) -> Delays:
        return exponential_delays(clients.seed, self.download_delay, self.upload_delay)


class _Flight:
    """Users in flight. An update waits to be computed until it, or one beside it, is due."""

    def __init__(self, places: int, clients: Clients, delays: Delays) -> None:
        self.places = places
        self.clients = clients
        self.delays = delays
        self.jobs: list[Job] = []  # a heap
        self.read: dict[int, Tensor] = {}  # job number → parameters, of jobs not yet computed
        self.deltas: dict[int, Tensor] = {}  # job number → result, of computed jobs
        self.waiting: list[tuple[int, int]] = []  # turns passed over: that user was still in flight
        self.turns = turns(clients.number, clients.seed)
        self.started = 0

    def depart(self, w: Tensor, version: int, now: float) -> None:
        """Fill the free places with the next users in turn; they read w."""
        while len(self.jobs) < self.places:
            user, counter = self._next_turn()
            arrives = now + sum(self.delays(user, counter))
            heappush(self.jobs, Job(arrives, self.started, user, counter, version))
            self.read[self.started] = w
            self.started += 1

    def land(self) -> tuple[Job, Tensor]:
        """The next job to arrive, with its Δ (P,)."""
        if self.jobs[0].number not in self.deltas:
            self._compute()
        job = heappop(self.jobs)
        return job, self.deltas.pop(job.number)

    def _compute(self) -> None:
        """Everything under way that is not computed yet, in one stack."""
        jobs = [job for job in sorted(self.jobs) if job.number in self.read]
        w = torch.stack([self.read.pop(job.number) for job in jobs])
        deltas = self.clients.deltas([j.user for j in jobs], [j.counter for j in jobs], w)
        self.deltas |= {job.number: delta for job, delta in zip(jobs, deltas, strict=True)}

    def _next_turn(self) -> tuple[int, int]:
        flying = {job.user for job in self.jobs}
        for place, (user, _) in enumerate(self.waiting):
            if user not in flying:
                return self.waiting.pop(place)
        for user, counter in self.turns:
            if user not in flying:
                return user, counter
            self.waiting.append((user, counter))
        raise AssertionError("turns never end")
