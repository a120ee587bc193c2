"""The character CNN of `rankers.mlp_cnn`: the strongest response of each filter to each candidate's text.

A response is a sum over the places of a window, so it is looked up instead of multiplied: ``table``
(width, alphabet, filters) is what a character contributes at a place. Only the places of strongest responses
carry a gradient.

Parameters: embedding (alphabet, E), weight ((E + 1) · width, filters) with place k of channel e in row
e · width + k, the last channel being what the user has typed, and bias (filters,). What is written r· is the
change of · when they change by v, see `dense`.
"""

from typing import NamedTuple

import numpy as np

from ranking.kernels.compiling import compiled
from ranking.kernels.gathering import Array, Rows


class Reader(NamedTuple):
    """The shape of a CNN; ``filters`` is 0 where there is none.

    Attributes:
        codes: (V, characters) uint8 codes of every query's text.
        alphabet: how many codes there are.
        embedding, width, filters: E, characters in a window, and how many filters there are.
    """

    codes: Array
    alphabet: int
    embedding: int
    width: int
    filters: int


@compiled
def parameters(reader: Reader) -> int:
    """How many parameters it has."""
    if reader.filters == 0:
        return 0
    window = (reader.embedding + 1) * reader.width
    return reader.alphabet * reader.embedding + (window + 1) * reader.filters


@compiled
def _parts(w: Array, reader: Reader) -> tuple[Array, Array, Array, Array]:
    """Embedding, weights (width, E, filters) of its channels and (width, filters) of what is typed, bias."""
    E, width, filters = reader.embedding, reader.width, reader.filters
    at = reader.alphabet * E
    window = (E + 1) * width * filters
    weight = w[at : at + window].reshape(E + 1, width, filters)
    by_place = np.empty((width, E, filters), w.dtype)
    for k in range(width):
        for e in range(E):
            for f in range(filters):
                by_place[k, e, f] = weight[e, k, f]
    return w[:at].reshape(reader.alphabet, E), by_place, weight[E], w[at + window : at + window + filters]


@compiled
def _tables(embedding: Array, by_place: Array) -> Array:
    table = np.empty((by_place.shape[0], embedding.shape[0], by_place.shape[2]), embedding.dtype)
    for k in range(by_place.shape[0]):
        np.dot(embedding, by_place[k], table[k])
    return table


@compiled
def read(w: Array, reader: Reader, rows: Rows, number: int, x: Array, strongest: Array) -> None:
    """Write the responses of so many rows into x (R, inputs), last, and their places (R, filters)."""
    embedding, by_place, typed_weight, bias = _parts(w, reader)
    table = _tables(embedding, by_place)
    width, filters = reader.width, reader.filters
    first = x.shape[1] - filters
    response, best = np.empty(filters, w.dtype), np.empty(filters, w.dtype)
    where = np.empty(filters, np.int32)
    for r in range(number):
        for f in range(filters):
            best[f], where[f] = 0, -1
        query, typed = rows.candidates[r], rows.typed[r]
        for place in range(reader.codes.shape[1] - width + 1):
            for f in range(filters):
                response[f] = bias[f]
            for k in range(width):
                code = reader.codes[query, place + k]
                for f in range(filters):
                    response[f] += table[k, code, f]
                if place + k < typed:
                    for f in range(filters):
                        response[f] += typed_weight[k, f]
            for f in range(filters):
                stronger = not response[f] <= best[f] and best[f] == best[f]  # what is no number stays none
                best[f] = response[f] if stronger else best[f]
                where[f] = place if stronger else where[f]
        for f in range(filters):
            x[r, first + f] = best[f]
            strongest[r, f] = where[f]


@compiled
def _spread(
    reader: Reader, rows: Rows, number: int, strongest: Array, by_response: Array
) -> tuple[Array, Array, Array]:
    """Derivatives by the table, the weights of what is typed and the bias, from those by responses."""
    width, filters = reader.width, reader.filters
    table = np.zeros((width, reader.alphabet, filters), by_response.dtype)
    typed_weight = np.zeros((width, filters), by_response.dtype)
    bias = np.zeros(filters, by_response.dtype)
    for r in range(number):
        query, typed = rows.candidates[r], rows.typed[r]
        for f in range(filters):
            place = strongest[r, f]
            if place >= 0:
                bias[f] += by_response[r, f]
                for k in range(width):
                    table[k, reader.codes[query, place + k], f] += by_response[r, f]
                    if place + k < typed:
                        typed_weight[k, f] += by_response[r, f]
    return table, typed_weight, bias


@compiled
def unread(
    w: Array, reader: Reader, rows: Rows, number: int, strongest: Array, by_response: Array, out: Array
) -> None:
    """Write the gradient (parameters,), from the derivatives (R, filters) by the responses."""
    embedding, by_place, _, _ = _parts(w, reader)
    table, typed_weight, bias = _spread(reader, rows, number, strongest, by_response)
    _write(reader, out, table, typed_weight, bias, embedding, by_place)


@compiled
def _write(
    reader: Reader,
    out: Array,
    table: Array,
    typed_weight: Array,
    bias: Array,
    embedding: Array,
    by_place: Array,
) -> None:
    """Write derivatives as they stand in w, those by the table carried on to what it is the product of."""
    E, width, filters = reader.embedding, reader.width, reader.filters
    at = reader.alphabet * E
    window = (E + 1) * width * filters
    weight = out[at : at + window].reshape(E + 1, width, filters)
    product, by_embedding = np.empty((E, filters), out.dtype), np.empty((reader.alphabet, E), out.dtype)
    for p in range(at):
        out[p] = 0
    for k in range(width):
        np.dot(embedding.T, table[k], product)
        np.dot(table[k], by_place[k].T, by_embedding)
        for e in range(E):
            for f in range(filters):
                weight[e, k, f] = product[e, f]
        for f in range(filters):
            weight[E, k, f] = typed_weight[k, f]
        for p in range(at):
            out[p] += by_embedding[p // E, p % E]
    for f in range(filters):
        out[at + window + f] = bias[f]


@compiled
def r_read(w: Array, v: Array, reader: Reader, rows: Rows, number: int, rx: Array, strongest: Array) -> None:
    """Write r(responses), see `dense`, into the last columns of rx (R, inputs), after `read`."""
    embedding, by_place, _, _ = _parts(w, reader)
    r_embedding, r_by_place, r_typed_weight, r_bias = _parts(v, reader)
    table, other = _tables(r_embedding, by_place), _tables(embedding, r_by_place)
    width, filters = reader.width, reader.filters
    first = rx.shape[1] - filters
    for r in range(number):
        query, typed = rows.candidates[r], rows.typed[r]
        for f in range(filters):
            place = strongest[r, f]
            change = r_bias[f] * 0
            if place >= 0:
                change += r_bias[f]
                for k in range(width):
                    code = reader.codes[query, place + k]
                    change += table[k, code, f] + other[k, code, f]
                    if place + k < typed:
                        change += r_typed_weight[k, f]
            rx[r, first + f] = change


@compiled
def r_unread(
    w: Array,
    v: Array,
    reader: Reader,
    rows: Rows,
    number: int,
    strongest: Array,
    by_response: Array,
    r_by_response: Array,
    out: Array,
) -> None:
    """Write r(gradient) (parameters,), from the derivatives (R, filters) by the responses, and r of them."""
    embedding, by_place, _, _ = _parts(w, reader)
    r_embedding, r_by_place, _, _ = _parts(v, reader)
    table, typed_weight, bias = _spread(reader, rows, number, strongest, r_by_response)
    _write(reader, out, table, typed_weight, bias, embedding, by_place)
    table, _, _ = _spread(reader, rows, number, strongest, by_response)
    changed = np.zeros_like(out)
    _write(reader, changed, table, np.zeros_like(typed_weight), np.zeros_like(bias), r_embedding, r_by_place)
    for p in range(len(out)):
        out[p] += changed[p]
