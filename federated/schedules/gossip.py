"""`Gossip`: no server. Users are nodes of a directed graph, step for themselves and push sums along links.

With `Vanilla` it is stochastic gradient push (Nedić and Olshevsky 2016) or, in a network that sleeps, delays
and loses, RASGP (Spiridonoff 2020); with u-step `MAML` it is PARS-Push (Toghani 2022).
"""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from federated.clients import Clients
from federated.network.graphs import Bools, Graph, Ints, Kind
from federated.network.nodes import Nodes, step
from federated.network.push_sum import PushSum
from federated.network.weather import Faults
from federated.objectives import Positive
from federated.schedules import Merge
from federated.server.admission import refusals
from federated.server.intake import clipped
from federated.state import Snapshot
from federated.workers import one_thread

PATIENCE = 10
"""Times Γs in which every node's weight must suffice once, or its user would never learn."""

LOUDEST = 1000.0
"""Times by which a hostile node's step can be longer than honest ones."""


@plain_dataclass(frozen=True)
class Turn:
    """The steps of one round.

    Attributes:
        users: whose were taken.
        staleness: for each, how many rounds old its z was.
        refused: reasons why other users' were not, see `admission`.
        computed: how many updates were computed.
    """

    users: tuple[int, ...]
    staleness: tuple[int, ...]
    refused: tuple[str, ...]
    computed: int


@dataclass(frozen=True)
class Gossip(Faults):
    """Everyone who is awake: x ← x − s Δ_i(z), then push-sum; z = x/y. More settings from `Faults`.

    Attributes:
        graph: who sends to whom, see `topology.draw`; file: the links are read from ``edge_list``.
        degree: links that leave a node (of a regular graph; on average of a random one).
        edge_list: a text file with one link a line, two user numbers.
        step_sizes: Δ counts fully in every round, or in round t like 1/t: t₀/(t₀ + t) times. s is the sum
            of these factors since the node's last step.
        decay_from: t₀.
        asleep_too: whether nodes take steps at their old z while they are asleep, as in RASGP's own
            experiment, instead of one step for all of these rounds when they wake.
        least_weight: a node whose push-sum weight y is smaller waits until it has heard more: it keeps its
            z, takes its step later, and is counted as guarded. A step moves z by s Δ/y.
        max_update_norm: updates Δ with a greater Euclidean norm are refused, and not made up for later; None:
            no bound.
    """

    graph: Kind | Literal["file"] = "regular"
    degree: Annotated[int, Field(ge=1, le=100_000)] = 4
    edge_list: str | None = None
    step_sizes: Literal["constant", "1/t"] = "constant"
    decay_from: Annotated[float, Field(gt=0, le=1e9)] = 100.0
    asleep_too: bool = False
    least_weight: Annotated[float, Field(ge=0, lt=1)] = 0.02
    max_update_norm: Positive | None = None

    pools = False

    def __post_init__(self) -> None:
        if (self.graph == "file") != (self.edge_list is not None):
            raise ValueError("graph = file and edge_list = FILE belong together")

    def start(self, clients: Clients, w: Tensor) -> PushSum:
        """See `Schedule.start`; w may also be one for each user (U, P)."""
        return PushSum.start(self.links(clients), self, clients.seed, w, clients.uploads)

    def unpack(self, clients: Clients, snapshot: Snapshot) -> PushSum:
        """See `Schedule.unpack`."""
        return PushSum.unpack(self.links(clients), self, clients.seed, snapshot, clients.uploads)

    def links(self, clients: Clients) -> Graph:
        """The network of these users.

        Raises:
            DataError: the file does not hold a strongly connected network of them.
        """
        from federated.network import topology  # only who has no server waits for it

        if self.graph == "file":
            assert self.edge_list is not None, "graph = file and edge_list belong together"
            return topology.read(self.edge_list, clients.number)
        return topology.draw(self.graph, clients.number, self.degree, clients.seed)

    def run(self, clients: Clients, state: PushSum) -> Iterator[Merge]:
        """See `Schedule.run`; each turn is one round of the network."""
        users = np.arange(clients.number)
        while True:
            awake = state.weather.awake(state.now)
            turn = self.steps_of(clients, state, users, awake)
            with one_thread():
                state.exchange(awake, self.least_weight)
                figures = state.figures()
            self._require_weight(state)
            yield Merge(
                state.w,
                turn.users,
                turn.staleness,
                turn.refused,
                turn.computed,
                float(state.now),
                network=figures,
            )

    def steps_of(
        self, clients: Clients, state: Nodes, users: Ints, awake: Bools, may: Bools | None = None
    ) -> Turn:
        """Let all nodes take the steps of the present round that are theirs to take.

        Args:
            clients: who compute the updates.
            state: n nodes.
            users: (n,) whose nodes these are.
            awake: (n,) who is.
            may: (n,) who has steps left; None: everybody.
        """
        ready = state.mass[:, -1].numpy() >= self.least_weight
        if may is not None:
            ready &= may
        nodes = np.flatnonzero(ready if self.asleep_too else ready & awake)
        deltas, why = self._updates(clients, state, users, nodes)
        good = np.array([reason is None for reason in why], bool)
        late = state.now - 1 - state.made[nodes[good]]  # 0: z was made in the round before
        state.owed += self.factor(state.now)
        if not good.all():
            deltas = deltas[torch.from_numpy(good)]
        deltas = _with_lies(clients, users[nodes[good]], deltas, state.now)
        with one_thread():
            step(state, nodes[good], deltas)
        state.owed[nodes] = 0
        state.steps[nodes] += 1
        refused = tuple(reason for reason in why if reason is not None)
        return Turn(tuple(users[nodes[good]].tolist()), tuple(late.tolist()), refused, len(nodes))

    def _updates(
        self, clients: Clients, state: Nodes, users: Ints, nodes: Ints
    ) -> tuple[Tensor, list[str | None]]:
        """Δ (C, P) of C nodes at their z, and why they are refused."""
        if not len(nodes):
            return state.w[:0], []
        at = state.w if len(nodes) == len(state.w) else state.w[torch.from_numpy(nodes)]
        deltas = clients.deltas(users[nodes].tolist(), state.steps[nodes].tolist(), at)
        return deltas, refusals(deltas, state.w[0], self.max_update_norm)

    def _require_weight(self, state: PushSum) -> None:
        """Every node makes a model from time to time."""
        patience = PATIENCE * self.silence
        if state.now - state.made.min() > patience:
            raise FloatingPointError(
                f"the push-sum weight of user {state.made.argmin()} has been under least_weight = "
                f"{self.least_weight} for {patience} rounds: choose a smaller one, or a graph in which "
                "all send and hear equally much."
            )

    def factor(self, now: int) -> float:
        """How much an update counts in round ``now``."""
        return 1.0 if self.step_sizes == "constant" else self.decay_from / (self.decay_from + now)


def _with_lies(clients: Clients, users: Ints, deltas: Tensor, now: int) -> Tensor:
    """Steps (C, P) of users (C,) in round ``now``, those of hostile ones as `Attack.sent` makes them of all.

    Nobody checks the steps that a hostile node takes, but they are at most LOUDEST times as long as the
    longest honest one: it steps from its own model, which would soon be no number any more.
    """
    attack = clients.uploads.attack
    if attack is None or not len(users):
        return deltas
    hostile = attack.hostile_users(clients.number, clients.seed)[torch.from_numpy(users)]
    lies = attack.sent(deltas, hostile, clients.seed, now)
    if hostile.any() and not hostile.all():
        longest = float(torch.linalg.vector_norm(deltas[~hostile], dim=1).max())
        lies = torch.where(hostile[:, None], clipped(lies, LOUDEST * longest), lies)
    return lies
