"""Graphs, files of links, and weather that keeps its promises: Γw, Γd and Γf."""

from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from data.randomness import generator
from data.schema import DataError
from federated.clients import Clients, LocalSGD
from federated.network.graphs import Bools, Graph, Kind, draw, read
from federated.network.weather import Faults, Weather
from federated.objectives import Vanilla
from federated.schedules.gossip import Gossip
from tests.oracles.test_reductions import quadratics

KINDS = get_args(Kind)
HARSH = Faults(wake_within=3, max_delay=4, max_failures=3)


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


def test_how_late_and_how_silent_a_network_can_be() -> None:
    assert (Faults().effective_delay, Faults().silence) == (1, 2)
    assert (HARSH.effective_delay, HARSH.silence) == (6, 18)
    assert (Faults(wake_within=2).silence, Faults(max_delay=5).silence) == (4, 6)


NAN = float("nan")
WRONG: list[tuple[str, list[Any]]] = [
    ("wake_within", [0, -1, 1001, 1.5]),
    ("max_delay", [0, -1, 1001]),
    ("max_failures", [-1, 1001]),
]
CHANCES: list[tuple[str, list[Any]]] = [
    (name, [-0.1, 1.1, NAN]) for name in ("wake_probability", "failure_probability")
]


@pytest.mark.parametrize(("name", "values"), WRONG + CHANCES)
def test_impossible_faults_are_refused(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValidationError, match=name):
            Faults(**{name: value})


def awake(faults: Faults, rounds: int) -> Bools:
    """(T, 40) who wakes."""
    weather = Weather.start(draw("ring", 40, 1, 0), faults, 3)
    return np.stack([weather.awake(now) for now in range(rounds)])


@pytest.mark.parametrize(("within", "probability"), [(1, 0.5), (2, 0.3), (3, 0.5), (7, 0.1), (4, 0), (4, 1)])
def test_everyone_wakes_within_the_promised_rounds(within: int, probability: float) -> None:
    seen = awake(Faults(wake_within=within, wake_probability=probability), 2000)
    gaps = np.concatenate([np.diff(np.flatnonzero([True, *node])) for node in seen.T])
    assert gaps.max() == (1 if probability == 1 else within)
    assert gaps.mean() == pytest.approx(sum((1 - probability) ** k for k in range(within)), rel=0.01)


def losses(faults: Faults, often: float = 1.0) -> tuple[NDArray[np.float64], int]:
    """The share lost of each link's messages, and the longest row of losses; nodes send by chance."""
    weather = Weather.start(draw("cycle", 20, 1, 0), faults, 3)
    chance = np.random.default_rng(0)
    sent: list[list[bool]] = [[] for _ in range(40)]
    for now in range(3000):
        sending = chance.random(20) < often
        lost = weather.send(now, sending)
        assert not lost[~sending[weather.graph.source]].any(), "what was not sent is not lost"
        for link in np.flatnonzero(sending[weather.graph.source]):
            sent[link].append(bool(lost[link]))
    rows = [sum(1 for _ in row) for link in sent for bad, row in groupby(link) if bad]
    return np.array([np.mean(link) for link in sent]), max(rows, default=0)


@pytest.mark.parametrize("often", [1.0, 0.4])
@pytest.mark.parametrize(("most", "probability"), [(0, 1), (1, 0.3), (3, 0.3), (3, 0.8), (2, 1), (2, 0)])
def test_a_link_loses_at_most_so_many_in_a_row(most: int, probability: float, often: float) -> None:
    """The share is that of a chain that is sure to deliver after so many losses; sleep does not count."""
    share, longest = losses(Faults(max_failures=most, failure_probability=probability), often)
    rows = [probability**k for k in range(most + 1)]
    assert longest == (most if probability else 0)
    assert share.mean() == pytest.approx(sum(rows[1:]) / sum(rows), abs=0.01)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_what_is_not_lost_arrives_once_and_in_time(most: int) -> None:
    """A link sends anew when the last message must have arrived, as only the newest stamp is reported."""
    weather = Weather.start(draw("random", 12, 3, 0), Faults(max_delay=most, max_failures=2), 3)
    source, links = weather.graph.source, range(len(weather.graph.source))
    expected, arrived = set(), []
    for now in range(3000):
        arrived += [(int(t), link, now - t) for link, t in enumerate(weather.arrivals(now)) if t >= 0]
        lost = weather.send(now, (now + np.arange(12)) % (most + 1) == 0)
        expected |= {(now, k) for k in links if (now + source[k]) % (most + 1) == 0 and not lost[k]}
    assert len(arrived) == len({message[:2] for message in arrived}), "nothing arrives twice"
    early = {message for message in expected if message[0] < 3000 - most}
    assert early <= {message[:2] for message in arrived} <= expected
    counts = np.bincount([delay for *_, delay in arrived])
    assert counts[0] == 0
    assert counts[1:] / len(arrived) == pytest.approx(1 / most, abs=0.02)
    assert len(counts) == most + 1


def test_the_newest_of_those_that_arrive_together_is_reported() -> None:
    weather = Weather.start(draw("cycle", 20, 1, 0), Faults(max_delay=6), 1)
    due = np.full((320, 40), -1)
    for now in range(300):
        assert (weather.arrivals(now) == due[now]).all()
        weather.send(now, np.ones(20, bool))
        travel = generator(1, "travel", now).integers(6, size=40)
        due[now + 1 + travel, np.arange(40)] = now


def test_weather_is_drawn_by_seed_and_round_alone() -> None:
    """With bounds out of reach, what happens in round 50 does not depend on what happened before."""
    faults = Faults(wake_within=100, max_delay=7, max_failures=100)
    graph, everyone = draw("complete", 15, 1, 0), np.ones(15, bool)
    fresh, other, old = (Weather.start(graph, faults, seed) for seed in (1, 2, 1))
    for now in range(50):
        old.awake(now)
        old.arrivals(now)
        old.send(now, np.arange(15) % 3 == now % 3)
    old.arriving[:] = -1
    here, there, later = (
        (w.awake(50).tolist(), w.send(50, everyone).tolist(), w.arriving.tolist())
        for w in (fresh, other, old)
    )
    assert here == later
    assert all(a != b for a, b in zip(here, there, strict=True))
