"""A group of users that lives on its own: their data, their nodes, what has arrived for them, and their disk.

A waking is one round of the group's clock: those of its nodes that wake step, share, hear and make their z;
then the group is **saved, and only then** what it shared is **sent**. Nobody can have heard of a round that
is not on the disk, so whoever is killed goes on from there as if nothing had happened but lost messages,
which the next sums make good (see `node_group`). A group that saves only every k-th round forgets the steps
of at most k rounds when it is killed, and is silent for its neighbours until it has got beyond what they have
heard; its mass is whole then, too. Clients' draws are keyed: steps that were forgotten are drawn as before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from data.schema import DataError
from federated import checkpoint
from federated.clients import Clients
from federated.network.graphs import Graph, Ints
from federated.network.letters import Letter, Letterbox
from federated.network.node_group import NodeGroup, reaching
from federated.schedules.gossip import Gossip
from federated.state import Snapshot


class Recipe(Protocol):
    """Finds some users' data, on whatever machine. It travels, so it holds plain values."""

    def __call__(self, users: Ints) -> Clients:
        """Clients that compute updates of these users (m,); others are numbered too, but have no data."""
        ...


@dataclass(frozen=True)
class Plan:
    """What all groups of a training are told; it travels.

    Attributes:
        name: of the training, which no other one has.
        rules: of the network, and of steps.
        seed: of the training.
        users: U.
        updates: client updates that are wanted of all users together.
        groups: that the users are dealt out to.
        folder: where groups keep their states; one that every machine sees, or the same on each.
        goes_on: whether a group that finds no state of its own there must not begin anew.
        wake_seconds, save_every: see `engines.Ray`.
    """

    name: str
    rules: Gossip
    seed: int
    users: int
    updates: int
    groups: int
    folder: Path
    goes_on: bool
    wake_seconds: float
    save_every: int

    def members(self, group: int) -> Ints:
        """(m,) the users of a group."""
        members: Ints = np.array_split(np.arange(self.users), self.groups)[group]
        return members

    @property
    def group_of(self) -> Ints:
        """(U,) in which group each user is."""
        return np.concatenate([np.full(len(self.members(g)), g) for g in range(self.groups)])

    @property
    def quota(self) -> Ints:
        """(U,) how many updates each user computes."""
        return self.updates // self.users + (np.arange(self.users) < self.updates % self.users)

    def disk(self, group: int) -> Path:
        """Where a group keeps its state."""
        return self.folder / f"{group:04d}"


@dataclass(frozen=True)
class Report:
    """How a group of m nodes is, between two wakings.

    Attributes:
        w: (m, P) their models.
        merged: (m,) steps that they have taken.
        late: (m,) how many rounds old their z was at the last of these.
        refused: how many steps were refused, by reason.
        unfinished: how many of them have steps to take.
        now: rounds of the group's clock.
        mass: their push-sum weight by their books, which is m: see `node_group`.
        smallest_weight: of a node.
        stamp: (K,) see `NodeGroup`.
        oldest_model: rounds since the last of all nodes made its z.
        messages, lost, guarded, bytes: until now. Lost are also those that an actor that was down, or slow,
            did not take; bytes are those that left the group.
        restarts: how often the group has been begun from its disk.
    """

    w: Tensor
    merged: Ints
    late: Ints
    refused: dict[str, int]
    unfinished: int
    now: int
    mass: float
    smallest_weight: float
    stamp: Ints
    oldest_model: int
    messages: int
    lost: int
    guarded: int
    bytes: int
    restarts: int


class Member:
    """A group, in the hands of one thread; only its letterbox may be used by others.

    Args:
        plan: of the training.
        group: its number.
        recipe: for its users' data.

    Raises:
        DataError: its state is gone, or it is that of another group.
        CheckpointError: its state is damaged.
    """

    def __init__(self, plan: Plan, group: int, recipe: Recipe) -> None:
        self._plan, self._number = plan, group
        users = plan.members(group)
        self._clients = recipe(users)
        self.graph = plan.rules.links(self._clients)
        self._goal, self._group_of = plan.quota[users], plan.group_of
        self._merged, self._late = np.zeros(len(users), np.int64), np.zeros(len(users), np.int64)
        self._refused: dict[str, int] = {}
        self._bytes, self._restarts = 0, 0
        self.nodes = self._restored(users) or self._begun(users)
        self.box = Letterbox(reaching(self.graph, users), self.nodes.mass.shape[1])
        self.report = self._report()
        self.save()

    @property
    def living(self) -> bool:
        """Whether it has woken before."""
        return self.nodes.now > 0

    def wake(self) -> list[tuple[int, Letter]]:
        """One round of the group's clock.

        Returns:
            what is to be sent, and to which other groups.
        """
        nodes, rules = self.nodes, self._plan.rules
        awake = nodes.awake()
        nodes.owed = np.minimum(nodes.owed, self._most_owed)
        turn = rules.steps_of(self._clients, nodes, nodes.nodes, awake, nodes.steps < self._goal)
        taken = np.searchsorted(nodes.nodes, np.array(turn.users, np.int64))
        self._merged[taken] += 1
        self._late[taken] = turn.staleness
        for why in turn.refused:
            self._refused[why] = self._refused.get(why, 0) + 1
        letter = nodes.exchange(awake, self.box, rules.least_weight)
        target = self._group_of[self.graph.target[letter.links]]
        post = [(int(group), letter.to(target == group)) for group in np.unique(target)]
        away = [(group, part) for group, part in post if group != self._number]
        self._bytes += sum(part.nbytes for _, part in away)
        if nodes.now % self._plan.save_every == 0:
            self.save()
        for group, part in post:
            if group == self._number:
                self.box.put(part)
        self.report = self._report()
        return away

    @property
    def _most_owed(self) -> float:
        """What a node owes, at most, that has slept as long as it may.

        While neighbours are down a node waits for weight, in real time perhaps for hundreds of rounds. One
        step for all of them would throw its model far away, so they are not made up for.
        """
        rules, now = self._plan.rules, self.nodes.now
        return sum(rules.factor(earlier) for earlier in range(max(now - rules.wake_within + 1, 0), now))

    def note_lost(self, letter: Letter) -> None:
        """Count a letter that could not be sent."""
        self.nodes.lost += len(letter.links)

    def save(self) -> None:
        """Write the state to the disk, whole or not at all."""
        packed = self.nodes.pack()
        own = {"merged": torch.from_numpy(self._merged.copy()), "late": torch.from_numpy(self._late.copy())}
        counts: dict[str, Any] = {"refused": self._refused, "bytes": self._bytes, "restarts": self._restarts}
        counts["training"] = self._plan.name
        whole = Snapshot(packed.tensors | own, packed.plain | counts)
        checkpoint.save(self._plan.disk(self._number), self.nodes.now, whole)

    def _restored(self, users: Ints) -> NodeGroup | None:
        snapshot = _saved(self._plan, self._number)
        if snapshot is None:
            return None
        self._merged, self._late = (snapshot.tensors[name].numpy().copy() for name in ("merged", "late"))
        self._refused, self._bytes = dict(snapshot.plain["refused"]), snapshot.plain["bytes"]
        self._restarts = snapshot.plain["restarts"] + 1
        return NodeGroup.unpack(self.graph, users, self._plan.rules, self._plan.seed, snapshot)

    def _begun(self, users: Ints) -> NodeGroup:
        if self._plan.goes_on:
            raise DataError(f"the state of group {self._number} is gone from {self._plan.folder}.")
        checkpoint.clear(self._plan.disk(self._number))  # of another training, whose rounds were later ones
        w = self._clients.task.initial(self._plan.seed)
        return NodeGroup.start(self.graph, users, self._plan.rules, self._plan.seed, w)

    def _report(self) -> Report:
        nodes = self.nodes
        return Report(
            w=nodes.w,
            merged=self._merged.copy(),
            late=self._late.copy(),
            refused=dict(self._refused),
            unfinished=int((nodes.steps < self._goal).sum()),
            now=nodes.now,
            mass=float(nodes.total()[-1]),
            smallest_weight=float(nodes.mass[:, -1].min()),
            stamp=nodes.stamp.copy(),
            oldest_model=int((nodes.now - 1 - nodes.made).max()),
            messages=nodes.messages,
            lost=nodes.lost,
            guarded=nodes.guarded,
            bytes=self._bytes,
            restarts=self._restarts,
        )


def saved(plan: Plan, group: int, graph: Graph) -> NodeGroup:
    """A group as it was saved last, for whoever wants to look at a training that has ended.

    Raises:
        DataError: it was not.
    """
    snapshot = _saved(plan, group)
    if snapshot is None:
        raise DataError(f"the state of group {group} is gone from {plan.folder}.")
    return NodeGroup.unpack(graph, plan.members(group), plan.rules, plan.seed, snapshot)


def _saved(plan: Plan, group: int) -> Snapshot | None:
    """What a group saved last in this training, None if nothing."""
    snapshot, _ = checkpoint.load(plan.disk(group))
    return snapshot if snapshot and snapshot.plain["training"] == plan.name else None
