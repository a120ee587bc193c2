"""RASGP's own experiment (Spiridonoff, Olshevsky and Paschalidis 2020): a smoothed hinge in four networks.

F(z) = ½‖z‖² + c Σ_j h(b_j (A_j·v + γ)), c = 5/n, over all nodes' 50 points; node i knows 1/n of the first
term and its own points. Gradients are exact but for noise U[−2, 2]³ in every round, step sizes n/(μk) with k
from 100, and all start at 1. Error E is ‖mean of z_i − z*‖². All runs are one network in many pieces.
"""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from data.randomness import generator
from data.schema import DataError
from federated.clients import Clients, LocalSGD
from federated.network.graphs import Graph, Kind
from federated.network.push_sum import PushSum
from federated.network.topology import draw
from federated.objectives import Vanilla
from federated.schedules.gossip import Gossip
from federated.tasks.linear import Linear

NODES, EACH, NOISE, FIRST = 10, 50, 2.0, 100
LOOKS = 10
"""Rounds from one look at the error to the next."""

WINDOWS = {"5-10k": (0.25, 0.5), "10-15k": (0.5, 0.75), "15-20k": (0.75, 1.0)}
"""Parts of a run; named by the rounds that they are of 20,000."""

LOSSY: dict[str, Any] = {"max_delay": 4, "max_failures": 3}
SETTINGS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "1": ("cycle", {}),
    "2": ("cycle", LOSSY),
    "3": ("cycle", LOSSY | {"wake_within": 3}),
    "4": ("random", LOSSY | {"wake_within": 3}),
}
"""Graph and faults of each setting; every run has a random graph of its own, with half of all links."""

Points = tuple[Tensor, Tensor]
"""Points (n, 50, 2) and their labels (n, 50) of ±1."""


class NoisyGradients(Clients):
    """One exact gradient each, plus noise of its own in every round. All take every step together."""

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Tensor:
        """See `Clients.deltas`."""
        who = torch.tensor(users)
        exact = self.task.gradient(w, self.task.everything(who, self.seed)[0])
        noise = generator(self.seed, "noise", counters[0]).uniform(-NOISE, NOISE, (self.number, w.shape[1]))
        return self.local.lr * (exact + NODES * torch.from_numpy(noise)[who])


def reproduce(name: str, points: Points, runs: int, rounds: int) -> dict[str, Any]:
    """Median k·E in three parts of the runs, with quartiles of the runs' own, and median E at their end.

    Args:
        name: which of SETTINGS.
        points: see `read` and `drawn`.
        runs: independent ones, with other noise, faults and random graphs.
        rounds: of each run.
    """
    best = _minimise(points)
    k, error = _errors(points, best, name, runs, rounds)
    scaled = k * error
    parts = {part: (k > a * rounds) & (k <= e * rounds) for part, (a, e) in WINDOWS.items()}
    return {
        "runs": runs,
        "rounds": rounds,
        "z_star": best.tolist(),
        "k_error": {part: float(np.median(scaled[:, there])) for part, there in parts.items()},
        "k_error_quartiles": {part: _quartiles(scaled[:, there]) for part, there in parts.items()},
        "error_20k": float(np.median(error[:, -1])),
    }


def drawn(seed: int = 0) -> Points:
    """Points (n, 50, 2) and labels (n, 50): half of them around (3, 3), half around (1, 1), variance 0.75."""
    b = torch.ones(NODES, EACH, dtype=torch.float64)
    b[:, EACH // 2 :] = -1
    noise = generator(seed, "points").normal(scale=0.75**0.5, size=(NODES, EACH, 2))
    return 2 + b[..., None] + torch.from_numpy(noise), b


def read(path: Path) -> Points:
    """Points (n, 50, 2) and labels (n, 50) from a file.

    Raises:
        DataError: it does not hold them.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            x, b = file["points"], file["labels"]
        x, b = x[:NODES].astype(float, casting="same_kind"), b[:NODES].astype(float, casting="same_kind")
    except Exception as error:  # whatever a file that is none makes the reader stumble over
        raise DataError(f"{path} must be an .npz file with numbers named points and labels.") from error
    fits = x.shape == (NODES, EACH, 2) and b.shape == (NODES, EACH)
    if not (fits and np.isfinite(x).all() and (b**2 == 1).all()):
        raise DataError(f"{path} must hold {EACH} points in the plane, labelled 1 or -1, for {NODES} nodes.")
    return torch.from_numpy(x), torch.from_numpy(b)


def _quartiles(k_error: NDArray[np.float64]) -> list[float]:
    """Of the runs' own medians."""
    quartiles: list[float] = np.percentile(np.median(k_error, axis=1), [25, 75]).tolist()
    return quartiles


def _task(points: Points) -> Linear:
    """n times each node's part of F, so that F is the nodes' mean."""
    return Linear(*points, points, "smoothed-hinge", regularisation=1.0, weight=5.0 * EACH)


def _minimise(points: Points) -> NDArray[np.float64]:
    """z* (3,)."""
    whole = _task(points).pooled()
    data = whole.everything(torch.tensor([0]), 0)[0]

    def value_and_slope(z: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = torch.from_numpy(z)[None]
        return float(whole.loss(w, data)), whole.gradient(w, data)[0].numpy()

    best: NDArray[np.float64] = minimize(value_and_slope, np.ones(3), jac=True, options={"gtol": 1e-9}).x
    return best


def _errors(
    points: Points, best: NDArray[np.float64], name: str, runs: int, rounds: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(T,) looked at after k rounds, (runs, T) E."""
    graph, faults = SETTINGS[name]
    gossip = Gossip(step_sizes="1/t", decay_from=FIRST, asleep_too=True, least_weight=0, **faults)
    x, b = points
    task = _task((x.repeat(runs, 1, 1), b.repeat(runs, 1)))
    seed = int(name)
    clients = NoisyGradients(task, Vanilla(), LocalSGD(lr=1 / FIRST, local_steps=1), seed)
    pieces = [draw(graph, NODES, (NODES - 1) / 2, run) for run in range(runs)]
    start = torch.ones(3, dtype=torch.float64)
    state = PushSum.start(Graph.side_by_side(pieces), gossip, seed, start)
    errors = []
    for merge in islice(gossip.run(clients, state), rounds):
        if merge.time % LOOKS == 0:
            mean = merge.w.view(runs, NODES, 3).mean(1).numpy()
            errors.append(((mean - best) ** 2).sum(1))
    return np.arange(LOOKS, rounds + 1, LOOKS), np.array(errors).T
