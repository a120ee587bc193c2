"""Users in flight: who has read which version, what waits to be computed, and what arrives next.

An update waits to be computed until it is due; then all updates under way are computed with it, in one
stacked program, since none of them depends on what will happen before it arrives.
"""

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import torch
from torch import Tensor

from data.randomness import generator
from federated.clients import Clients
from federated.server.admission import refusals
from federated.server.intake import Intake
from federated.server.merging import Arrival, Merging
from federated.state import Snapshot
from federated.virtual_time.clock import Clock
from federated.virtual_time.roster import Gate, Roster


class Job(NamedTuple):
    """A user's next event: the read (version −1, not known yet) or the arrival. The number breaks ties."""

    time: float
    number: int
    user: int
    counter: int
    version: int = -1


@dataclass
class Flight:
    """The state of an asynchronous server.

    Attributes:
        server: what is merged, and what waits to be.
        roster: whose turn it is.
        jobs: a heap of reads and arrivals to come.
        numbered: events so far; of two at the same time the one known first comes first.
        read: event number of an arrival to come → the parameters (P,) that were read.
        computed: the same → the update (P,), as far as it has been computed.
        refused: the same → why the update must not be merged.
    """

    server: Merging
    roster: Roster
    jobs: list[Job] = field(default_factory=list)
    numbered: int = 0
    read: dict[int, Tensor] = field(default_factory=dict)
    computed: dict[int, Tensor] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def w(self) -> Tensor:
        """(P,) the present model."""
        return self.server.w

    @property
    def intake(self) -> Intake | None:
        """See `Merging`."""
        return self.server.intake

    def book(self, clock: Clock, places: int, now: float) -> None:
        """Give free places to whose turn it is, if their updates can be merged; one place at least."""
        while len(self.jobs) < places and self._book_next(clock, now, self.intake):
            pass
        if not self.jobs:
            self._book_next(clock, now, None)

    def _book_next(self, clock: Clock, now: float, gate: Gate | None) -> bool:
        """Whether there was somebody to be given a place."""
        found = self.roster.next({job.user for job in self.jobs}, clock.back, now, gate)
        if found is None:
            return False
        user, counter, begin = found
        self._push(begin, user, counter)
        return True

    def book_after_pause(self, clock: Clock, user: int, counter: int, idle: float, now: float) -> None:
        """Let a user begin the counter-th update after an idle time of mean ``idle``."""
        pause = float(generator(self.roster.seed, "idle", user, counter).exponential(idle))
        self._push(clock.back(user, now + pause), user, counter)

    def land(self, clients: Clients, clock: Clock, max_norm: float | None) -> tuple[Job, int, Arrival]:
        """The next arrival: the job, users in flight, and what has arrived."""
        while (job := heappop(self.jobs)).version < 0:
            arrives = clock.arrival(job.user, job.counter, job.time)
            self.read[self.numbered] = self.server.w
            self._push(arrives, job.user, job.counter, self.server.version)
        if job.number not in self.computed:
            heappush(self.jobs, job)
            self._compute(clients, max_norm)
            heappop(self.jobs)
        in_flight, why = len(self.read), self.refused.pop(job.number, None)
        read, delta = self.read.pop(job.number), self.computed.pop(job.number)
        return job, in_flight, Arrival(job.user, job.version, read, delta, why)

    def pack(self) -> Snapshot:
        """See `State.pack`; versions that several users have read are kept once."""
        versions = {job.version: self.read[job.number] for job in self.jobs if job.version >= 0}
        tensors, merged = self.server.pack()
        tensors |= {f"version.{version}": w for version, w in versions.items()}
        tensors |= {f"update.{number}": delta for number, delta in self.computed.items()}
        plain = merged | {
            "numbered": self.numbered,
            "jobs": sorted(self.jobs),
            "refused": self.refused,
            "roster": self.roster.pack(),
        }
        return Snapshot(tensors, plain)

    @classmethod
    def unpack(cls, clients: Clients, snapshot: Snapshot, intake: Intake | None) -> "Flight":
        """What `pack` packed; ``intake`` is at its start."""
        tensors, plain = snapshot.tensors, snapshot.plain
        jobs = [Job(*job) for job in plain["jobs"]]
        heapify(jobs)
        return cls(
            server=Merging.unpack(tensors, plain, intake),
            roster=Roster.unpack(clients.number, clients.seed, plain["roster"]),
            jobs=jobs,
            numbered=plain["numbered"],
            read={job.number: tensors[f"version.{job.version}"] for job in jobs if job.version >= 0},
            computed={int(name[7:]): delta for name, delta in tensors.items() if name.startswith("update.")},
            refused={int(number): why for number, why in plain["refused"].items()},
        )

    def _push(self, time: float, user: int, counter: int, version: int = -1) -> None:
        heappush(self.jobs, Job(time, self.numbered, user, counter, version))
        self.numbered += 1

    def _compute(self, clients: Clients, max_norm: float | None) -> None:
        """All updates under way that are not computed yet, in one stack."""
        jobs = [job for job in sorted(self.jobs) if job.version >= 0 and job.number not in self.computed]
        w = torch.stack([self.read[job.number] for job in jobs])
        deltas: Any = clients.deltas([j.user for j in jobs], [j.counter for j in jobs], w)
        for job, delta, why in zip(jobs, deltas, refusals(deltas, self.server.w, max_norm), strict=True):
            self.computed[job.number] = delta if why is None else delta.new_empty(0)
            if why is not None:
                self.refused[job.number] = why
