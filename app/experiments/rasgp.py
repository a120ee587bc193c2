"""RASGP's own experiment (Spiridonoff, Olshevsky and Paschalidis 2020): a smoothed hinge in four networks.

F(z) = ½‖z‖² + c Σ_j h(b_j (A_j·v + γ)), c = 5/n, over all nodes' 50 points; node i knows 1/n of the first
term and its own points. Gradients are exact but for noise U[−2, 2]³ in every round, step sizes n/(μk) with k
from 100, and all start at 1. Error E is ‖mean of z_i − z*‖². All runs are one network in many pieces.
"""

from collections.abc import Callable
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
from federated.network import Graph, draw
from federated.objectives import Vanilla, gradient_of
from federated.schedules.gossip import Gossip
from federated.schedules.push_sum import PushSum
from federated.tasks.linear import Linear

NODES, EACH, NOISE, FIRST = 10, 50, 2.0, 100
LOOKS = 10
"""Rounds from one look at the error to the next."""

WINDOWS = {"5-10k": (0.25, 0.5), "10-15k": (0.5, 0.75), "15-20k": (0.75, 1.0)}
"""Parts of a run; named by the rounds that they are of 20,000."""

LOSSY = {"max_delay": 4, "max_failures": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "1": {"graph": "cycle"},
    "2": {"graph": "cycle", **LOSSY},
    "3": {"graph": "cycle", **LOSSY, "wake_within": 3},
    "4": {"graph": "random", **LOSSY, "wake_within": 3},
}
"""By the number of the setting; in a random graph, every run its own, each link exists with probability ½."""


class NoisyGradients(Clients):
    """One exact gradient each, plus noise of its own in every round. All take every step together."""

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Tensor:
        """See `Clients.deltas`."""
        who = torch.tensor(users)
        exact = gradient_of(self.task.loss, w, self.task.everything(who))
        noise = generator(self.seed, "noise", counters[0]).uniform(-NOISE, NOISE, (self.number, w.shape[1]))
        return self.local.lr * (exact + NODES * torch.from_numpy(noise)[who])


def reproduce(points: Path | None, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Median k·E in three parts of the runs and median E at their end, for each of the four settings.

    Args:
        points: the file of the experiment's own data; None: points are drawn like them.
        runs: independent ones, with other noise, faults and random graphs.
        rounds: of each run.
        tell: is told what has been done.

    Raises:
        DataError: the file does not hold such points.
    """
    x, b = _read(points) if points else drawn()
    best = _minimise(x, b)
    result: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        k, error = _errors(x, b, best, setting, int(name), runs, rounds)
        parts = {part: (k > a * rounds) & (k <= e * rounds) for part, (a, e) in WINDOWS.items()}
        result[name] = {
            "runs": runs,
            "rounds": rounds,
            "points": "the experiment's own" if points else "drawn",
            "z_star": best.tolist(),
            "k_error": {part: float(np.median((k * error)[:, there])) for part, there in parts.items()},
            "k_error_quartiles": {part: _quartiles((k * error)[:, there]) for part, there in parts.items()},
            "error_20k": float(np.median(error[:, -1])),
        }
        tell(f"rasgp, setting {name}: {runs} runs of {rounds} rounds")
    return result


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points (n, 50, 2) and labels (n, 50): half of them around (3, 3), half around (1, 1), variance 0.75."""
    b = torch.ones(NODES, EACH, dtype=torch.float64)
    b[:, EACH // 2 :] = -1
    noise = generator(seed, "points").normal(scale=0.75**0.5, size=(NODES, EACH, 2))
    return 2 + b[..., None] + torch.from_numpy(noise), b


def _read(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            x, b = file["points"][:NODES].astype(float), file["labels"][:NODES].astype(float)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} must be an .npz file with points and labels: {error}.") from error
    if (
        x.shape != (NODES, EACH, 2)
        or b.shape != (NODES, EACH)
        or not (np.isfinite(x).all() and (b**2 == 1).all())
    ):
        raise DataError(
            f"{path} must hold {EACH} finite points in the plane, labelled 1 or -1, for {NODES} nodes."
        )
    return torch.from_numpy(x), torch.from_numpy(b)


def _quartiles(k_error: NDArray[np.float64]) -> list[float]:
    """Of the runs' own medians."""
    quartiles: list[float] = np.percentile(np.median(k_error, axis=1), [25, 75]).tolist()
    return quartiles


def _task(x: Tensor, b: Tensor) -> Linear:
    """n times each node's part of F, so that F is the nodes' mean."""
    return Linear(x, b, (x, b), "smoothed-hinge", regularisation=1.0, weight=5.0 * EACH)


def _minimise(x: Tensor, b: Tensor) -> NDArray[np.float64]:
    """z* (3,)."""
    whole = _task(x, b).pooled()
    data = whole.everything(torch.tensor([0]))

    def value_and_slope(z: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = torch.from_numpy(z)[None]
        return float(whole.loss(w, data)), gradient_of(whole.loss, w, data)[0].numpy()

    best: NDArray[np.float64] = minimize(value_and_slope, np.ones(3), jac=True, options={"gtol": 1e-9}).x
    return best


def _errors(
    x: Tensor,
    b: Tensor,
    best: NDArray[np.float64],
    setting: dict[str, Any],
    seed: int,
    runs: int,
    rounds: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(T,) looked at after k rounds, (runs, T) E."""
    faults = {name: value for name, value in setting.items() if name != "graph"}
    gossip = Gossip(step_sizes="1/t", decay_from=FIRST, asleep_too=True, least_weight=0, **faults)
    task = _task(x.repeat(runs, 1, 1), b.repeat(runs, 1))
    clients = NoisyGradients(task, Vanilla(), LocalSGD(lr=1 / FIRST, local_steps=1), seed)
    pieces = [draw(setting["graph"], NODES, (NODES - 1) / 2, run) for run in range(runs)]
    start = torch.ones(3, dtype=torch.float64)
    state = PushSum.start(Graph.side_by_side(pieces), gossip, seed, start)
    errors = []
    for merge in islice(gossip.run(clients, state), rounds):
        if merge.time % LOOKS == 0:
            mean = merge.w.view(runs, NODES, 3).mean(1).numpy()
            errors.append(((mean - best) ** 2).sum(1))
    return np.arange(LOOKS, rounds + 1, LOOKS), np.array(errors).T
