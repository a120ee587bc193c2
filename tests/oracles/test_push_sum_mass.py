"""Push-sum loses nothing: what all nodes and links hold changes by the steps taken, and by nothing else.

Σ y is n for ever, and Σ x is Σ x(0) − Σ steps applied, over 20,000 rounds of any network.
"""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.randomness import generator
from federated.network.graphs import Graph, Kind
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.network.weather import Faults

P, ROUNDS = 3, 20_000
HARSHEST = Faults(wake_within=4, wake_probability=0.2, max_delay=5, max_failures=4, failure_probability=0.9)
chances, degrees, seeds = st.floats(0, 1), st.integers(1, 4), st.integers(0, 999)
graphs = st.builds(draw, st.sampled_from(get_args(Kind)), st.integers(2, 8), degrees, seeds)
faults = st.builds(
    Faults,
    wake_within=st.integers(1, 4),
    wake_probability=chances,
    max_delay=st.integers(1, 5),
    max_failures=st.integers(0, 4),
    failure_probability=chances,
)


class Walk:
    """A network whose nodes take random steps, and the books kept beside it.

    Attributes:
        books: (P + 1,) what Σ x and Σ y must be.
        largest: |Σ x| there ever was, 1 at least.
    """

    def __init__(self, graph: Graph, faults: Faults, seed: int, dtype: torch.dtype = torch.float64) -> None:
        self.chance = generator(seed, "walk")
        start = torch.from_numpy(self.chance.normal(size=(graph.nodes, P))).to(dtype)
        self.state = PushSum.start(graph, faults, seed, start)
        self.books = np.array([*start.sum(0).tolist(), graph.nodes])
        self.largest = 1.0

    def go(self, rounds: int) -> None:
        """Those who are awake step, share and hear."""
        state = self.state
        for _ in range(rounds):
            state.owed += self.chance.random(len(state.owed))
            awake = state.weather.awake(state.now)
            nodes = np.flatnonzero(awake)
            deltas = self.chance.normal(size=(len(nodes), P)) / 10
            self.books[:-1] -= state.owed[nodes] @ deltas
            self.largest = max(self.largest, *np.abs(self.books[:-1]).tolist())
            state.step(nodes, torch.from_numpy(deltas).to(state.w.dtype))
            state.owed[nodes] = 0
            state.exchange(awake, least_weight=0)

    def errors(self) -> tuple[float, float]:
        """Of Σ x, beside the largest ever, and of Σ y."""
        *x, y = np.abs(self.state.total().numpy() - self.books).tolist()
        return max(x) / self.largest, y


@settings(
    max_examples=2,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(graph=graphs, faults=faults, seed=seeds)
@example(graph=draw("random", 8, 2, 0), faults=HARSHEST, seed=0)
def test_no_mass_is_ever_lost(graph: Graph, faults: Faults, seed: int) -> None:
    walk = Walk(graph, faults, seed)
    for _ in range(ROUNDS // 1000):
        walk.go(1000)
        x, y = walk.errors()
        figures = walk.state.figures()
        assert max(x, y) < 1e-9
        assert figures["mass"] == pytest.approx(1, abs=1e-9)
        assert figures["smallest_weight"] > 0
        assert figures["oldest_stamp"] <= faults.silence


def test_the_bounds_are_reached() -> None:
    """Or they, and the check that they hold, would promise nothing."""
    walk = Walk(draw("random", 8, 2, 0), HARSHEST, 0)
    oldest = used = 0
    for _ in range(3000):
        before = walk.state.stamp
        walk.go(1)
        state = walk.state
        heard = state.stamp[state.stamp > before]
        used = max(used, int((state.now - 1 - heard).max(initial=0)))
        oldest = max(oldest, int(state.figures()["oldest_stamp"]))
    assert used == HARSHEST.effective_delay
    assert HARSHEST.silence - 4 <= oldest < HARSHEST.silence


def test_the_check_knows_the_bounds() -> None:
    state = Walk(draw("ring", 3, 1, 0), HARSHEST, 0).state
    used, unheard = np.array([HARSHEST.effective_delay]), np.array([HARSHEST.silence - 1])
    state._check(used, unheard)
    for late, silent in ((used + 1, unheard), (used, unheard + 1)):
        with pytest.raises(RuntimeError, match="older than"):
            state._check(late, silent)


def test_little_is_lost_in_float32() -> None:
    """Shares are summed, not the difference of ever growing sums taken, so float32 drifts slowly."""
    walk = Walk(draw("random", 8, 2, 0), HARSHEST, 0, torch.float32)
    walk.go(5000)
    assert walk.state.mass.dtype == walk.state.shares.values.dtype == torch.float32
    assert max(walk.errors()) < 1e-5


def sent_but_unheard(state: PushSum) -> int:
    """A link whose target has still to hear what was sent first after its stamp."""
    after = (state.stamp + 1) % len(state.shares.sent)
    waiting = (state.stamp < state.now - 1) & state.shares.sent[after, state.graph.source]
    return int(np.flatnonzero(waiting)[0])


def test_a_share_that_is_skipped_is_missed() -> None:
    walk = Walk(draw("random", 8, 2, 0), HARSHEST, 0)
    walk.go(500)
    assert max(walk.errors()) < 1e-9
    link, state = sent_but_unheard(walk.state), walk.state
    share = float(
        state.shares.values[(state.stamp[link] + 1) % len(state.shares.sent), state.graph.source[link], -1]
    )
    assert share > 1e-4
    state.stamp[link] += 1
    assert walk.errors()[1] == pytest.approx(share, abs=1e-9)
    walk.go(500)
    assert walk.errors()[1] == pytest.approx(share, abs=1e-9)


def test_a_share_that_is_heard_twice_is_too_much() -> None:
    walk = Walk(draw("ring", 4, 1, 0), Faults(), 0)
    walk.go(500)
    state = walk.state
    state.stamp[0] -= 1
    walk.go(1)
    assert walk.errors()[1] > 1e-3


def test_a_network_that_breaks_its_promise_is_stopped() -> None:
    """Too old when it is used (Γe), and too long nothing at all (Γs)."""
    asleep, everyone = np.zeros(4, bool), np.ones(4, bool)
    for stamp, newest, awake in ((100, 100, asleep), (197, 198, everyone)):
        walk = Walk(draw("ring", 4, 1, 0), Faults(max_failures=5, failure_probability=0), 0)
        walk.go(200)
        state = walk.state
        state.weather.arriving[:] = -1
        state.exchange(asleep, 0)
        state.stamp[0], state.newest[0] = stamp, newest
        with pytest.raises(RuntimeError, match=r"round 201: a message is older than .* allow"):
            state.exchange(awake, 0)
