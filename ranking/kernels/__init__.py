"""Compiled derivatives of slate losses: each client's gradient, computed in its core's cache.

Stacked tensors walk the weights and activations of all clients through memory once for every operation.
Here one client is taken after another: its rows are gathered, its layers go through BLAS, and what lies
between them stays in cache; so five clients take a tenth of the time of fifty, and threads share clients.

    clients.py     what is asked for: gradients, Hessian-vector products, descents of C clients
    gathering.py   the rows of a client's batch
    dense.py       fully connected layers       characters.py   the character CNN before them
    losses.py      slopes of slate losses       compiling.py    how all of it is compiled, and kept

A client's numbers depend on nobody else's, so that results have the same bits whoever is computed together.
"""

from typing import NamedTuple


class Steps(NamedTuple):
    """Proximal gradient steps θ ← θ − lr (∇f(θ) + pull (θ − anchor)), and laps of them.

    Attributes:
        steps: their number, in every lap.
        lr, pull: as in the formula.
        tolerance: no step is taken along a slope with a norm that is not greater.
        way: a lap ends this part of the way from its anchor, where it began, to where its steps led.
        laps: their number; 0: just steps, with an anchor that is given.
    """

    steps: int
    lr: float
    pull: float = 0.0
    tolerance: float = 0.0
    way: float = 1.0
    laps: int = 0


GRADIENT = Steps(1, 0.0)
"""A step that stands still and leaves the gradient."""
