"""A server over real messages merges as in simulation: against plain formulas, with nodes that misbehave."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from federated.clients import Clients, LocalSGD
from federated.engines.fleet import Fleet
from federated.engines.messages import Content
from federated.engines.places import Places
from federated.engines.service import Batch, Service
from federated.engines.serving import BEGIN, UPDATES, HopelessError, Served
from federated.objectives import MAML, MoreauEnvelope, Vanilla
from federated.patience import Interrupted, Unbounded
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.admission import NOT_FINITE, SHAPE, TOO_LARGE, TOO_STALE
from federated.tasks.idle import Idle
from tests.federated.engines import fakes
from tests.federated.engines.fakes import FakeHost, FakePost, QuadraticNode

START = torch.zeros(3)


@dataclass
class Server:
    """A server whose nodes are functions."""

    post: FakePost
    rule: Arrivals | Cohort
    batch_users: int = 4
    deadline: float = 10.0
    clock: fakes.Clock = field(default_factory=fakes.Clock)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.post, self.deadline, Unbounded(), self.clock.now, self.clock.pause)
        host, places = FakeHost(), Places(0)
        answers = self.fleet.ask(BEGIN, {n: host.welcome(n) for n in self.fleet.nodes()})
        for node, answer in sorted(answers.items()):
            places.settle(*host.known(node, answer), node)
        self.served = Served(self.rule, self.fleet, places, host, self.batch_users)
        samples = torch.ones(places.users, dtype=torch.int64)
        self.clients = Clients(Idle(samples, START), Vanilla(), LocalSGD(), 0)
        self.state = self.served.start(self.clients, START)

    def merges(self, number: int, state: Service | None = None) -> list[Merge]:
        return list(islice(self.served.run(self.clients, state or self.state), number))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> fakes.Clock:
    """No test waits: a server's own clock is one that goes on by itself."""
    clock = fakes.Clock()

    def now() -> float:
        clock.time += 0.01
        return clock.time

    monkeypatch.setattr("time.monotonic", now)
    return clock


def nodes(number: int, users: int = 4, **given: object) -> dict[int, QuadraticNode]:
    return {n: QuadraticNode.of(f"node {n}", users, n, **given) for n in range(1, number + 1)}  # type: ignore[arg-type]


RULES = {
    "plain": Arrivals(server_lr=0.3),
    "buffer": Arrivals(server_lr=0.8, buffer=3, weighting="polynomial"),
    "models": Arrivals(server_lr=0.4, merge="model", weighting="polynomial"),
    "adam": Arrivals(server_lr=0.1, buffer=2, server_optimiser="adam"),
}


@pytest.mark.parametrize("objective", [Vanilla(), MAML(alpha=0.1), MoreauEnvelope()])
@pytest.mark.parametrize("name", RULES)
def test_what_arrives_is_merged_by_the_formula_with_its_real_staleness(name: str, objective: object) -> None:
    """Every reported model is made again from the versions that were read, and each user's own update."""
    rule, there = RULES[name], nodes(3, objective=objective)
    server = Server(FakePost({**there}, slow=[1, 4, 2]), rule)
    versions, counters, total = [START], dict.fromkeys(range(12), 0), 0
    first, second = torch.zeros(3), torch.full((3,), rule.adaptivity**2)
    for merge in server.merges(40):
        w, step = versions[-1], torch.zeros(3)
        for user, late in zip(merge.users, merge.staleness, strict=True):
            node, own = there[1 + user // 4], user % 4
            read = versions[len(versions) - 1 - late]
            delta = node.deltas([own], [counters[user]], read)[0]
            counters[user] += 1
            total += 1
            change = delta + (w - read) if rule.merge == "model" else delta
            scale = (late + 1) ** -rule.power if rule.weighting == "polynomial" else 1.0
            step += scale * change / rule.buffer
        if rule.server_optimiser == "adam":
            first = 0.9 * first + 0.1 * step
            second = 0.99 * second + 0.01 * step**2
            step = first / (second.sqrt() + rule.adaptivity)
        assert rule.server_lr is not None
        torch.testing.assert_close(merge.w, w - rule.server_lr * step, rtol=1e-5, atol=1e-6)
        versions.append(merge.w)
    assert total == 40 * rule.buffer
    assert max(late for merge in server.merges(30) for late in merge.staleness) > 0


def test_everybody_in_a_batch_reads_the_same_version_and_is_one_staler_than_the_one_before() -> None:
    server = Server(FakePost({**nodes(1)}), Arrivals(server_lr=0.1))
    assert [merge.staleness for merge in server.merges(8)] == [(0,), (1,), (2,), (3,)] * 2
    assert [merge.in_flight for merge in server.merges(4)] == [4, 3, 2, 1]


def test_without_a_server_lr_it_is_one_over_all_users() -> None:
    there = nodes(2)
    (merge,) = Server(FakePost({**there}), Arrivals()).merges(1)
    node = there[1 + merge.users[0] // 4]
    delta = node.deltas([merge.users[0] % 4], [0], START)[0]
    torch.testing.assert_close(merge.w, START - delta / 8)


@pytest.mark.parametrize("shares", ["equal", "samples"])
def test_a_cohort_is_as_many_of_each_node_as_of_all_and_averaged(shares: str) -> None:
    there = {1: QuadraticNode.of("a", 6, 1), 2: QuadraticNode.of("b", 3, 2)}
    rule = Cohort(cohort=3, shares=shares)  # type: ignore[arg-type]
    seen: list[int] = []
    w, counters = START, dict.fromkeys(range(9), 0)
    for merge in Server(FakePost({**there}, slow=[1, 5]), rule).merges(9):
        assert sorted(user < 6 for user in merge.users) == [False, True, True]
        deltas = []
        for user in merge.users:
            node, own = (there[1], user) if user < 6 else (there[2], user - 6)
            deltas.append(node.deltas([own], [counters[user]], w)[0])
            counters[user] += 1
        torch.testing.assert_close(merge.w, w - torch.stack(deltas).mean(0), rtol=1e-5, atol=1e-6)
        seen, w = seen + list(merge.users), merge.w
    assert {seen.count(user) for user in range(9)} == {3}


Spoil = Callable[[Content], Content]


def with_deltas(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    return lambda answer: replace(answer, arrays={**answer.arrays, "deltas": change(answer.arrays["deltas"])})


def not_a_number(deltas: np.ndarray) -> np.ndarray:
    spoiled = deltas.copy()
    spoiled[1, 2] = np.nan
    return spoiled


def without_samples(answer: Content) -> Content:
    return replace(answer, arrays={"deltas": answer.arrays["deltas"]})


def of_nobody(answer: Content) -> Content:
    return replace(answer, arrays={**answer.arrays, "samples": np.zeros(4, np.int64)})


SPOILED: dict[str, tuple[Spoil, list[str | None]]] = {
    "one update is not a number": (with_deltas(not_a_number), [None, NOT_FINITE, None, None]),
    "infinite": (with_deltas(lambda d: d + np.inf), [NOT_FINITE] * 4),
    "too large": (with_deltas(lambda d: d * 1e6), [TOO_LARGE] * 4),
    "of fewer users": (with_deltas(lambda d: d[:3]), [SHAPE] * 4),
    "of other parameters": (with_deltas(lambda d: d[:, :2]), [SHAPE] * 4),
    "of another precision": (with_deltas(lambda d: d.astype(np.float64)), [SHAPE] * 4),
    "no numbers at all": (lambda answer: Content(), [SHAPE] * 4),
    "no samples": (without_samples, [SHAPE] * 4),
    "nobody's samples": (of_nobody, [SHAPE] * 4),
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("rule", [Arrivals(max_update_norm=100.0), Cohort(cohort=8, max_update_norm=100.0)])
def test_an_update_that_must_not_be_merged_is_refused_and_the_run_goes_on(
    name: str, rule: Arrivals | Cohort
) -> None:
    spoil, reasons = SPOILED[name]
    sound, odd = QuadraticNode.of("sound", 4, 1), QuadraticNode.of("odd", 4, 2)

    def spoiling(kind: str, content: Content) -> Content | None:
        answer = odd(kind, content)
        return spoil(answer) if kind == UPDATES and answer is not None else answer

    server = Server(FakePost({1: sound, 2: spoiling}), rule)
    merges = server.merges(16 if isinstance(rule, Arrivals) else 2)
    refused = [why for merge in merges for why in merge.refused]
    assert refused == [why for why in reasons if why is not None] * 2
    assert sum(len(merge.users) for merge in merges) == 16 - len(refused)
    assert torch.isfinite(merges[-1].w).all()


def test_what_is_staler_than_the_bound_is_refused() -> None:
    server = Server(FakePost({**nodes(2)}), Arrivals(server_lr=0.1, max_staleness=5))
    merges = server.merges(16)
    assert {merge.refused for merge in merges} == {(), (TOO_STALE,)}
    assert max(late for merge in merges for late in merge.staleness) == 5


def test_a_node_that_never_answers_loses_its_place_in_the_line_but_not_its_users_turns() -> None:
    sound, dead = QuadraticNode.of("sound", 4, 1), QuadraticNode.of("dead", 4, 2)
    alive = [False]

    def silent(kind: str, content: Content) -> Content | None:
        return dead(kind, content) if kind == BEGIN or alive[0] else None

    server = Server(FakePost({1: sound, 2: silent}, slow=[2]), Arrivals(server_lr=0.1), deadline=1.0)
    assert {user < 4 for merge in server.merges(60) for user in merge.users} == {True}
    assert server.fleet.traffic.late >= 1
    alive[0] = True
    users = [user for merge in server.merges(400) for user in merge.users if user >= 4]
    assert users, "it comes back"
    orders = [c.plain for node, kind, c in server.post.sent if node == 2 and kind == UPDATES]
    turns = [dict(zip(plain["users"], plain["counters"], strict=True)) for plain in orders]
    assert turns[0] == turns[1] == dict.fromkeys(range(4), 0), "nobody's turn is passed over"
    assert max(map(users.count, range(4, 8))) - min(map(users.count, range(4, 8))) <= 1


def test_a_killed_node_that_is_started_anew_under_another_number_takes_its_place_again() -> None:
    post = FakePost({**nodes(2)})
    server = Server(post, Arrivals(server_lr=0.1), deadline=1.0)
    server.merges(8)
    post.handles[7] = post.handles.pop(2)
    post.waiting.clear()  # what it had been asked is lost
    server.fleet._looked = float("-inf")
    users = {user for merge in server.merges(60) for user in merge.users}
    assert users == set(range(8))
    assert server.state.places.users == 8


def test_nodes_that_come_later_bring_new_users() -> None:
    post = FakePost({**nodes(1)})
    server = Server(post, Arrivals(server_lr=0.1))
    server.merges(4)
    post.handles[9] = QuadraticNode.of("late", 2, 5)
    server.fleet._looked = float("-inf")
    merges = server.merges(30)
    assert {user for merge in merges for user in merge.users} == set(range(6))
    assert merges[-1].network is not None
    assert merges[-1].network["users"] == 6


def test_nothing_is_merged_twice_and_nothing_is_forgotten_over_a_restart() -> None:
    """A checkpoint in the middle of a batch: who had arrived has, and the others' turns are taken again."""
    there = nodes(2)
    server = Server(FakePost({**there}, slow=[1, 3]), Arrivals(server_lr=0.1))
    before = server.merges(10)
    packed = server.state.pack()
    again = Server(FakePost({**there}, slow=[1, 3]), Arrivals(server_lr=0.1))
    state = again.served.unpack(again.clients, packed)
    assert torch.equal(state.w, before[-1].w)
    assert state.server.version == 10
    after = again.merges(30, state)
    users = [user for merge in before + after for user in merge.users]
    counts = [users.count(user) for user in range(8)]
    assert sum(counts) == 40
    assert max(counts) - min(counts) <= 2, "nobody's turn was lost: two nodes are at most a batch apart"
    first = next(c for node, kind, c in again.post.sent if kind == UPDATES and node == 1)
    turns = dict(zip(first.plain["users"], first.plain["counters"], strict=True))
    done = {user: sum(user in merge.users for merge in before) for user in turns}
    assert all(counter >= done[user] for user, counter in turns.items()), "no update is computed again"


def test_a_training_ends_when_every_node_fails_every_order() -> None:
    def failing(kind: str, content: Content) -> Content | None:
        if kind == BEGIN:
            return Content({"name": "a", "users": 3})
        raise ArithmeticError("broken")

    with pytest.raises(HopelessError, match="8 orders in a row"):
        Server(FakePost({1: failing}), Arrivals()).merges(1)


def test_batches_have_at_most_so_many_users() -> None:
    post = FakePost({**nodes(2, users=7)})
    Server(post, Arrivals(server_lr=0.1), batch_users=3).merges(30)
    sizes = {len(content.plain["users"]) for _, kind, content in post.sent if kind == UPDATES}
    assert sizes == {3}


def test_a_batch_in_flight_is_in_the_checkpoint_as_not_taken() -> None:
    server = Server(FakePost({**nodes(1)}), Arrivals(server_lr=0.1))
    server.state.batches.append(Batch("node 1", {0: 5, 2: 5}, 0, START))
    waiting = server.state.pack().plain["places"][0][2]["waiting"]
    assert dict(waiting) == {0: 5, 2: 5}


def test_the_model_that_is_sent_is_the_one_that_is_read() -> None:
    post = FakePost({**nodes(1)})
    merges = Server(post, Arrivals(server_lr=0.1)).merges(8)
    sent: list[Tensor] = [torch.from_numpy(c.arrays["w"]) for _, kind, c in post.sent if kind == UPDATES]
    assert torch.equal(sent[0], START)
    assert torch.equal(sent[1], merges[3].w)


def test_a_cohort_that_is_interrupted_passes_over_nobodys_turn() -> None:
    """One node has answered, the other not yet: neither is merged, so that both are asked again."""
    server = Server(FakePost({**nodes(2)}, slow=[1, 50]), Cohort(cohort=4), batch_users=4)
    looks = [0]

    def impatient() -> None:
        looks[0] += 1
        if looks[0] > 5:
            raise Interrupted

    server.fleet._patience = impatient
    with pytest.raises(Interrupted):
        server.merges(1)
    assert server.fleet.traffic.answers == 3, "two have begun, and one of them has computed"
    turns = {name: dict(roster["waiting"]) for name, _, roster in server.state.pack().plain["places"]}
    assert {name: len(waiting) for name, waiting in turns.items()} == {"node 1": 2, "node 2": 2}


def test_an_absent_place_does_not_keep_a_hopeless_training_alive() -> None:
    def failing(kind: str, content: Content) -> Content | None:
        if kind == BEGIN:
            return Content({"name": "a", "users": 3})
        raise ArithmeticError("broken")

    server = Server(FakePost({1: failing}), Arrivals())
    server.state.places.settle("gone for good", 4, 99)
    with pytest.raises(HopelessError):
        server.merges(1)


def test_a_rejected_node_does_not_take_a_place(quick: fakes.Clock) -> None:
    post = FakePost({**nodes(1)})
    server = Server(post, Arrivals(server_lr=0.1))
    server.merges(4)
    post.handles[9] = QuadraticNode.of("node 1", 7, 5)
    server.fleet._looked = float("-inf")
    server.merges(20)
    host = server.served.host
    assert isinstance(host, FakeHost)
    assert ("node 1", 9) not in host.taken
    assert server.state.places.known["node 1"].node == 1
    assert server.fleet.traffic.rejected >= 1
