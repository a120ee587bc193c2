"""Groups of nodes that live apart: what the simulator's network does, and what no death of a group undoes."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.randomness import generator
from data.schema import DataError
from federated.network.graphs import Graph, Kind
from federated.network.letters import Letter, Letterbox
from federated.network.node_group import NodeGroup, reaching
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.network.weather import Faults
from federated.state import Snapshot

P = 3
HARSH = Faults(wake_within=3, max_delay=4, max_failures=3, failure_probability=0.5)


def split(nodes: int, groups: int) -> list[np.ndarray]:
    return [np.arange(nodes)[number::groups] for number in range(groups)]


class Apart:
    """A network in groups, each with its disk: what it saved last.

    Attributes:
        books: (P + 1,) what the mass must be by the steps that nobody has forgotten.
    """

    def __init__(self, graph: Graph, faults: Faults, seed: int, groups: int, dtype: torch.dtype) -> None:
        self.graph, self.faults, self.seed = graph, faults, seed
        chance = generator(seed, "start")
        self.w = torch.from_numpy(chance.normal(size=(graph.nodes, P))).to(dtype)
        self.members = split(graph.nodes, groups)
        self.groups = [NodeGroup.start(graph, m, faults, seed, self.w[m]) for m in self.members]
        self.boxes = [self.empty(number) for number in range(groups)]
        self.taken = [np.zeros(P) for _ in self.groups]
        self.disk: list[tuple[Snapshot, np.ndarray]] = [self.packed(number) for number in range(groups)]

    def empty(self, number: int) -> Letterbox:
        return Letterbox(reaching(self.graph, self.members[number]), P + 1)

    def packed(self, number: int) -> tuple[Snapshot, np.ndarray]:
        return self.groups[number].pack(), self.taken[number].copy()

    def wake(self, number: int) -> Letter:
        """One round of a group: steps keyed by node and round, then sharing and hearing."""
        group = self.groups[number]
        awake = group.awake()
        group.owed += 0.5
        nodes = np.flatnonzero(awake)
        draws = [generator(self.seed, "walk", int(n), group.now).normal(size=P) for n in group.nodes[nodes]]
        deltas = torch.from_numpy(np.array(draws).reshape(-1, P) / 10).to(group.w.dtype)
        self.taken[number] += group.owed[nodes] @ deltas.double().numpy()
        group.step(nodes, deltas)
        group.owed[nodes] = 0
        return group.exchange(awake, self.boxes[number], 0)

    def save(self, number: int) -> None:
        self.disk[number] = self.packed(number)

    def die(self, number: int) -> None:
        """Begin anew from the disk, with an empty box."""
        snapshot, taken = self.disk[number]
        self.groups[number] = NodeGroup.unpack(
            self.graph, self.members[number], self.faults, self.seed, snapshot
        )
        self.boxes[number], self.taken[number] = self.empty(number), taken.copy()

    def deliver(self, letter: Letter, late: np.ndarray | None = None) -> None:
        for number, members in enumerate(self.members):
            part = letter.to(np.isin(self.graph.target[letter.links], members))
            self.boxes[number].put(part)

    def under_way(self) -> torch.Tensor:
        """(L, P + 1) what each link has still to bring."""
        sums = torch.zeros(self.graph.nodes, P + 1, dtype=torch.float64)
        heard = torch.zeros(len(self.graph.source), P + 1, dtype=torch.float64)
        for group in self.groups:
            sums[group.nodes] = group.sums
            heard[group.reached_by] = group.heard
        return sums[self.graph.source] - heard

    def drain(self) -> None:
        """Everybody hears all that was ever shared."""
        everywhere = np.arange(len(self.graph.source))
        for number, group in enumerate(self.groups):
            own = everywhere[np.isin(self.graph.source, group.nodes)]
            place = np.searchsorted(np.sort(group.nodes), self.graph.source[own])
            late = int(max(10**9, group.now))
            self.deliver(Letter.of(late + number, own, place, group.sums))
        for number, group in enumerate(self.groups):
            group._hear(np.ones(len(group.nodes), bool), self.boxes[number])

    def error(self) -> float:
        """Of the mass of all nodes alone, once nothing is under way."""
        mass = sum(group.mass.sum(0) for group in self.groups).numpy()
        books = np.array([*(self.w.double().sum(0).numpy() - sum(self.taken)), self.graph.nodes])
        return float(np.abs(mass - books).max())


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("groups", [1, 3, 8])
def test_groups_in_the_simulators_weather_are_the_simulators_network(
    groups: int, dtype: torch.dtype, close: float
) -> None:
    graph = draw("random", 8, 3, 1)
    apart = Apart(graph, HARSH, 5, groups, dtype)
    whole = PushSum.start(graph, HARSH, 5, apart.w)
    travelling: dict[int, list[Letter]] = {}
    for now in range(400):
        before = whole.lost
        awake = whole.weather.awake(now)
        nodes = np.flatnonzero(awake)
        whole.owed += 0.5
        draws = [generator(5, "walk", int(n), now).normal(size=P) / 10 for n in nodes]
        whole.step(nodes, torch.from_numpy(np.array(draws).reshape(-1, P)).to(dtype))
        whole.owed[nodes] = 0
        whole.exchange(awake, 0)
        for letter in travelling.pop(now, []):
            apart.deliver(letter)
        sent = [apart.wake(number) for number in range(groups)]
        delay = generator(5, "travel", now).integers(HARSH.max_delay, size=len(graph.source)) + 1
        for letter in sent:
            for late in np.unique(delay[letter.links]):
                part = letter.to(delay[letter.links] == late)
                travelling.setdefault(now + int(late), []).append(part)
        assert sum(group.lost for group in apart.groups) == whole.lost >= before
        for group in apart.groups:
            torch.testing.assert_close(group.mass, whole.mass[group.nodes].double(), rtol=close, atol=close)
            torch.testing.assert_close(group.w, whole.w[group.nodes], rtol=10 * close, atol=10 * close)
            assert group.w.dtype == dtype
            assert (group.stamp == whole.stamp[group.reached_by]).all()
            assert (group.made == whole.made[group.nodes]).all()
    assert whole.lost > 100
    total = sum(group.total() for group in apart.groups)
    torch.testing.assert_close(total, whole.total(), rtol=10 * close, atol=10 * close)


kinds, seeds = st.sampled_from(get_args(Kind)), st.integers(0, 99)
deeds = st.lists(
    st.tuples(st.sampled_from(["live", "unsaved", "unsent", "die"]), st.integers(0, 2)), max_size=80
)


def live(apart: Apart, deed: str, number: int, saves: bool) -> None:
    """A group wakes and, unless it dies before, saves and then sends what it shared; or it just dies.

    Args:
        saves: whether it does save.
    """
    if deed != "die":
        letter = apart.wake(number)
        if saves and deed != "unsaved":
            apart.save(number)
        if deed == "live":
            apart.deliver(letter)
    if deed != "live":
        apart.die(number)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(kind=kinds, seed=seeds, story=deeds)
def test_whoever_saves_before_sending_can_die_at_any_moment(
    kind: Kind, seed: int, story: list[tuple[str, int]]
) -> None:
    apart = Apart(draw(kind, 6, 2, seed), HARSH, seed, 3, torch.float64)
    for deed, number in story:
        live(apart, deed, number, saves=True)
        assert apart.under_way()[:, -1].min() >= 0, "what was heard had been sent"
        for group in apart.groups:
            assert float(group.total()[-1]) == pytest.approx(len(group.nodes), abs=1e-9)
            assert group.mass[:, -1].min() > 0
    apart.drain()
    assert apart.error() < 1e-9


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(kind=kinds, seed=seeds, story=deeds, every=st.integers(2, 9))
def test_whoever_saves_seldom_forgets_steps_but_no_mass(
    kind: Kind, seed: int, story: list[tuple[str, int]], every: int
) -> None:
    """What others have heard of forgotten rounds is made good by the next sums they hear."""
    apart = Apart(draw(kind, 6, 2, seed), HARSH, seed, 3, torch.float64)
    for turn, (deed, number) in enumerate(story):
        live(apart, deed, number, saves=turn % every == 0)
        total = sum(group.total() for group in apart.groups).numpy()
        books = np.array([*(apart.w.double().sum(0).numpy() - sum(apart.taken)), 6])
        np.testing.assert_allclose(total, books, atol=1e-9)
    apart.drain()
    assert apart.error() < 1e-9


def test_who_saves_seldom_is_heard_of_rounds_that_it_forgets() -> None:
    """Or the two tests above would be one: here less than nothing is under way, for a while."""
    apart = Apart(draw("ring", 6, 2, 0), replace(HARSH, wake_within=1, max_failures=0), 0, 3, torch.float64)
    for _ in range(3):
        apart.deliver(apart.wake(0))
    apart.wake(1)
    apart.die(0)
    assert apart.under_way()[:, -1].min() < -0.1


def test_a_group_that_loses_part_of_its_state_is_noticed() -> None:
    apart = Apart(draw("ring", 6, 2, 0), Faults(), 0, 2, torch.float64)
    for number in (0, 1, 0, 1):
        apart.deliver(apart.wake(number))
    group = apart.groups[0]
    group.heard.zero_()
    assert abs(float(group.total()[-1]) - 3) > 0.1


def test_sums_are_exact_enough_after_a_million_rounds() -> None:
    """φ then is a million shares; a share is its difference to one more, to ten digits."""
    apart = Apart(draw("complete", 4, 1, 0), Faults(), 0, 2, torch.float64)
    for group in apart.groups:
        group.sums += 1e6 / 4
        group.heard += 1e6 / 4
    for _ in range(50):
        for letter in [apart.wake(0), apart.wake(1)]:
            apart.deliver(letter)
    apart.drain()
    assert apart.error() < 1e-8


def test_packed_and_unpacked_it_goes_on_as_before() -> None:
    one, other = (Apart(draw("regular", 8, 2, 3), HARSH, 3, 2, torch.float32) for _ in range(2))
    for turn in range(40):
        for number in (0, 1):
            if turn == 20:
                other.save(number)
                box = other.boxes[number]
                other.die(number)
                other.boxes[number] = box
            for apart in (one, other):
                apart.deliver(apart.wake(number))
    for a, b in zip(one.groups, other.groups, strict=True):
        assert torch.equal(a.mass, b.mass)
        assert torch.equal(a.w, b.w)
        assert (a.messages, a.lost, a.guarded, a.now) == (b.messages, b.lost, b.guarded, b.now)


def test_a_state_of_other_nodes_is_refused() -> None:
    apart = Apart(draw("ring", 6, 2, 0), Faults(), 0, 2, torch.float64)
    snapshot, _ = apart.disk[0]
    for graph, nodes in ((apart.graph, apart.members[1]), (draw("complete", 6, 2, 0), apart.members[0])):
        with pytest.raises(DataError, match="other links, or other groups"):
            NodeGroup.unpack(graph, nodes, Faults(), 0, snapshot)


def test_a_letterbox_keeps_the_newest() -> None:
    box = Letterbox(np.array([3, 5, 8]), 2)
    sums = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    box.put(Letter.of(7, np.array([5, 8]), np.array([1, 1]), sums))
    box.put(Letter.of(6, np.array([3, 5]), np.array([0, 0]), sums))
    assert box.newest.tolist() == [6, 7, 7]
    stamps, found = box.take(np.array([0, 1]))
    assert stamps.tolist() == [6, 7]
    assert found.tolist() == [[1, 2], [3, 4]]


def test_letters_carry_a_node_but_once() -> None:
    sums = torch.arange(8, dtype=torch.float64).view(4, 2)
    letter = Letter.of(1, np.array([2, 4, 6]), np.array([3, 1, 3]), sums)
    assert letter.sums.shape == (2, 2)
    part = letter.to(letter.links != 4)
    assert part.sums.tolist() == [[6, 7]]
    assert part.links.tolist() == [2, 6]
