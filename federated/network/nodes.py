"""What nodes that average by push-sum do by themselves: take their steps, and make a model of their mass.

The simulator's network (`push_sum`) and the groups of users that really send messages (`node_group`) share
this, so that a node follows one rule wherever it lives.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from federated.network.graphs import Bools, Ints


class Nodes(Protocol):
    """Some nodes, each a row.

    Attributes:
        mass: (n, P + 1) x, the parameters' mass, and in the last column y, the push-sum weight.
        w: (n, P) z = x/y of each node, as of its last waking.
        owed: (n,) s, the step sizes since each node's last step.
        steps: (n,) how many steps each node has taken.
        made: (n,) the round in which each node's z was made, −1: it is the start.
        now: t, the present round.
    """

    mass: Tensor
    w: Tensor
    owed: NDArray[np.float64]
    steps: Ints
    made: Ints
    now: int


def step(state: Nodes, nodes: Ints, deltas: Tensor) -> None:
    """x −= s Δ of C nodes (C,), whose updates with step size 1 are deltas (C, P)."""
    s = torch.from_numpy(state.owed[nodes]).to(state.mass.dtype)
    steps = s[:, None] * deltas.to(state.mass.dtype)
    state.mass[:, :-1].index_add_(0, torch.from_numpy(nodes), steps, alpha=-1)


def make_models(state: Nodes, awake: Bools, least_weight: float) -> int:
    """z = x/y of those who are awake (n,) and have weight enough.

    Args:
        state: the nodes.
        awake: who.
        least_weight: nodes whose y is smaller keep their z, since x/y would be anything.

    Returns:
        how many kept it.
    """
    weight = state.mass[:, -1].numpy()
    firm = awake & (weight >= least_weight) & (weight > 0)  # which it always is but for rounding
    fresh = (state.mass[:, :-1] / state.mass[:, -1:]).to(state.w.dtype)
    state.w = fresh if firm.all() else torch.where(torch.from_numpy(firm)[:, None], fresh, state.w)
    state.made[firm] = state.now
    return int((awake & ~firm).sum())
