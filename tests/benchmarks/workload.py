"""The problem that every engine solves: its data, its model, its local training and its gate.

NumPy only, because each peer's own environment imports this file.

A client holds 320 samples. Its update is one pass over them in stored order: ten SGD steps, step s on
samples [32 s : 32 s + 32], so that all engines see equal batches and must reach equal losses.

The model is an MLP with ReLU. Its parameters travel as one float32 vector: weight0 (inputs, outputs)
row-major, bias0, weight1, bias1, weight2, bias2.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

USERS = 200
LAYERS = (32, 64, 64, 1)
BATCH = 32
STEPS = 10
SAMPLES = BATCH * STEPS
LEARNING_RATE = 0.05

# The Moreau envelope of w-me: each local step solves for theta by INNER_STEPS gradient steps.
LAMBDA = 15.0
INNER_STEPS = 5
INNER_LEARNING_RATE = 0.02

WEIGHTS = sum(i * o for i, o in pairwise(LAYERS))
PARAMETERS = WEIGHTS + sum(LAYERS[1:])

# Matrix products only: forward, gradients of weights, gradients of activations (none for the input).
GRADIENT_FLOPS = 2 * BATCH * (3 * WEIGHTS - LAYERS[0] * LAYERS[1])
UPDATE_FLOPS = {
    "w-sync": STEPS * GRADIENT_FLOPS,
    "w-async": STEPS * GRADIENT_FLOPS,
    "w-me": STEPS * INNER_STEPS * GRADIENT_FLOPS,
}


@dataclass(frozen=True)
class Problem:
    """Every client's data and the start of the common model."""

    X: Array
    """(users, samples, features)"""
    y: Array
    """(users, samples), each 0 or 1"""
    start: Array
    """(parameters,)"""

    @property
    def users(self) -> int:
        """How many clients there are."""
        return len(self.X)

    def batches(self) -> tuple[Array, Array]:
        """The same data as (users, steps, batch, features) and (users, steps, batch)."""
        return self.X.reshape(-1, STEPS, BATCH, LAYERS[0]), self.y.reshape(-1, STEPS, BATCH)

    def save(self, path: Path) -> None:
        """Write the problem as .npz."""
        np.savez(path, X=self.X, y=self.y, start=self.start)

    @staticmethod
    def load(path: Path) -> "Problem":
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            return Problem(file["X"], file["y"], file["start"])


def make(users: int = USERS, seed: int = 0) -> Problem:
    """Mildly different clients: each has its own shift of x and its own turn of the common label rule."""
    draw = np.random.default_rng(seed)
    features = LAYERS[0]
    X = draw.normal(size=(users, SAMPLES, features)) + draw.normal(scale=0.5, size=(users, 1, features))
    rule = draw.normal(size=features) + 0.5 * draw.normal(size=(users, features))
    score = np.einsum("usf,uf->us", X, rule) / np.sqrt(features)
    y = draw.random(score.shape) < 1 / (1 + np.exp(-3 * score))
    return Problem(X.astype(np.float32), y.astype(np.float32), start_parameters(draw))


def start_parameters(draw: np.random.Generator) -> Array:
    """Uniform within 1/sqrt(inputs) of zero, weights and biases alike, as torch starts a linear layer."""
    parts = []
    for inputs, outputs in pairwise(LAYERS):
        bound = 1 / np.sqrt(inputs)
        parts.append(draw.uniform(-bound, bound, size=(inputs + 1) * outputs))
    return np.concatenate(parts).astype(np.float32)


def split(w: Array) -> list[tuple[Array, Array]]:
    """(weight, bias) of every layer, as views of the flat vector."""
    layers, at = [], 0
    for inputs, outputs in pairwise(LAYERS):
        end = at + inputs * outputs
        layers.append((w[at:end].reshape(inputs, outputs), w[end : end + outputs]))
        at = end + outputs
    return layers


def mean_loss(w: Array, X: Array, y: Array) -> float:
    """The gate: mean binary cross-entropy over all samples, in float64."""
    hidden = X.reshape(-1, LAYERS[0]).astype(np.float64)
    for weight, bias in split(w.astype(np.float64))[:-1]:
        hidden = np.maximum(hidden @ weight + bias, 0)
    weight, bias = split(w.astype(np.float64))[-1]
    logit = (hidden @ weight + bias)[:, 0]
    return float(np.mean(np.logaddexp(0, logit) - y.reshape(-1) * logit))


def main() -> None:
    """Write the data of a workload."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    make(options.users, options.seed).save(options.path)


if __name__ == "__main__":
    main()
