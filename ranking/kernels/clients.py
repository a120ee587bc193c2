"""What is asked of kernels: derivatives of C clients' losses, and descents along them, client by client.

Parameters w are (C, P); a batch is ``index`` (C, B), numbers of slates, with their ``weight`` (C, B) in each
client's loss; slates of weight 0 stand in for such as a client does not have. Results are written into
arrays that are given. Shapes are not checked here: who calls has made them.
"""

from typing import NamedTuple

import numpy as np

from ranking.kernels import Steps
from ranking.kernels.characters import Reader, parameters, r_read, r_unread, read, unread
from ranking.kernels.compiling import compiled
from ranking.kernels.dense import backward, forward, matrix, r_backward, r_forward
from ranking.kernels.gathering import Array, Rows, Store, gather, most_rows, room
from ranking.kernels.losses import curvatures, slopes


class Net(NamedTuple):
    """A network: dense layers over features and, where it has filters, what the ``reader`` reads.

    Attributes:
        sizes: (L + 1,) of the layers.
        all_sizes, widest: their sum and the largest of them.
    """

    sizes: Array
    all_sizes: int
    widest: int
    reader: Reader


class Work(NamedTuple):
    """Room for one client's rows and what is computed of them."""

    rows: Rows
    acts: Array
    g: Array
    h: Array
    slope: Array
    strongest: Array


@compiled
def _work(most: int, slates: int, net: Net, like: Array) -> Work:
    return Work(
        room(most, slates),
        np.empty(most * net.all_sizes, like.dtype),
        np.empty(most * net.widest, like.dtype),
        np.empty(most * net.widest, like.dtype),
        np.empty(most, like.dtype),
        np.empty((most, net.reader.filters), np.int16),
    )


@compiled
def _scores(w: Array, net: Net, number: int, work: Work) -> Array:
    """The scores of a client's rows, which have been gathered."""
    inputs = net.sizes[0]
    if net.reader.filters:
        read(w, net.reader, work.rows, number, matrix(work.acts, 0, number, inputs), work.strongest)
    return forward(w[parameters(net.reader) :], net.sizes, number, work.acts)


@compiled
def _by_response(w: Array, net: Net, by_hidden: Array) -> Array:
    """Derivatives (R, filters) by what the CNN gives, from those (R, hidden) by the first layer."""
    i, o, filters = net.sizes[0], net.sizes[1], net.reader.filters
    by_response: Array = np.dot(by_hidden, matrix(w, (i - filters) * o, filters, o).T)
    return by_response


@compiled
def descend(
    begin: int,
    end: int,
    theta: Array,
    anchor: Array,
    slope: Array,
    store: Store,
    index: Array,
    weight: Array,
    net: Net,
    loss: int,
    how: Steps,
) -> None:
    """Proximal gradient steps, in place: θ ← θ − lr · slope, slope = ∇f(θ) + pull (θ − anchor).

    One function with many uses, since what is compiled twice is waited for twice.

    Args:
        begin, end: whose turn it is.
        theta: (C, P).
        anchor: (C, P); (0, P) where nothing pulls, or in laps, which have anchors of their own.
        slope: (C, P) receives each client's last gradient; (0, P) where nobody wants to see them.
        index: (K, C, B): of a lap's part, step s is on batch s modulo how many there are.
        store, weight, net, loss: as elsewhere.
        how: the steps; one with lr = 0 and pull = 0 gives the gradient.
    """
    laps, P = max(how.laps, 1), theta.shape[1]
    each, B = len(index) // laps, index.shape[2]
    work = _work(most_rows(begin, end, store, index, weight), B, net, theta)
    number, anchors, slopes_wanted = 0, len(anchor) > 0, len(slope) > 0
    own = np.empty((2, P), theta.dtype)
    for c in range(begin, end):
        w = theta[c]
        near, now = anchor[c] if anchors else own[0], slope[c] if slopes_wanted else own[1]
        for lap in range(laps):
            if how.laps:
                near[:] = w
            for s in range(how.steps):
                if each > 1 or s == 0:
                    batch = index[lap * each + s % each, c]
                    number = gather(store, batch, weight[c], net.sizes[0], work.acts, work.rows)
                _gradient(w, net, loss, weight[c], number, work, now)
                if how.tolerance:
                    if how.pull:
                        for p in range(P):
                            now[p] += how.pull * (w[p] - near[p])
                    if np.sqrt(np.dot(now, now)) > how.tolerance:
                        for p in range(P):
                            w[p] -= how.lr * now[p]
                    elif each == 1:
                        break  # nothing would change any more
                elif how.pull:
                    for p in range(P):
                        w[p] -= how.lr * (now[p] + how.pull * (w[p] - near[p]))
                elif how.lr:
                    for p in range(P):
                        w[p] -= how.lr * now[p]
            if how.laps:
                for p in range(P):
                    w[p] = near[p] + how.way * (w[p] - near[p])


@compiled
def _gradient(w: Array, net: Net, loss: int, weight: Array, number: int, work: Work, out: Array) -> None:
    """Write the gradient (P,) of one client's loss, whose rows have been gathered."""
    if number == 0:
        out[:] = 0
        return
    by_score, begin = work.slope[:number], parameters(net.reader)
    slopes(loss, _scores(w, net, number, work), work.rows, weight, by_score)
    g = backward(w[begin:], net.sizes, number, work.acts, by_score, work.g, work.h, out[begin:])
    if begin:
        by_response = _by_response(w[begin:], net, matrix(g, 0, number, net.sizes[1]))
        unread(w, net.reader, work.rows, number, work.strongest, by_response, out[:begin])


@compiled
def curve(
    begin: int,
    end: int,
    w: Array,
    v: Array,
    store: Store,
    index: Array,
    weight: Array,
    net: Net,
    loss: int,
    out: Array,
) -> None:
    """Write the Hessian of the loss of clients begin … end − 1 times v (C, P) into out (C, P)."""
    C, B = index.shape
    work = _work(most_rows(begin, end, store, index.reshape(1, C, B), weight), B, net, w)
    for c in range(begin, end):
        number = gather(store, index[c], weight[c], net.sizes[0], work.acts, work.rows)
        _hessian_times(w[c], v[c], net, loss, weight[c], number, work, out[c])


@compiled
def _hessian_times(
    w: Array, v: Array, net: Net, loss: int, weight: Array, number: int, work: Work, out: Array
) -> None:
    out[:] = 0
    if number == 0:
        return
    scores = _scores(w, net, number, work)
    slope, rslope = work.slope[:number], np.empty(number, w.dtype)
    slopes(loss, scores, work.rows, weight, slope)
    racts = np.zeros(number * net.all_sizes, w.dtype)
    inputs, reader, begin = net.sizes[0], net.reader, parameters(net.reader)
    if begin:
        r_read(
            w, v, reader, work.rows, number, racts[: number * inputs].reshape(number, inputs), work.strongest
        )
    rscores = r_forward(w[begin:], v[begin:], net.sizes, number, work.acts, racts)
    curvatures(loss, scores, rscores, work.rows, weight, rslope)
    g, rg = r_backward(w[begin:], v[begin:], net.sizes, number, work.acts, racts, slope, rslope, out[begin:])
    if begin:
        by_response = _by_response(w[begin:], net, g)
        r_by_response = _by_response(w[begin:], net, rg) + _by_response(v[begin:], net, g)
        r_unread(w, v, reader, work.rows, number, work.strongest, by_response, r_by_response, out[:begin])
