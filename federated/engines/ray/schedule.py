"""`OnRay`: `Gossip` among actors in real time, as a schedule that `Training` can follow.

It reports from time to time what has happened since; a merge is then all steps of all users in between.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from federated import engines
from federated.clients import Clients
from federated.engines.ray.cluster import cluster
from federated.engines.ray.fleet import Fleet, FleetError
from federated.engines.ray.member import Plan, Recipe, Report
from federated.network.graphs import Graph, Ints
from federated.schedules import Merge
from federated.schedules.gossip import Gossip
from federated.state import Snapshot

OFTEN = 0.5
"""Seconds between two reports."""

SILENCE = 600.0
"""Seconds without a step of anybody after which a training is given up."""


@dataclass
class Known:
    """What is known of the groups, whose whole state is on their own disks.

    Attributes:
        name: of the training.
        w: (U, P) users' models, as they were seen last.
        merged: (U,) steps that have been reported.
        refused: by reason, how many refused ones have been.
        seconds: how long the groups have lived.
        began: whether they have begun.
    """

    name: str
    w: Tensor
    merged: Ints
    refused: dict[str, int]
    seconds: float = 0.0
    began: bool = False

    def pack(self) -> Snapshot:
        """See `State.pack`."""
        plain = {name: getattr(self, name) for name in ("name", "refused", "seconds", "began")}
        return Snapshot({"w": self.w, "merged": torch.from_numpy(self.merged.copy())}, plain)


@dataclass(frozen=True)
class OnRay:
    """A schedule whose users live in actors; use it inside `connected`.

    Attributes:
        rules: of the network.
        engine: how many actors, where, and how fast they live.
        recipe: for users' data.
        updates: client updates until the end, of all users together.
        folder: where groups keep their states.
    """

    rules: Gossip
    engine: engines.Ray
    recipe: Recipe
    updates: int
    folder: Path

    pools = False

    def connected(self) -> AbstractContextManager[None]:
        """Be connected to Ray; errors as of `cluster`."""
        return cluster(self.engine.address)

    def start(self, clients: Clients, w: Tensor) -> Known:
        """See `Schedule.start`; actors find w for themselves: it is the task's start."""
        users = clients.number
        return Known(secrets.token_hex(8), w.expand(users, -1), np.zeros(users, np.int64), {})

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Known:
        """See `Schedule.unpack`."""
        w, merged = snapshot.tensors["w"], snapshot.tensors["merged"].clone().numpy()
        return Known(w=w, merged=merged, **snapshot.plain)

    def run(self, clients: Clients, state: Known) -> Iterator[Merge]:
        """See `Schedule.run`; the actors end when it is closed.

        Raises:
            FleetError: a group cannot go on, or nobody has taken a step for a long time.
        """
        plan, graph = self.plan(clients, state), self.rules.links(clients)
        fleet = Fleet.start(plan, self.recipe)
        try:
            while (reports := fleet.ask(OFTEN, clients.patience)) is None:
                pass
            state.began = True
            last = began = time.monotonic() - state.seconds
            while True:
                now = time.monotonic()
                merge = merged(state, reports, figures(plan, graph, reports), now - began)
                if merge.users or merge.refused or state.merged.sum() >= plan.updates:
                    last = now
                elif now - last > SILENCE:
                    raise FleetError(f"nobody has taken a step for {SILENCE:.0f} seconds.")
                yield merge
                time.sleep(max(OFTEN - (time.monotonic() - now), 0))
                reports = fleet.ask(OFTEN, clients.patience) or reports
        finally:
            fleet.end()

    def plan(self, clients: Clients, state: Known) -> Plan:
        """What all groups are told."""
        return Plan(
            name=state.name,
            rules=self.rules,
            seed=clients.seed,
            users=clients.number,
            updates=self.updates,
            groups=min(self.engine.actors, clients.number),
            folder=self.folder.resolve(),
            goes_on=state.began,
            wake_seconds=self.engine.wake_seconds,
            save_every=self.engine.save_every,
        )


def merged(state: Known, reports: list[Report], network: dict[str, float], seconds: float) -> Merge:
    """All that has happened since the last reports, which becomes known.

    Where a user has taken several steps since, the staleness of the last one stands for all of them.
    """
    count = np.concatenate([report.merged for report in reports])
    late = np.concatenate([report.late for report in reports])
    users = np.repeat(np.arange(len(count)), np.maximum(count - state.merged, 0))
    refused: list[str] = []
    for why in sorted({why for report in reports for why in report.refused}):
        number = sum(report.refused.get(why, 0) for report in reports)
        refused += [why] * (number - state.refused.get(why, 0))
        state.refused[why] = max(number, state.refused.get(why, 0))
    state.w = torch.cat([report.w for report in reports])
    state.merged = np.maximum(count, state.merged)  # who was killed may have to take some again
    state.seconds = seconds
    return Merge(
        w=state.w,
        users=tuple(users.tolist()),
        staleness=tuple(late[users].tolist()),
        refused=tuple(refused),
        in_flight=sum(report.unfinished for report in reports),
        time=seconds,
        network=network,
    )


def figures(plan: Plan, graph: Graph, reports: list[Report]) -> dict[str, float]:
    """See `Merge.network`; ``restarts`` is how often groups were begun from their disks."""
    w = torch.cat([report.w for report in reports])
    apart = w - w.mean(0)
    clocks = np.array([report.now for report in reports])[plan.group_of]
    stamp = np.concatenate([report.stamp for report in reports])  # links are sorted by target, as users are
    return {
        "consensus_error": float((apart * apart).sum(1).mean()),
        "mass": sum(report.mass for report in reports) / plan.users,
        "smallest_weight": min(report.smallest_weight for report in reports),
        "oldest_stamp": int((clocks[graph.source] - 1 - stamp).max(initial=0)),
        "oldest_model": max(report.oldest_model for report in reports),
        "messages": sum(report.messages for report in reports),
        "bytes": sum(report.bytes for report in reports),
        "lost": sum(report.lost for report in reports),
        "guarded": sum(report.guarded for report in reports),
        "restarts": sum(report.restarts for report in reports),
    }
