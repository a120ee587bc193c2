"""Few bytes on links: every message is decoded, whatever was lost or late, and no mass is missing."""

from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from data.randomness import generator
from federated.compression import Compression
from federated.network.coding import Coder
from federated.network.graphs import Graph, Kind
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.network.weather import Faults
from federated.server.rules import Defence
from federated.server.uploads import Uploads

P = 7
HARSH = Faults(wake_within=4, wake_probability=0.2, max_delay=5, max_failures=4, failure_probability=0.9)
MILD = Faults(max_delay=2, max_failures=2)
CLIP = Defence(rule="clip", clip=0.4)
NETWORK = draw("random", 8, 2, 0)

chances, seeds = st.floats(0, 1), st.integers(0, 999)
graphs = st.builds(
    draw, st.sampled_from(get_args(Kind)), st.integers(2, 8), st.integers(1, 4), st.integers(0, 99)
)
faults = st.builds(
    Faults,
    wake_within=st.integers(1, 4),
    wake_probability=chances,
    max_delay=st.integers(1, 5),
    max_failures=st.integers(0, 4),
    failure_probability=chances,
)
mild = st.builds(
    Faults, max_delay=st.integers(1, 2), max_failures=st.integers(0, 2), failure_probability=chances
)


def small(bits: int, bucket: int = 3) -> Uploads:
    return Uploads(compression=Compression(bits=bits, bucket=bucket))  # type: ignore[arg-type]


@dataclass
class Walk:
    """A network whose nodes take random steps, all with a drift, and the books kept beside it.

    Attributes:
        books: (P + 1,) what Σx and Σy must be.
        largest: |Σx| there ever was, 1 at least.
    """

    graph: Graph
    faults: Faults
    uploads: Uploads
    seed: int = 0
    drift: float = 0.0
    parameters: int = P
    largest: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        self.chance = generator(self.seed, "walk")
        start = torch.from_numpy(self.chance.normal(size=self.parameters))
        self.state = PushSum.start(self.graph, self.faults, self.seed, start, self.uploads)
        self.books: NDArray[np.float64] = np.array([*start.tolist(), 1]) * self.graph.nodes

    def go(self, rounds: int) -> None:
        state = self.state
        for _ in range(rounds):
            state.owed += 1
            awake = state.weather.awake(state.now)
            nodes = np.flatnonzero(awake)
            deltas = self.drift + self.chance.normal(size=(len(nodes), self.parameters)) / 10
            self.books[:-1] -= state.owed[nodes] @ deltas
            self.largest = max(self.largest, *np.abs(self.books[:-1]).tolist())
            state.step(nodes, torch.from_numpy(deltas))
            state.owed[nodes] = 0
            state.exchange(awake, least_weight=0)

    def error(self) -> float:
        """Of the mass, beside the largest ever."""
        error: float = np.abs(self.state.total().numpy() - self.books).max()
        return error / self.largest


@settings(max_examples=8, derandomize=True, deadline=None, database=None)
@given(graph=graphs, faults=faults, seed=seeds)
@example(graph=NETWORK, faults=HARSH, seed=0)
def test_no_mass_is_missing_in_any_network(graph: Graph, faults: Faults, seed: int) -> None:
    for uploads in (small(8), Uploads(defence=CLIP), Uploads(defence=CLIP, compression=small(8).compression)):
        walk = Walk(graph, faults, uploads, seed)
        for _ in range(5):
            walk.go(60)
            assert walk.error() < 1e-9
            assert walk.state.figures()["mass"] == pytest.approx(1, abs=1e-9)


@settings(max_examples=8, derandomize=True, deadline=None, database=None)
@given(graph=graphs, faults=mild, seed=seeds)
def test_nor_in_4_bits(graph: Graph, faults: Faults, seed: int) -> None:
    walk = Walk(graph, faults, small(4), seed)
    walk.go(300)
    assert walk.error() < 1e-9


class Postman:
    """Keeps all messages that are sent, and lets every link decode those that the network uses.

    Attributes:
        oldest: rounds between two messages that a link has used one after the other, at most.
        decoded: how many were.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.sent: dict[tuple[int, int], tuple[bytes, Tensor]] = {}
        self.heard = torch.zeros(len(walk.graph.source), walk.parameters + 1, dtype=torch.float64)
        self.oldest = self.decoded = 0

    def go(self, rounds: int) -> None:
        """Raises AssertionError where something else is decoded than was sent, or than the network hears."""
        walk, state = self.walk, self.walk.state
        coder, graph = state.coder, walk.graph
        assert coder is not None
        for _ in range(rounds):
            now, before = state.now, state.stamp
            awake = state.weather.awake(now)
            walk.go(1)
            for node in np.flatnonzero(awake).tolist():
                self.sent[now, node] = coder.encode(node, now), coder.sums[node].clone()
            simulated = state.shares.heard(graph, before, state.stamp)
            found = torch.zeros_like(simulated)
            for link in np.flatnonzero(state.stamp > before).tolist():
                message, sums = self.sent[int(state.stamp[link]), int(graph.source[link])]
                assert len(message) == coder.size
                stamp, decoded = coder.decode(message, self.heard[link])
                assert stamp == state.stamp[link]
                assert torch.equal(decoded, sums)
                found[graph.target[link]] += coder.meaning(decoded) - coder.meaning(self.heard[link])
                self.heard[link] = decoded
                self.oldest = max(self.oldest, stamp - int(before[link]))
                self.decoded += 1
            torch.testing.assert_close(found, simulated, rtol=0, atol=1e-10 * walk.largest)


@pytest.mark.parametrize(
    ("faults", "bits"), [(Faults(), 4), (Faults(), 8), (MILD, 4), (MILD, 8), (HARSH, 8), (HARSH, 4)]
)
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_every_message_is_decoded(faults: Faults, bits: int, drift: float) -> None:
    """By links that have heard nothing for as long as there can be; a drift makes all increments alike."""
    postman = Postman(Walk(NETWORK, faults, small(bits), drift=drift))
    postman.go(600 if faults == HARSH else 200)
    assert postman.decoded > 300
    assert 0.8 * faults.silence - 1 <= postman.oldest <= faults.silence - 1


@pytest.mark.parametrize(("bits", "silence"), [(4, 2), (4, 6), (8, 2), (8, 30), (8, 126)])
def test_whoever_has_been_deaf_for_as_long_as_can_be_decodes(bits: int, silence: int) -> None:
    """Increments grow, shrink and pause; and who has been deaf for longer takes a wrong sum some time."""
    chance = generator(bits, "shares")
    compression = small(bits).compression
    assert compression is not None
    coder = Coder.start(compression, 1, silence, torch.zeros(P))
    known, wrong = [coder.sums[0].clone()], 0
    for now in range(300):
        due = torch.from_numpy(np.append(chance.normal(0.5, 0.2, P) * 2.0 ** (now // 30 % 4), 0.2))[None]
        if now % 7 < 6:
            coder.share(now, due, np.ones(1, bool))
            for sums in known[-silence + 1 :]:
                assert torch.equal(coder.decode(coder.encode(0, now), sums)[1], coder.sums[0])
            if now > 4 * silence:
                heard = known[-4 * silence]
                wrong += not torch.equal(coder.decode(coder.encode(0, now), heard)[1], coder.sums[0])
        else:
            coder.share(now, due, np.zeros(1, bool))
        known.append(coder.sums[0].clone())
    assert wrong or silence > 70


def test_a_bound_over_fewer_rounds_is_too_low() -> None:
    walk = Walk(NETWORK, HARSH, small(8), drift=0.3)
    coder = walk.state.coder
    assert coder is not None
    coder.spans = coder.spans[:2]
    with pytest.raises(AssertionError):
        Postman(walk).go(600)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("parameters", "bucket"), [(1, 256), (5, 1), (6, 3), (255, 256), (257, 256)])
def test_bytes_are_those_of_messages(parameters: int, bucket: int, bits: int) -> None:
    walk = Walk(NETWORK, MILD, small(bits, bucket), parameters=parameters)
    walk.go(3)
    coder, figures = walk.state.coder, walk.state.figures()
    assert coder is not None
    length = len(coder.encode(5, 2))
    assert length == 16 + -(-parameters // bucket) + -(-parameters * bits // 8)
    assert figures["bytes"] == figures["messages"] * length
    with pytest.raises(ValueError, match="bytes, not"):
        coder.decode(coder.encode(5, 2) + b"0", coder.sums[0])


@pytest.mark.parametrize(("bits", "most"), [(8, 1.02), (4, 2.0)])
def test_models_are_as_near_to_each_other_as_without(bits: int, most: float) -> None:
    errors = []
    for uploads in (Uploads(), small(bits)):
        walk = Walk(draw("regular", 20, 4, 0), Faults(), uploads)
        walk.go(50)
        errors.append(0.0)
        for _ in range(50):
            walk.go(1)
            errors[-1] += walk.state.figures()["consensus_error"]
    assert errors[0] / most < errors[1] < errors[0] * most


def test_where_nothing_is_learned_nothing_is_rounded() -> None:
    """All are still at the start, which messages need not tell."""
    start = torch.tensor([0.3, -1.7], dtype=torch.float64)
    state = PushSum.start(NETWORK, MILD, 0, start, small(8))
    for _ in range(50):
        state.exchange(state.weather.awake(state.now), 0)
    torch.testing.assert_close(
        state.w, torch.tensor([[0.3, -1.7]] * 8, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_who_starts_from_models_of_their_own_can_send_few_bytes_too() -> None:
    """Nobody knows where the others start, so all of it is sent; the mean is the one that it must be."""
    start = torch.from_numpy(generator(0, "starts").normal(size=(8, P)))
    state = PushSum.start(NETWORK, MILD, 0, start, small(8))
    for _ in range(300):
        state.exchange(state.weather.awake(state.now), 0)
    torch.testing.assert_close(state.w, start.mean(0).expand(8, P), rtol=0, atol=0.1)
    torch.testing.assert_close(state.total()[:-1], start.sum(0), rtol=0, atol=1e-9)


def test_little_is_lost_in_float32() -> None:
    start = torch.from_numpy(generator(0, "starts").normal(size=P)).float()
    state = PushSum.start(NETWORK, HARSH, 0, start, small(8))
    state.step(np.arange(8), torch.ones(8, P))
    books = state.total()
    for _ in range(1000):
        state.exchange(state.weather.awake(state.now), 0)
    assert state.mass.dtype == state.shares.values.dtype == torch.float32
    torch.testing.assert_close(state.total(), books, rtol=0, atol=1e-4)


def test_who_does_not_keep_the_rest_loses_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    """As would who rounds sums, but not what they keep for themselves."""
    share = Coder.share

    def forgetful(self: Coder, *arguments: object) -> Tensor:
        sent = share(self, *arguments)  # type: ignore[arg-type]
        self.rest.zero_()
        return sent

    monkeypatch.setattr(Coder, "share", forgetful)
    walk = Walk(NETWORK, MILD, small(8))
    walk.go(100)
    assert walk.error() > 1e-4


def test_who_rounds_what_arrives_loses_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    share = Coder.share

    def rounding_sums(self: Coder, now: int, due: Tensor, sending: NDArray[np.bool_]) -> Tensor:
        sent = share(self, now, due, sending)
        return torch.cat([torch.round(sent[:, :-1] * 64) / 64, sent[:, -1:]], dim=1)

    monkeypatch.setattr(Coder, "share", rounding_sums)
    walk = Walk(NETWORK, MILD, small(8))
    walk.go(100)
    assert walk.error() > 1e-4


@pytest.mark.parametrize("uploads", [small(8), small(4), Uploads(None, None, CLIP, small(8).compression)])
def test_packed_and_unpacked_it_goes_on_with_the_same_bits(uploads: Uploads) -> None:
    walk, other = (Walk(NETWORK, MILD, uploads) for _ in range(2))
    walk.go(40)
    other.go(40)
    other.state = PushSum.unpack(NETWORK, MILD, 0, other.state.pack(), uploads)
    walk.go(40)
    other.go(40)
    one, two = walk.state.pack(), other.state.pack()
    assert one.plain == two.plain
    assert one.tensors.keys() == two.tensors.keys()
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
