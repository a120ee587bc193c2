"""PARS-Push where all is strongly convex: logistic regression of users who differ, in many small networks.

A user labels points by a direction of their own near one that all share, and has few of them. Told is how
surely the users' own models tell held-out points apart. All runs are one network in many pieces.
"""

from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from data.randomness import generator
from federated.clients import Clients, LocalSGD
from federated.network.graphs import Graph
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.objectives import MAML
from federated.schedules.gossip import Gossip
from federated.tasks.linear import Linear

USERS, EACH, HELD_OUT, DIMENSIONS = 10, 10, 100, 5
APART = 0.7
"""Length of what is a user's own in a direction, where what they share has length 1."""

LOCAL = LocalSGD(lr=0.1, local_steps=1)
ALPHA = 0.5


def users_who_differ(users: int, seed: int) -> Linear:
    """Logistic regression, μ = 0.05, of so many users; every ten share a direction."""
    chance = generator(seed, "logistic")
    shape = (users, EACH + HELD_OUT, DIMENSIONS)
    common = _unit(chance.normal(size=(users // USERS, DIMENSIONS))).repeat(USERS, 0)
    own = common + APART * _unit(chance.normal(size=(users, DIMENSIONS)))
    x = chance.normal(size=shape)
    surely = 1 / (1 + np.exp(-6 * np.einsum("usd,ud->us", x, own)))
    b = np.where(chance.random(shape[:2]) < surely, 1.0, -1.0)
    points, labels = torch.from_numpy(x), torch.from_numpy(b)
    held_out = (points[:, EACH:], labels[:, EACH:])
    return Linear(points[:, :EACH], labels[:, :EACH], held_out, "logistic", regularisation=0.05)


def curves(
    gossip: Gossip, maml_steps: int, runs: int, rounds: int, looks: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(T,) rounds, (runs, T) mean held-out loss of the users' own models.

    Args:
        gossip: the network; every run has a graph of its own.
        maml_steps: u, steps of size ½ that make a model personal.
        runs: how many networks of ten users.
        rounds: how long.
        looks: T, how often the models are judged.
    """
    task = users_who_differ(runs * USERS, seed=0)
    clients = Clients(task, MAML(ALPHA, maml_steps), LOCAL, seed=0)
    assert gossip.graph != "file"
    pieces = [draw(gossip.graph, USERS, gossip.degree, run) for run in range(runs)]
    state = PushSum.start(Graph.side_by_side(pieces), gossip, 0, task.initial(0))
    when, losses = [], []
    for merge in islice(gossip.run(clients, state), rounds):
        if int(merge.time) % (rounds // looks) == 0:
            loss, _ = task.judge(clients.personalise(merge.w))
            when.append(int(merge.time))
            losses.append(loss.view(runs, USERS).mean(1).numpy())
    return np.array(when), np.array(losses).T


def _unit(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return unit
