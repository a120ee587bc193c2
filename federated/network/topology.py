"""Graphs drawn, or read from a file. Who only works with graphs does not wait for what is imported here."""

from typing import Any

import networkx as nx
import numpy as np

from data.pinned import plain, read_pinned
from data.randomness import generator
from data.schema import DataError
from federated.network.graphs import Graph, Kind


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
    return graph_of(links, nodes)


def _add_ring(links: nx.DiGraph, order: list[int]) -> None:
    if len(order) > 1:
        nx.add_cycle(links, order)


def read(path: str, nodes: int) -> Graph:
    """The graph of a text file, whose path may be pinned: one link a line, source and target, counted from 0.

    Raises:
        DataError: the file is not one, or holds no network of these nodes.
    """
    content, path = read_pinned(path, "the network"), plain(path)
    try:
        rows = [line.split("#")[0].replace(",", " ").split() for line in content.decode().splitlines()]
        links = [(int(source), int(target)) for source, target in filter(None, rows)]
    except ValueError as error:
        raise DataError(f"the network {path} must hold one link a line: two node numbers.") from error
    try:
        return graph_of(nx.DiGraph(links), nodes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def graph_of(links: nx.DiGraph, nodes: int) -> Graph:
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
    return Graph(nodes, pairs[:, 0], pairs[:, 1])
