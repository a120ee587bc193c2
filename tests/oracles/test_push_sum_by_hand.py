"""`Gossip` against a twin that anyone can read: nodes with dictionaries, inboxes and ever growing sums.

The twin follows the pseudo-code of the paper line by line, in float64. It shares with the product the graph,
the keyed draws and a client's update; when nodes wake, and which messages are lost or late, it finds itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice

import pytest
import torch
from torch import Tensor

from data.randomness import generator
from federated.clients import Clients, LocalSGD
from federated.network.graphs import Graph
from federated.objectives import MAML, MoreauEnvelope, Objective, Vanilla
from federated.schedules.gossip import Gossip
from tests.oracles.test_reductions import quadratics

LOCAL = LocalSGD(lr=0.01, local_steps=2, batch_size=2)
USERS, ROUNDS, SEED = 7, 300, 6


@dataclass
class Message:
    """What travels: the round it was sent in, and the running sums of its sender then."""

    stamp: int
    x: Tensor
    y: float
    arrives: int


@dataclass
class Link:
    """One in-neighbour, as the target sees it: κ, ρ and the messages that have not been used."""

    source: int
    target: int
    rho_x: Tensor
    rho_y: float = 0.0
    kappa: int = -1
    failed: int = 0
    inbox: list[Message] = field(default_factory=list)


@dataclass
class Node:
    """x, y, z and the running sums φ."""

    x: Tensor
    z: Tensor
    phi_x: Tensor
    y: float = 1.0
    phi_y: float = 0.0
    slept: int = 0
    owed: float = 0.0
    steps: int = 0
    made: int = -1


@dataclass
class Round:
    """What the twin saw: z (n, P), y (n,), whose steps were taken, how old their z was, and figures."""

    z: Tensor
    y: list[float]
    users: tuple[int, ...]
    staleness: tuple[int, ...]
    figures: dict[str, int]


def wakes(node: Node, rules: Gossip, chance: float) -> bool:
    """At least once in Γw rounds."""
    awake = rules.wake_within == 1 or chance < rules.wake_probability or node.slept == rules.wake_within - 1
    node.slept = 0 if awake else node.slept + 1
    return awake


def loses(link: Link, rules: Gossip, chance: float) -> bool:
    """At most Γf in a row."""
    lost = link.failed < rules.max_failures and chance < rules.failure_probability
    link.failed = link.failed + 1 if lost else 0
    return lost


def twin(
    clients: Clients, rules: Gossip, graph: Graph, start: Tensor, healing: bool = True
) -> Iterator[Round]:
    """PARS-Push; without ``healing`` a message holds the share of one waking, not the sum of all."""
    nodes = {i: Node(w.clone(), w.clone(), torch.zeros_like(w)) for i, w in enumerate(start)}
    ends = zip(graph.source.tolist(), graph.target.tolist(), strict=True)
    links = [Link(source, target, torch.zeros_like(start[0])) for source, target in ends]
    messages = lost = guarded = 0
    for t in count():
        wake = generator(SEED, "wake", t).random(len(nodes)).tolist()
        failure = generator(SEED, "failure", t).random(len(links)).tolist()
        travel = generator(SEED, "travel", t).integers(rules.max_delay, size=len(links)).tolist()
        awake = {i for i, node in nodes.items() if wakes(node, rules, wake[i])}
        users, late = [], []
        for i, node in nodes.items():
            node.owed += 1 if rules.step_sizes == "constant" else rules.decay_from / (rules.decay_from + t)
            if (i in awake or rules.asleep_too) and node.y >= rules.least_weight:
                node.x = node.x - node.owed * clients.deltas([i], [node.steps], node.z[None])[0]
                node.owed = 0.0
                node.steps += 1
                users.append(i)
                late.append(t - 1 - node.made)
        for i in sorted(awake):
            parts = 1 + sum(link.source == i for link in links)
            nodes[i].x, nodes[i].y = nodes[i].x / parts, nodes[i].y / parts
            nodes[i].phi_x = nodes[i].phi_x * healing + nodes[i].x
            nodes[i].phi_y = nodes[i].phi_y * healing + nodes[i].y
        for number, link in enumerate(links):
            if link.source in awake:
                messages += 1
                sender = nodes[link.source]
                if loses(link, rules, failure[number]):
                    lost += 1
                else:
                    due = t + 1 + travel[number]
                    link.inbox.append(Message(t, sender.phi_x, sender.phi_y, due))
        for link in links:
            read = [m for m in link.inbox if m.arrives <= t and link.target in awake]
            link.inbox = [m for m in link.inbox if all(m is not other for other in read)]
            newest = max(read, key=lambda m: m.stamp, default=None)
            if newest is not None and newest.stamp > link.kappa:
                target = nodes[link.target]
                target.x = target.x + newest.x - link.rho_x
                target.y += newest.y - link.rho_y
                link.rho_x, link.rho_y, link.kappa = newest.x * healing, newest.y * healing, newest.stamp
        for i in awake:
            if nodes[i].y >= rules.least_weight:
                nodes[i].z, nodes[i].made = nodes[i].x / nodes[i].y, t
            else:
                guarded += 1
        z, y = torch.stack([node.z for node in nodes.values()]), [node.y for node in nodes.values()]
        numbers = 8 * (z.shape[1] + 2)  # x, y and the stamp
        figures = {"messages": messages, "bytes": messages * numbers, "lost": lost, "guarded": guarded}
        figures["oldest_stamp"] = t - min(link.kappa for link in links)
        figures["oldest_model"] = t - min(node.made for node in nodes.values())
        yield Round(z, y, tuple(users), tuple(late), figures)


def furthest(rules: Gossip, objective: Objective, healing: bool = True) -> tuple[float, Round]:
    """How far z of product and twin are ever apart, all else being equal if ``healing``; the last round."""
    clients = Clients(quadratics(USERS), objective, LOCAL, SEED)
    start = torch.randn(USERS, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state = rules.start(clients, start)
    rounds = zip(
        rules.run(clients, state), twin(clients, rules, rules.links(clients), start, healing), strict=True
    )
    apart = 0.0  # a step moves z by as much as 1/y: small ones keep z, and rounding, of order 1
    for t, (merge, seen) in enumerate(islice(rounds, ROUNDS)):
        apart = max(apart, float((merge.w - seen.z).abs().max()))
        assert (merge.time, merge.refused) == (t + 1, ())
        if healing:
            assert merge.network is not None
            assert merge.network.items() >= seen.figures.items()
            assert (merge.users, merge.staleness) == (seen.users, seen.staleness)
            assert state.mass[:, -1].tolist() == pytest.approx(seen.y, abs=1e-9)
    return apart, seen


CALM = Gossip(graph="random", degree=3)
SLEEPY, LATE, LOSSY = replace(CALM, wake_within=3), replace(CALM, max_delay=4), replace(CALM, max_failures=3)
HARSH = replace(CALM, wake_within=3, max_delay=4, max_failures=3)
RULES = {
    "calm": CALM,
    "sleepy": SLEEPY,
    "late": LATE,
    "lossy": LOSSY,
    "harsh": HARSH,
    "decaying": replace(HARSH, step_sizes="1/t", decay_from=20),
    "asleep too": replace(HARSH, asleep_too=True),
    "guarded": replace(HARSH, least_weight=0.3),
    "ring": replace(HARSH, graph="ring"),
    "regular": replace(HARSH, graph="regular", degree=2),
    "scale-free": replace(HARSH, graph="scale-free"),
}
CASES: list[tuple[str, Objective]] = [(name, Vanilla()) for name in RULES]
CASES += [("harsh", MAML(0.05, 2)), ("harsh", MoreauEnvelope())]


@pytest.mark.parametrize(
    ("name", "objective"), CASES, ids=[f"{name}-{type(o).__name__}" for name, o in CASES]
)
def test_gossip_is_its_twin(name: str, objective: Objective) -> None:
    apart, last = furthest(RULES[name], objective)
    assert apart < 1e-9
    assert (last.figures["lost"] > 0) == (RULES[name].max_failures > 0)
    assert (last.figures["guarded"] > 0) or name != "guarded"
    assert last.z.norm() > 0.1, "a network that has forgotten everything proves nothing"
    assert last.z.std(0).max() > 1e-3, "nor does one whose nodes agree"


def test_the_twin_would_notice_if_losses_were_not_healed() -> None:
    """A message with the last share alone is as good only where every message is heard."""
    assert furthest(CALM, Vanilla(), healing=False)[0] < 1e-9
    assert furthest(LOSSY, Vanilla(), healing=False)[0] > 1e-3
    assert furthest(SLEEPY, Vanilla(), healing=False)[0] > 1e-3
