"""Graphs that reach everybody, drawn or read from files of links."""

from pathlib import Path
from typing import get_args

import networkx as nx
import numpy as np
import pytest

from data.schema import DataError
from federated.clients import Clients, LocalSGD
from federated.network.graphs import Graph, Kind
from federated.network.topology import draw, read
from federated.objectives import Vanilla
from federated.schedules.gossip import Gossip
from tests.oracles.test_reductions import quadratics

KINDS = get_args(Kind)


def pairs(graph: Graph) -> list[tuple[int, int]]:
    return list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))


def hops(nodes: int, *steps: int) -> set[tuple[int, int]]:
    """Links from every node to those so many places further, except to itself."""
    return {(i, (i + s) % nodes) for i in range(nodes) for s in steps if s % nodes}


@pytest.mark.parametrize("nodes", [1, 2, 3, 10, 57])
@pytest.mark.parametrize("kind", KINDS)
def test_every_graph_is_strongly_connected_and_in_order(kind: Kind, nodes: int) -> None:
    for degree in (1, 4, 100):
        graph = draw(kind, nodes, degree, 0)
        links = pairs(graph)
        assert graph.nodes == nodes
        assert links == sorted(set(links), key=lambda link: link[::-1])
        assert all(source != target for source, target in links)
        known = nx.DiGraph(links)
        known.add_nodes_from(range(nodes))
        assert set(known) == set(range(nodes))
        assert nx.is_strongly_connected(known)
        assert graph.out_degree.tolist() == [sum(s == node for s, _ in links) for node in range(nodes)]


@pytest.mark.parametrize("nodes", [1, 2, 3, 10, 57])
def test_graphs_without_chance_have_exactly_these_links(nodes: int) -> None:
    doubling = [2**k for k in range(10) if 2**k < nodes]
    expected: dict[Kind, list[int]] = {"ring": [1], "cycle": [1, -1], "exponential": doubling}
    expected["complete"] = list(range(1, nodes))
    for kind, steps in expected.items():
        assert set(pairs(draw(kind, nodes, 4, 0))) == hops(nodes, *steps)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_depends_on_its_seed_if_it_is_drawn(kind: Kind) -> None:
    assert pairs(draw(kind, 20, 4, 1)) == pairs(draw(kind, 20, 4, 1))
    by_chance = kind in ("regular", "random", "scale-free")
    assert (pairs(draw(kind, 20, 4, 1)) != pairs(draw(kind, 20, 4, 2))) == by_chance


@pytest.mark.parametrize("degree", [8, 12, 30])
@pytest.mark.parametrize("kind", ["regular", "random", "scale-free"])
def test_degrees_are_about_those_asked_for(kind: Kind, degree: int) -> None:
    mean = np.mean([draw(kind, 200, degree, seed).out_degree.mean() for seed in range(5)])
    assert mean == pytest.approx(degree, rel=0.1)


def test_scale_free_graphs_have_hubs_and_links_both_ways() -> None:
    graph = draw("scale-free", 200, 4, 0)
    links = set(pairs(graph))
    assert links == {link[::-1] for link in links}
    assert graph.out_degree.max() > 4 * np.median(graph.out_degree)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degree", [1, 5, 50])
def test_gossip_draws_every_graph_with_every_degree(kind: Kind, degree: int) -> None:
    clients = Clients(quadratics(9), Vanilla(), LocalSGD(), 0)
    assert Gossip(graph=kind, degree=degree).links(clients).nodes == 9


def test_an_edge_list_is_read(tmp_path: Path) -> None:
    file = tmp_path / "links.txt"
    file.write_text("# who, to whom\n\n2 0\n 0,1 # first\n1,\t2\n   \n0 2\n0 1\n")
    assert pairs(read(str(file), 3)) == [(2, 0), (0, 1), (0, 2), (1, 2)]
    file.write_text("# nobody to talk to\n")
    assert pairs(read(str(file), 1)) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0 1 7\n1 0\n", "must hold one link a line: two node numbers"),
        ("0\n1 0\n", "must hold one link a line: two node numbers"),
        ("zero one\n", "must hold one link a line: two node numbers"),
        ("0 1.5\n", "must hold one link a line: two node numbers"),
        ("0 1\n1 1\n1 2\n2 0\n", "a link from node 1 to itself"),
        ("0 1\n1 3\n3 0\n", "names node 3, but nodes are users 0 to 2"),
        ("0 1\n1 -1\n-1 0\n", "names node -1, but nodes are users 0 to 2"),
        ("0 1\n0 2\n1 2\n1 0\n", "not strongly connected: nothing gets from node 2 to node 0"),
        ("0 1\n1 0\n", "not strongly connected: nothing gets from node 0 to node 2"),
        ("", "not strongly connected: nothing gets from node 0 to node 1"),
    ],
)
def test_a_wrong_edge_list_is_refused_in_a_sentence(text: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "links.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=named) as refused:
        read(str(file), 3)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt cannot be read: No such file or directory\.$"):
        read(str(tmp_path / "none.txt"), 3)
    (tmp_path / "picture").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="must hold one link a line"):
        read(str(tmp_path / "picture"), 3)


def test_graphs_side_by_side_stay_apart() -> None:
    both = Graph.side_by_side([draw("ring", 3, 4, 0), draw("ring", 1, 4, 0), draw("cycle", 4, 4, 0)])
    assert both.nodes == 8
    assert set(pairs(both)) == hops(3, 1) | {(s + 4, t + 4) for s, t in hops(4, 1, -1)}
    assert (np.diff(both.target) >= 0).all()
    assert both.out_degree.tolist() == [1, 1, 1, 0, 2, 2, 2, 2]
