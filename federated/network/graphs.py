"""A directed network that sleeps, delays and loses: who is awake when, and which messages arrive.

Nodes wake at least once in Γw rounds, a message takes 1 to Γd rounds, and a link loses at most Γf messages
in a row (Toghani 2022, PARS-Push). What happens in a round is drawn for all nodes and links at once, keyed
by the round, so it depends neither on what is computed nor on a restart.
"""

import zlib
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from data.randomness import generator
from data.schema import DataError

Kind = Literal["complete", "ring", "cycle", "exponential", "regular", "random", "scale-free"]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rounds = Annotated[int, Field(ge=1, le=100)]


@plain_dataclass(frozen=True)
class Graph:
    """Directed links between n nodes, sorted by their target.

    Attributes:
        nodes: n.
        source: (L,) where each link begins.
        target: (L,) where it ends.
    """

    nodes: int
    source: Ints
    target: Ints

    @cached_property
    def out_degree(self) -> Ints:
        """(n,) links that leave each node; no node is its own neighbour."""
        return np.bincount(self.source, minlength=self.nodes)

    @property
    def checksum(self) -> int:
        """A number that another graph has hardly ever."""
        return zlib.crc32(np.array([self.source, self.target]).tobytes())

    @classmethod
    def of(cls, links: nx.DiGraph, nodes: int) -> "Graph":
        """The graph of checked links.

        Raises:
            DataError: a node that does not exist, a self-loop, or no way from some node to another.
        """
        for node in links:
            if not isinstance(node, int) or not 0 <= node < nodes:
                raise DataError(f"the network names node {node!r}, but nodes are users 0 to {nodes - 1}.")
        loop = next(nx.selfloop_edges(links), None)
        if loop is not None:
            raise DataError(f"the network has a link from node {loop[0]} to itself: leave it out.")
        links = nx.compose(nx.empty_graph(nodes, create_using=nx.DiGraph), links)
        if not nx.is_strongly_connected(links):
            deaf, mute = (set(links) - {0} - reach(links, 0) for reach in (nx.descendants, nx.ancestors))
            way = f"node 0 to node {min(deaf)}" if deaf else f"node {min(mute)} to node 0"
            raise DataError(f"the network is not strongly connected: nothing gets from {way}.")
        pairs = np.array(sorted(links.edges, key=lambda link: link[::-1]), dtype=np.int64).reshape(-1, 2)
        return cls(nodes, pairs[:, 0], pairs[:, 1])

    @classmethod
    def side_by_side(cls, graphs: "list[Graph]") -> "Graph":
        """Independent networks as one, their nodes numbered one network after another."""
        first = np.cumsum([0, *(graph.nodes for graph in graphs)])
        source, target = (
            np.concatenate([getattr(g, end) + at for g, at in zip(graphs, first[:-1], strict=True)])
            for end in ("source", "target")
        )
        return cls(int(first[-1]), source, target)


def draw(kind: Kind, nodes: int, degree: float, seed: int) -> Graph:
    """A strongly connected graph of n nodes.

    Args:
        kind: complete: everyone to everyone; ring: to the next; cycle: to both neighbours; exponential: to
            those 1, 2, 4, … further; regular: to those ``degree`` random distances further in a ring of
            random order, so that all send and hear equally much; random: every possible link with equal
            probability; scale-free: links in both directions, preferably to those who have many (Barabási
            and Albert 1999). Where chance leaves a random graph in pieces, a ring is added.
        degree: links that leave a node, on average where the graph is random; in a scale-free one it is half
            of what a new node brings, so nearly the average if nodes are many. Of no meaning to the others.
    """
    links = nx.empty_graph(nodes, nx.DiGraph)
    chance: Any = generator(seed, "graph")
    if kind == "complete":
        links = nx.complete_graph(nodes, nx.DiGraph)
    elif kind == "exponential":
        hops = [2**k for k in range((nodes - 1).bit_length())]
        links.add_edges_from((i, (i + hop) % nodes) for i in range(nodes) for hop in hops)
    elif kind in ("ring", "cycle"):
        _add_ring(links, list(range(nodes)))
        links = links if kind == "ring" else links.to_undirected().to_directed()
    elif kind == "regular":
        order = chance.permutation(nodes)
        distances = [1, *chance.permutation(np.arange(2, nodes))]
        for hop in distances[: min(max(round(degree), 1), nodes - 1)]:
            links.add_edges_from(zip(order.tolist(), np.roll(order, -hop).tolist(), strict=True))
    elif kind == "scale-free" and nodes > 2:
        brings = min(max(round(degree / 2), 1), nodes - 1)
        links = nx.barabasi_albert_graph(nodes, brings, seed=chance).to_directed()
    else:
        often = min(degree / max(nodes - 1, 1), 1)
        links = nx.fast_gnp_random_graph(nodes, often, chance, directed=True)
    if not nx.is_strongly_connected(links):
        _add_ring(links, chance.permutation(nodes).tolist())
    return Graph.of(links, nodes)


def _add_ring(links: nx.DiGraph, order: list[int]) -> None:
    if len(order) > 1:
        nx.add_cycle(links, order)


def read(path: str, nodes: int) -> Graph:
    """The graph of a text file with one link a line, source and target, counted from 0.

    Raises:
        DataError: the file is not one, or holds no network of these nodes.
    """
    try:
        rows = [line.split("#")[0].replace(",", " ").split() for line in Path(path).read_text().splitlines()]
        links = [(int(source), int(target)) for source, target in filter(None, rows)]
    except OSError as error:
        raise DataError(f"the network {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"the network {path} must hold one link a line: two node numbers.") from error
    try:
        return Graph.of(nx.DiGraph(links), nodes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


@dataclass(frozen=True)
class Faults:
    """How bad a network can be.

    Attributes:
        wake_within: Γw, rounds in which every node wakes at least once; 1: always awake.
        wake_probability: of waking in a round before that; without meaning where Γw is 1.
        max_delay: Γd, rounds that a message travels at most; each takes 1 to Γd with equal probability.
        max_failures: Γf, messages in a row that a link loses at most; 0: none.
        failure_probability: of losing a message before that; without meaning where Γf is 0.
    """

    wake_within: Rounds = 1
    wake_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_delay: Rounds = 1
    max_failures: Annotated[int, Field(ge=0, le=100)] = 0
    failure_probability: Annotated[float, Field(ge=0, le=1)] = 0.3

    @property
    def effective_delay(self) -> int:
        """Γe = Γw + Γd − 1: rounds from sending a message until it is used, if it is not lost."""
        return self.wake_within + self.max_delay - 1

    @property
    def silence(self) -> int:
        """Γs = Γw (Γf + 1) + Γe: rounds within which every in-neighbour is heard."""
        return self.wake_within * (self.max_failures + 1) + self.effective_delay


@plain_dataclass
class Weather:
    """What the faults of a network have done until now.

    Attributes:
        asleep: (n,) rounds in a row that each node has been asleep.
        failed: (L,) messages in a row that each link has lost.
        arriving: (Γd, L) the newest stamp that arrives in each of the next rounds, −1: nothing does.
    """

    graph: Graph
    faults: Faults
    seed: int
    asleep: Ints
    failed: Ints
    arriving: Ints

    @classmethod
    def start(cls, graph: Graph, faults: Faults, seed: int) -> "Weather":
        """Before the first round."""
        links = len(graph.source)
        arriving = np.full((faults.max_delay, links), -1)
        return cls(graph, faults, seed, np.zeros(graph.nodes, np.int64), np.zeros(links, np.int64), arriving)

    def awake(self, now: int) -> Bools:
        """(n,) who wakes in round ``now``."""
        if self.faults.wake_within == 1:
            return np.ones(self.graph.nodes, bool)
        chance = generator(self.seed, "wake", now).random(self.graph.nodes)
        awake = chance < self.faults.wake_probability
        awake |= self.asleep >= self.faults.wake_within - 1
        self.asleep = np.where(awake, 0, self.asleep + 1)
        return awake

    def send(self, now: int, sending: Bools) -> Bools:
        """Let every node that is ``sending`` (n,) put a message with the stamp ``now`` on its links.

        Returns:
            (L,) on which links a message was lost.
        """
        used = sending[self.graph.source]
        lost = np.zeros_like(used)
        if self.faults.max_failures:
            chance = generator(self.seed, "failure", now).random(len(used))
            lost = used & (chance < self.faults.failure_probability)
            lost &= self.failed < self.faults.max_failures
            self.failed = np.where(used, np.where(lost, self.failed + 1, 0), self.failed)
        delay = np.ones(len(used), np.int64)
        if self.faults.max_delay > 1:
            delay = generator(self.seed, "travel", now).integers(self.faults.max_delay, size=len(used)) + 1
        links = np.flatnonzero(used & ~lost)
        self.arriving[(now + delay[links]) % self.faults.max_delay, links] = now
        return lost

    def arrivals(self, now: int) -> Ints:
        """(L,) the newest stamp among the messages that arrive in round ``now``, −1 where none does.

        Ask before sending in that round: what travels for Γd rounds takes the place of these.
        """
        slot = now % self.faults.max_delay
        stamps: Ints = self.arriving[slot].copy()
        self.arriving[slot] = -1
        return stamps
