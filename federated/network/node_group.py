"""`NodeGroup`: some nodes of a network that live together, on a clock of their own, apart from all others.

Each follows the rule of `push_sum`, but nobody sees the whole network: what a node has shared it keeps as
running sums φ, which it sends; who hears them keeps, for every link, the last φ heard as ρ with its stamp κ,
and adds φ − ρ (Spiridonoff, Olshevsky and Paschalidis 2020, RASGP). A stamp is the sender's round.

**Books.** With d links that leave it, y + d φy − Σ ρy over the links that reach it is 1 for every node at
every moment, whatever is lost: sharing moves y into d φy and hearing moves Σ ρy into y. For x, the same is
x(0) less the steps taken. So no common moment is needed to see that a network has lost nothing (`total`).

**Restarts.** They hold for any earlier state of a node, too. Who goes on from such a state has forgotten the
steps since, and with them the mass is what it would be if they had not been taken; what it heard since is in
the next φ it hears; and what others heard since is made good by the next φ that it sends with a newer stamp
than they know: until then the link is silent. If the state was saved before its sums were sent, nobody has
heard anything of a round that is forgotten, and a restart costs nothing but the messages under way.

Sums grow for ever, and what is heard is a difference of two of them, so masses and sums are float64: after
10⁶ rounds a difference has still 10 digits. Models and updates keep the type that is learned in.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.schema import DataError
from federated.network.graphs import Bools, Graph, Ints
from federated.network.letters import Letter, Letterbox
from federated.network.nodes import make_models, step
from federated.network.weather import Faults, Weather
from federated.state import Snapshot

ARRAYS = ("stamp", "owed", "steps", "made")
TENSORS = ("mass", "w", "sums", "heard")
WEATHER = ("asleep", "failed")
COUNTS = ("now", "messages", "lost", "guarded")


@dataclass
class NodeGroup:
    """The state of m of the n nodes of a network, reached by K of its L links; P parameters.

    Attributes:
        graph: the whole network.
        nodes: (m,) their numbers in it, ascending.
        weather: when they wake, and which of their messages are lost: as in the simulator, round by round of
            their own clock. How long a message travels is not drawn: it takes its time.
        mass: (m, P + 1) float64, as in `Nodes`.
        w: (m, P), as in `Nodes`.
        sums: (m, P + 1) float64, φ: all that each node ever shared on each of its links.
        heard: (K, P + 1) float64, ρ: what of the sums of its source was used last, for each link.
        stamp: (K,) κ, the round of its source in which they were sent, −1: none.
        owed, steps, made: (m,), as in `Nodes`.
        now: t, the present round of these nodes' clock.
        messages, lost, guarded: as in `PushSum`.
    """

    graph: Graph
    nodes: Ints
    weather: Weather
    mass: Tensor
    w: Tensor
    sums: Tensor
    heard: Tensor
    stamp: Ints
    owed: NDArray[np.float64]
    steps: Ints
    made: Ints
    now: int = 0
    messages: int = 0
    lost: int = 0
    guarded: int = 0

    def __post_init__(self) -> None:
        place = np.full(self.graph.nodes, -1)
        place[self.nodes] = np.arange(len(self.nodes))
        self._place = place
        self.reached_by = reaching(self.graph, self.nodes)
        self._target = place[self.graph.target[self.reached_by]]

    @classmethod
    def start(cls, graph: Graph, nodes: Ints, faults: Faults, seed: int, w: Tensor) -> "NodeGroup":
        """They hold w (P,), or one each (m, P), with weight 1, and have heard nothing."""
        m, links = len(nodes), len(reaching(graph, nodes))
        w = w.expand(m, -1).contiguous()
        mass = torch.cat([w, w.new_ones(m, 1)], dim=1).double()
        return cls(
            graph=graph,
            nodes=nodes,
            weather=Weather.start(graph, _without_delay(faults), seed),
            mass=mass,
            w=w,
            sums=torch.zeros_like(mass),
            heard=mass.new_zeros(links, mass.shape[1]),
            stamp=np.full(links, -1),
            owed=np.zeros(m),
            steps=np.zeros(m, np.int64),
            made=np.full(m, -1),
        )

    def awake(self) -> Bools:
        """(m,) who wakes in the present round."""
        awake: Bools = self.weather.awake(self.now)[self.nodes]
        return awake

    def step(self, nodes: Ints, deltas: Tensor) -> None:
        """See `nodes.step`; nodes are counted within the group."""
        step(self, nodes, deltas)

    def exchange(self, awake: Bools, box: Letterbox, least_weight: float) -> Letter:
        """Let those who are awake (m,) share, hear and make their z, which ends the round.

        Args:
            awake: who.
            box: what has arrived.
            least_weight: see `nodes.make_models`.

        Returns:
            what they send, on those links that do not lose it. Save this state first.
        """
        everyone = np.zeros(self.graph.nodes, bool)
        everyone[self.nodes] = awake
        self.weather.note_sleep(everyone)
        self._share(awake)
        lost = self.weather.send(self.now, everyone)
        self.messages += int(self.graph.out_degree[self.nodes[awake]].sum())
        self.lost += int(lost.sum())
        links = np.flatnonzero(everyone[self.graph.source] & ~lost)
        letter = Letter.of(self.now, links, self._place[self.graph.source[links]], self.sums)
        self._hear(awake, box)
        self.guarded += make_models(self, awake, least_weight)
        self.now += 1
        return letter

    def total(self) -> Tensor:
        """(P + 1,) the mass of these nodes by their books: Σ x(0) less all steps, and m; see above."""
        out = torch.from_numpy(self.graph.out_degree[self.nodes]).double()
        return self.mass.sum(0) + out @ self.sums - self.heard.sum(0)

    def pack(self) -> Snapshot:
        """This state at rest."""
        arrays = {name: getattr(self, name) for name in ARRAYS} | {"nodes": self.nodes}
        arrays |= {name: getattr(self.weather, name) for name in WEATHER}
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        tensors |= {name: getattr(self, name).clone() for name in TENSORS}
        plain = {name: getattr(self, name) for name in COUNTS} | {"graph": self.graph.checksum}
        return Snapshot(tensors, plain)

    @classmethod
    def unpack(cls, graph: Graph, nodes: Ints, faults: Faults, seed: int, snapshot: Snapshot) -> "NodeGroup":
        """What `pack` packed, of the same nodes of the same network.

        Raises:
            DataError: it is of others.
        """
        tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
        same = np.array_equal(tensors["nodes"].numpy(), nodes) and snapshot.plain["graph"] == graph.checksum
        if not same:
            raise DataError("the network has other links, or other groups, than when this training began.")
        weather = Weather.start(graph, _without_delay(faults), seed)
        weather.asleep, weather.failed = (tensors[name].numpy() for name in WEATHER)
        mass, w, sums, heard = (tensors[name] for name in TENSORS)
        stamp, owed, steps, made = (tensors[name].numpy() for name in ARRAYS)
        counts = (snapshot.plain[name] for name in COUNTS)
        return cls(graph, nodes, weather, mass, w, sums, heard, stamp, owed, steps, made, *counts)

    def _share(self, awake: Bools) -> None:
        """Split x and y evenly between oneself and all links, and add that to what was ever shared."""
        parts = np.where(awake, self.graph.out_degree[self.nodes] + 1, 1)
        self.mass /= torch.from_numpy(parts).double()[:, None]
        rows = torch.from_numpy(awake)
        self.sums[rows] += self.mass[rows]

    def _hear(self, awake: Bools, box: Letterbox) -> None:
        """Add what is new in the newest sums that have arrived."""
        news = np.flatnonzero(awake[self._target] & (box.newest > self.stamp))
        if not len(news):
            return
        at = torch.from_numpy(news)
        self.stamp[news], sums = box.take(news)
        self.mass.index_add_(0, torch.from_numpy(self._target[news]), sums - self.heard[at])
        self.heard[at] = sums


def reaching(graph: Graph, nodes: Ints) -> Ints:
    """(K,) the numbers of the links that reach some nodes."""
    links: Ints = np.flatnonzero(np.isin(graph.target, nodes))
    return links


def _without_delay(faults: Faults) -> Faults:
    return Faults(
        wake_within=faults.wake_within,
        wake_probability=faults.wake_probability,
        max_failures=faults.max_failures,
        failure_probability=faults.failure_probability,
    )
