"""FedAvg on DrJAX's map-reduce primitives, compiled by XLA.

DrJAX ships no algorithm: these few lines of FedAvg are ours, its broadcast, map and mean are its own.
"""

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
# Finds workload.py, and keeps `import drjax` from finding this very file.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Callable

import drjax
import harness
import jax
import jax.numpy as jnp
import numpy as np
from workload import LEARNING_RATE, Problem, split

IMPORTED = time.perf_counter()
Layers = list[tuple[jax.Array, jax.Array]]


def loss(layers: Layers, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean binary cross-entropy of a batch."""
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    logit = (x @ weight + bias)[:, 0]
    return jnp.mean(jnp.logaddexp(0, logit) - y * logit)


def local_update(layers: Layers, X: jax.Array, y: jax.Array) -> Layers:
    """SGD on one client's batches."""

    def step(layers: Layers, batch: tuple[jax.Array, jax.Array]) -> tuple[Layers, None]:
        gradient = jax.grad(loss)(layers, *batch)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, layers, gradient), None

    return jax.lax.scan(step, layers, (X, y))[0]


def round_of(users: int) -> Callable[[Layers, jax.Array, jax.Array], Layers]:
    """One round over all clients, ready to be compiled."""

    @drjax.program(placements={"clients": users})
    def run(layers: Layers, X: jax.Array, y: jax.Array) -> Layers:
        local = drjax.map_fn(local_update, (drjax.broadcast(layers), X, y))
        return drjax.reduce_mean(local)

    return jax.jit(run)


def main() -> None:
    """Run the rounds and print the result."""
    stdout = harness.reserve_stdout()
    options = harness.options()
    problem = Problem.load(options.data)
    X, y = (jax.device_put(part) for part in problem.batches())
    layers = gate = [(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in split(problem.start)]
    ready = time.perf_counter()
    run = round_of(problem.users).lower(layers, X, y).compile()
    compiled = time.perf_counter()
    seconds = []
    for number in range(1, options.rounds + 1):
        since = time.perf_counter()
        layers = jax.block_until_ready(run(layers, X, y))
        seconds.append(time.perf_counter() - since)
        if number == options.gate_rounds:
            gate = layers
    flat = np.concatenate([np.asarray(part).reshape(-1) for layer in gate for part in layer])
    timings = harness.Timings(IMPORTED - STARTED, ready - IMPORTED, compiled - ready, seconds)
    harness.report_rounds(stdout, "drjax", problem, flat, timings, harness.peak_memory_mb())


if __name__ == "__main__":
    main()
