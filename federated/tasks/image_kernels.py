"""Compiled derivatives of image classifiers, each client's computed in its core's cache.

A network is a chain of dense layers with ELU between them, the last followed by a softmax. ``sizes`` (L, 3)
says how: layer l reads every image as sizes[l, 0] rows of sizes[l, 1] numbers, and makes sizes[l, 2] of
each. One row an image is a fully connected layer. Many rows are a convolution with windows that do not
overlap, and what neighbouring rows give is one row of the next layer. ``w`` (P,) holds weights (inputs,
outputs) row by row and then biases, layer by layer.

Sources: Hessian-vector products by the R-operator, Pearlmutter 1994; what is written r· is the change of ·
when w changes by v, to first order.
"""

from typing import Any

import numpy as np

from ranking.kernels import Steps
from ranking.kernels.compiling import compiled
from ranking.kernels.dense import matrix
from ranking.kernels.losses import shares

Array = Any
"""An array of numpy, of a type and shape that the compiler sees."""


@compiled
def descend(
    begin: int,
    end: int,
    theta: Array,
    anchor: Array,
    slope: Array,
    x: Array,
    y: Array,
    index: Array,
    weight: Array,
    sizes: Array,
    how: Steps,
) -> None:
    """Proximal gradient steps, in place: θ ← θ − lr · slope, slope = ∇f(θ) + pull (θ − anchor).

    Args:
        begin, end: whose turn it is.
        theta: (C, P).
        anchor: (C, P); (0, P) where nothing pulls, or in laps, which have anchors of their own.
        slope: (C, P) receives each client's last gradient; (0, P) where nobody wants to see them.
        x, y: (N, D) all images and (N,) their labels.
        index: (K, C, B): of a lap's part, step s is on batch s modulo how many there are.
        weight: (C, B) of each image in its client's loss.
        sizes: of the network.
        how: the steps; one with lr = 0 and pull = 0 gives the gradient.
    """
    laps, P = max(how.laps, 1), theta.shape[1]
    each, B = len(index) // laps, index.shape[2]
    acts, g, h = _room(B, sizes, theta)
    own = np.empty((2, P), theta.dtype)
    for c in range(begin, end):
        w = theta[c]
        near, now = anchor[c] if len(anchor) else own[0], slope[c] if len(slope) else own[1]
        for lap in range(laps):
            if how.laps:
                near[:] = w
            for s in range(how.steps):
                batch = index[lap * each + s % each, c]
                if each > 1 or s == 0:
                    _gather(x, batch, acts)
                forward(w, sizes, B, acts)
                _slopes(_last(acts, sizes, B), y, batch, weight[c], g)
                _backward(w, sizes, B, acts, g, h, now)
                if how.pull:
                    for p in range(P):
                        now[p] += how.pull * (w[p] - near[p])
                if how.tolerance and np.sqrt(np.dot(now, now)) <= how.tolerance:
                    if each == 1:
                        break  # nothing would change any more
                    continue
                if how.lr:
                    for p in range(P):
                        w[p] -= how.lr * now[p]
            if how.laps:
                for p in range(P):
                    w[p] = near[p] + how.way * (w[p] - near[p])


@compiled
def curve(
    begin: int,
    end: int,
    w: Array,
    v: Array,
    x: Array,
    y: Array,
    index: Array,
    weight: Array,
    sizes: Array,
    out: Array,
) -> None:
    """Write the Hessian of the loss of clients begin … end − 1 times v (C, P) into out (C, P)."""
    B = index.shape[1]
    acts, g, h = _room(B, sizes, w)
    racts, rg, rh = _room(B, sizes, w)
    for c in range(begin, end):
        _gather(x, index[c], acts)
        racts[: B * x.shape[1]] = 0
        forward(w[c], sizes, B, acts)
        _r_forward(w[c], v[c], sizes, B, acts, racts)
        _slopes(_last(acts, sizes, B), y, index[c], weight[c], g)
        _curvatures(_last(acts, sizes, B), _last(racts, sizes, B), weight[c], rg)
        _r_backward(w[c], v[c], sizes, B, acts, racts, g, h, rg, rh, out[c])


@compiled
def _room(images: int, sizes: Array, like: Array) -> tuple[Array, Array, Array]:
    """Room for the values of all layers, behind each other, and twice for the slopes of the widest."""
    total, widest = sizes[0, 0] * sizes[0, 1], 0
    for layer in range(len(sizes)):
        given = sizes[layer, 0] * sizes[layer, 2]
        total, widest = total + given, max(widest, given)
    shape = images * widest
    return (
        np.empty(images * total, like.dtype),
        np.empty(shape, like.dtype),
        np.empty(shape, like.dtype),
    )


@compiled
def _gather(x: Array, batch: Array, acts: Array) -> None:
    D = x.shape[1]
    for b in range(len(batch)):
        acts[b * D : (b + 1) * D] = x[batch[b]]


@compiled
def _last(acts: Array, sizes: Array, images: int) -> Array:
    """The part of all layers' values that the last layer gave, (images, classes)."""
    at, classes = 0, sizes[-1, 2]
    for layer in range(len(sizes)):
        at += images * sizes[layer, 0] * sizes[layer, 1]
    return matrix(acts, at, images, classes)


@compiled
def forward(w: Array, sizes: Array, images: int, acts: Array) -> None:
    """All layers' values, from the images in ``acts``, which receives them."""
    at = begin = 0
    zero, one = acts.dtype.type(0), acts.dtype.type(1)
    for layer in range(len(sizes)):
        rows, i, o = images * sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        z = matrix(acts, begin + rows * i, rows, o)
        np.dot(matrix(acts, begin, rows, i), matrix(w, at, i, o), z)
        at += i * o
        bias, curved = w[at : at + o], layer + 1 < len(sizes)
        for r in range(rows):
            for j in range(o):
                value = z[r, j] + bias[j]
                z[r, j] = np.exp(value) - one if curved and value < zero else value
        begin, at = begin + rows * i, at + o


@compiled
def _slopes(logits: Array, y: Array, batch: Array, weight: Array, g: Array) -> None:
    """Slopes of the weighed cross-entropy by the logits, into ``g``."""
    images, classes = logits.shape
    slope = matrix(g, 0, images, classes)
    for b in range(images):
        shares(logits[b], slope[b])
        slope[b, y[batch[b]]] -= 1
        for k in range(classes):
            slope[b, k] *= weight[b]


@compiled
def _curvatures(logits: Array, rlogits: Array, weight: Array, rg: Array) -> None:
    """r(slopes), into ``rg``."""
    images, classes = logits.shape
    rslope = matrix(rg, 0, images, classes)
    for b in range(images):
        chances = rslope[b]
        shares(logits[b], chances)
        mean = 0.0
        for k in range(classes):
            mean += chances[k] * rlogits[b, k]
        for k in range(classes):
            rslope[b, k] = weight[b] * chances[k] * (rlogits[b, k] - mean)


@compiled
def _transposed(values: Array) -> Array:
    """A transposed copy, by which BLAS multiplies faster than by a transposed view."""
    turned = np.empty((values.shape[1], values.shape[0]), values.dtype)
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            turned[j, r] = values[r, j]
    return turned


@compiled
def _sum_rows(values: Array, out: Array) -> None:
    out[:] = 0
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[j] += values[r, j]


@compiled
def _ends(sizes: Array, images: int) -> tuple[int, int]:
    """Where the parameters end, and the values that layers read."""
    at = begin = 0
    for layer in range(len(sizes)):
        begin += images * sizes[layer, 0] * sizes[layer, 1]
        at += (sizes[layer, 1] + 1) * sizes[layer, 2]
    return at, begin


@compiled
def _backward(w: Array, sizes: Array, images: int, acts: Array, g: Array, h: Array, out: Array) -> None:
    """Write the gradient (P,), from the slopes by the logits in ``g``; ``g`` and ``h`` are used up."""
    at, begin = _ends(sizes, images)
    one = w.dtype.type(1)
    for layer in range(len(sizes) - 1, -1, -1):
        rows, i, o = images * sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        begin, at = begin - rows * i, at - (i + 1) * o
        a, now = matrix(acts, begin, rows, i), matrix(g, 0, rows, o)
        np.dot(a.T, now, matrix(out, at, i, o))
        _sum_rows(now, out[at + i * o : at + i * o + o])
        if layer:
            before = matrix(h, 0, rows, i)
            np.dot(now, _transposed(matrix(w, at, i, o)), before)
            for r in range(rows):
                for j in range(i):
                    if a[r, j] < 0:
                        before[r, j] *= a[r, j] + one  # the slope of ELU
            g, h = h, g


@compiled
def _r_forward(w: Array, v: Array, sizes: Array, images: int, acts: Array, racts: Array) -> None:
    """All layers' changes, after `forward`, from r(images) in ``racts``, which receives them."""
    at = begin = 0
    one = acts.dtype.type(1)
    for layer in range(len(sizes)):
        rows, i, o = images * sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        z, rz = matrix(acts, begin + rows * i, rows, o), matrix(racts, begin + rows * i, rows, o)
        np.dot(matrix(racts, begin, rows, i), matrix(w, at, i, o), rz)
        direct = np.dot(matrix(acts, begin, rows, i), matrix(v, at, i, o))
        at += i * o
        bias, curved = v[at : at + o], layer + 1 < len(sizes)
        for r in range(rows):
            for j in range(o):
                value = rz[r, j] + direct[r, j] + bias[j]
                rz[r, j] = value * (z[r, j] + one) if curved and z[r, j] < 0 else value
        begin, at = begin + rows * i, at + o


@compiled
def _r_backward(
    w: Array,
    v: Array,
    sizes: Array,
    images: int,
    acts: Array,
    racts: Array,
    g: Array,
    h: Array,
    rg: Array,
    rh: Array,
    out: Array,
) -> None:
    """Write r(gradient) (P,), after `_r_forward`, from slopes in ``g`` and r(slopes) in ``rg``."""
    at, begin = _ends(sizes, images)
    one = w.dtype.type(1)
    for layer in range(len(sizes) - 1, -1, -1):
        rows, i, o = images * sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        begin, at = begin - rows * i, at - (i + 1) * o
        a, ra = matrix(acts, begin, rows, i), matrix(racts, begin, rows, i)
        now, rnow = matrix(g, 0, rows, o), matrix(rg, 0, rows, o)
        written = matrix(out, at, i, o)
        np.dot(a.T, rnow, written)
        written += np.dot(ra.T, now)
        _sum_rows(rnow, out[at + i * o : at + i * o + o])
        if layer:
            before, rbefore = matrix(h, 0, rows, i), matrix(rh, 0, rows, i)
            turned = _transposed(matrix(w, at, i, o))
            np.dot(now, turned, before)
            np.dot(rnow, turned, rbefore)
            rbefore += np.dot(now, _transposed(matrix(v, at, i, o)))
            for r in range(rows):
                for j in range(i):
                    if a[r, j] < 0:  # ELU has the slope a + 1 there, and r of that slope is r(a)
                        rbefore[r, j] = rbefore[r, j] * (a[r, j] + one) + before[r, j] * ra[r, j]
                        before[r, j] *= a[r, j] + one
            g, h, rg, rh = h, g, rh, rg
