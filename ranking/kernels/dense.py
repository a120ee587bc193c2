"""Fully connected layers with ReLU between them, the last with one output: values, gradients, curvature.

``w`` (P,) holds weights (inputs, outputs) row by row and biases, layer by layer, see
`rankers.network.dense_shapes`; ``sizes`` (L + 1,) are the inputs, the hidden units, and 1. ``acts`` holds
the R rows' inputs and after them the values of every layer, one layer behind the other, scores last.

Sources: Hessian-vector products by the R-operator, Pearlmutter 1994; what is written r· is the change of ·
when w changes by v, to first order.
"""

import numpy as np

from ranking.kernels.compiling import compiled
from ranking.kernels.gathering import Array


@compiled
def matrix(values: Array, at: int, rows: int, columns: int) -> Array:
    """The part of flat values that begins at ``at``, as (rows, columns)."""
    return values[at : at + rows * columns].reshape(rows, columns)


@compiled
def forward(w: Array, sizes: Array, rows: int, acts: Array) -> Array:
    """The scores (R,), from the inputs in ``acts``, which receives all layers' values."""
    at = begin = 0
    zero = acts.dtype.type(0)  # one of 64 bits would make all loops so
    for layer in range(len(sizes) - 2):
        i, o = sizes[layer], sizes[layer + 1]
        z = matrix(acts, begin + rows * i, rows, o)
        np.dot(matrix(acts, begin, rows, i), matrix(w, at, i, o), z)
        at += i * o
        bias = w[at : at + o]
        for r in range(rows):
            for j in range(o):
                value = z[r, j] + bias[j]
                z[r, j] = zero if value <= zero else value  # what is no number stays none
        begin, at = begin + rows * i, at + o
    i = sizes[-2]
    scores = acts[begin + rows * i : begin + rows * (i + 1)]
    np.dot(matrix(acts, begin, rows, i), w[at : at + i], scores)
    last = w[at + i]
    for r in range(rows):
        scores[r] += last
    return scores


@compiled
def backward(
    w: Array, sizes: Array, rows: int, acts: Array, slope: Array, g: Array, h: Array, out: Array
) -> Array:
    """Write the gradient (P,), from the slopes (R,) by the scores.

    Returns:
        Derivatives by the values of the first layer, before its ReLU, (R · sizes[1],) and more: in ``g`` or
        ``h``, which are room for R rows of the widest layer each.
    """
    at, begin = _last(sizes, rows)
    i, zero = sizes[-2], w.dtype.type(0)
    a, last = matrix(acts, begin, rows, i), matrix(g, 0, rows, i)
    np.dot(a.T, slope, out[at : at + i])
    out[at + i] = _sum(slope)
    if len(sizes) == 2:
        for r in range(rows):
            g[r] = slope[r]
        return g
    reads = w[at : at + i]
    for r in range(rows):
        for j in range(i):
            value = slope[r] * reads[j]  # not in a branch, so that many are computed at once
            last[r, j] = zero if a[r, j] <= zero else value
    for layer in range(len(sizes) - 3, -1, -1):
        i, o = sizes[layer], sizes[layer + 1]
        begin, at = begin - rows * i, at - (i + 1) * o
        a, now = matrix(acts, begin, rows, i), matrix(g, 0, rows, o)
        np.dot(a.T, now, matrix(out, at, i, o))
        _sum_rows(now, out[at + i * o : at + i * o + o])
        if layer:
            np.dot(now, _transposed(matrix(w, at, i, o)), matrix(h, 0, rows, i))
            _where_active(a, matrix(h, 0, rows, i))
            g, h = h, g
    return g


@compiled
def _last(sizes: Array, rows: int) -> tuple[int, int]:
    """Where the last layer's parameters begin in w, and the values that it reads in ``acts``."""
    at = begin = 0
    for layer in range(len(sizes) - 2):
        begin += rows * sizes[layer]
        at += (sizes[layer] + 1) * sizes[layer + 1]
    return at, begin


@compiled
def _transposed(values: Array) -> Array:
    """A transposed copy, by which BLAS multiplies faster, copying included, than by a transposed view."""
    rows, columns = values.shape
    turned = np.empty((columns, rows), values.dtype)
    for r in range(rows):
        for j in range(columns):
            turned[j, r] = values[r, j]
    return turned


@compiled
def _sum(values: Array) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@compiled
def _sum_rows(values: Array, out: Array) -> None:
    for j in range(values.shape[1]):
        out[j] = 0
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[j] += values[r, j]


@compiled
def _where_active(a: Array, values: Array) -> None:
    """0 wherever the ReLU that gave ``a`` was not active."""
    zero = values.dtype.type(0)
    for r in range(a.shape[0]):
        for j in range(a.shape[1]):
            value = values[r, j]
            values[r, j] = zero if a[r, j] <= zero else value


@compiled
def _add(values: Array, to: Array) -> None:
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            to[r, j] += values[r, j]


@compiled
def r_forward(w: Array, v: Array, sizes: Array, rows: int, acts: Array, racts: Array) -> Array:
    """r(scores) (R,), after `forward`, from r(inputs) in ``racts``, which receives all layers' changes."""
    at = begin = 0
    zero = acts.dtype.type(0)
    for layer in range(len(sizes) - 2):
        i, o = sizes[layer], sizes[layer + 1]
        z, rz = matrix(acts, begin + rows * i, rows, o), matrix(racts, begin + rows * i, rows, o)
        np.dot(matrix(racts, begin, rows, i), matrix(w, at, i, o), rz)
        _add(np.dot(matrix(acts, begin, rows, i), matrix(v, at, i, o)), rz)
        at += i * o
        bias = v[at : at + o]
        for r in range(rows):
            for j in range(o):
                value = rz[r, j] + bias[j]
                rz[r, j] = zero if z[r, j] <= zero else value
        begin, at = begin + rows * i, at + o
    i = sizes[-2]
    rscores = racts[begin + rows * i : begin + rows * (i + 1)]
    np.dot(matrix(racts, begin, rows, i), w[at : at + i], rscores)
    direct = np.dot(matrix(acts, begin, rows, i), v[at : at + i])
    for r in range(rows):
        rscores[r] += direct[r] + v[at + i]
    return rscores


@compiled
def r_backward(
    w: Array,
    v: Array,
    sizes: Array,
    rows: int,
    acts: Array,
    racts: Array,
    slope: Array,
    rslope: Array,
    out: Array,
) -> tuple[Array, Array]:
    """Write r(gradient) (P,), after `r_forward`, from the slopes (R,) and r(slopes) (R,).

    Returns:
        Derivatives (R, sizes[1]) by the values of the first layer, before its ReLU, and r of them.
    """
    at, begin = _last(sizes, rows)
    i = sizes[-2]
    a, ra = matrix(acts, begin, rows, i), matrix(racts, begin, rows, i)
    first, second = np.dot(ra.T, slope), np.dot(a.T, rslope)
    for j in range(i):
        out[at + j] = first[j] + second[j]
    out[at + i] = _sum(rslope)
    if len(sizes) == 2:
        return slope.copy().reshape(rows, 1), rslope.copy().reshape(rows, 1)
    g, rg = np.empty((rows, i), w.dtype), np.empty((rows, i), w.dtype)
    reads, changes, zero = w[at : at + i], v[at : at + i], w.dtype.type(0)
    for r in range(rows):
        for j in range(i):
            value, change = slope[r] * reads[j], rslope[r] * reads[j] + slope[r] * changes[j]
            g[r, j] = zero if a[r, j] <= zero else value
            rg[r, j] = zero if a[r, j] <= zero else change
    for layer in range(len(sizes) - 3, -1, -1):
        i, o = sizes[layer], sizes[layer + 1]
        begin, at = begin - rows * i, at - (i + 1) * o
        a, ra = matrix(acts, begin, rows, i), matrix(racts, begin, rows, i)
        np.dot(ra.T, g, matrix(out, at, i, o))
        _add(np.dot(a.T, rg), matrix(out, at, i, o))
        _sum_rows(rg, out[at + i * o : at + i * o + o])
        if layer:
            w_turned, v_turned = _transposed(matrix(w, at, i, o)), _transposed(matrix(v, at, i, o))
            before = np.dot(rg, w_turned)
            _add(np.dot(g, v_turned), before)
            g, rg = np.dot(g, w_turned), before
            _where_active(a, g)
            _where_active(a, rg)
    return g, rg
