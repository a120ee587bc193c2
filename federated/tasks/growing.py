"""A forest grown by all users together: a server asks for sums, splits by them, and never sees a candidate.

Each tree is a randomised regression tree (Breiman 2001) over a part of everybody's slates. For every node of
a level the server asks how many candidates, and how much of their labels, lie in each bin of a few features.
From what all users' answers add up to it takes the split that leaves the least variance of labels, which for
labels 0 and 1 is the Gini index: the tree that the same data would give on one machine, in the same bins.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from data.progress import Tell
from data.randomness import generator
from federated.tasks.tree_sums import UNIT, Array, Devices, Splits, Standing, begin_of
from federated.trees import Growing
from federated.workers import in_parallel

AT_ONCE = 512
"""Nodes that are asked about in one question: bounds the memory of the answer."""


class Tree(NamedTuple):
    """One tree, see `SharedForest` for the arrays; ``left`` and ``cell`` count from 0 in each tree."""

    feature: Array
    threshold: Array
    left: Array
    vote: Array
    cell: Array


class Shape(NamedTuple):
    """What bounds a tree, beside `Growing`: fewest candidates in a leaf, and features tried in a node."""

    least: int
    tried: int


def grow(
    devices: Devices, growing: Growing, trees: int, least: int, share: float, tell: Tell, what: str
) -> list[Tree]:
    """Grow a forest.

    Args:
        devices: what answers.
        growing: how.
        trees: T.
        least: of candidates that a tree sees, in a leaf.
        share: of the features, that is tried in each node.
        tell: is told ``what`` is done, and how far it is.
    """
    edges = [edges_of(devices.spread(f), growing.bins) for f in range(devices.features.shape[1])]
    bins = devices.binned(edges)
    useful = sum(len(begins) > 0 for begins in edges)
    shape = Shape(least, max(1, round(share * useful)))
    one = partial(grow_one, devices, growing, edges, bins, shape)
    return in_parallel(one, range(trees), lambda done: tell(what, done, trees))


def edges_of(spread: Array, bins: int) -> Array:
    """The cells at which the second and later bins begin: one bin a cell, or like shares of √count.

    By counts themselves, most bins would lie where most candidates do, which is where nothing is known of
    them.
    """
    filled = np.flatnonzero(spread)
    if len(filled) <= bins:
        return filled[1:]
    weight = np.sqrt(spread[filled])
    middle = np.cumsum(weight) - weight / 2
    number = (middle / max(weight.sum(), 1) * bins).astype(np.int64)
    return np.asarray(filled[1:][np.diff(number) > 0])


def grow_one(
    devices: Devices, growing: Growing, edges: list[Array], bins: Array, shape: Shape, tree: int
) -> Tree:
    """Tree number ``tree`` of a forest: level by level, asking ``devices`` for sums."""
    standing = Standing.at_root(devices, bins, tree, growing.sample)
    useful = np.flatnonzero([len(begins) for begins in edges])
    levels: list[Splits] = []
    cells = [np.zeros(1, np.int64)]
    first, number = 0, 1
    for depth in range(growing.max_depth + 1):
        feature, bin_ = np.full(number, -1, np.int32), np.zeros(number, np.int32)
        if depth < growing.max_depth and len(useful):
            draw = generator(devices.seed, "features of nodes", tree, depth).random((number, len(useful)))
            asked = useful[np.argsort(draw, axis=1)[:, : shape.tried]].astype(np.int32)
            for begin in range(0, number, AT_ONCE):
                some = slice(begin, begin + AT_ONCE)
                sums = standing.sums(first + begin, asked[some], growing.bins)
                feature[some], bin_[some] = best_splits(sums, asked[some], shape.least)
        split = feature >= 0
        left = np.where(split, first + number + 2 * (np.cumsum(split) - 1), 0).astype(np.int32)
        levels.append(Splits(first, feature, bin_, left))
        standing.follow(levels[-1])
        first, number = first + number, 2 * int(split.sum())
        if not number:
            break
        own = np.arange(first, first + number)
        cells.append(own if depth < growing.own_depth else np.repeat(cells[-1][split], 2))
    feature, bin_, left = (np.concatenate(parts) for parts in zip(*(s[1:] for s in levels), strict=True))
    threshold = np.zeros(len(feature), np.float32)
    for node in np.flatnonzero(feature >= 0).tolist():
        threshold[node] = begin_of(edges[feature[node]][bin_[node] - 1 : bin_[node]])[0]
    branch = _numbered(np.concatenate(cells), feature < 0)
    return Tree(feature, threshold, left, votes(standing.totals(len(feature))), branch)


def _numbered(branch: Array, leaf: Array) -> Array:
    """(V,) the branches of leaves, numbered without gaps; 0 for nodes that are no leaves."""
    numbered = np.zeros(len(branch), np.int64)
    numbered[leaf] = np.unique(branch[leaf], return_inverse=True)[1]
    return numbered


def best_splits(sums: Array, asked: Array, least: int) -> tuple[Array, Array]:
    """The feature and the first bin of the right child (M,) of each node; feature −1 where none helps.

    Args:
        sums: (M, K, B, 2) of candidates and labels.
        asked: (M, K) which features they are of.
        least: candidates on either side, at least.
    """
    whole = sums.cumsum(axis=2)
    left, right = whole[:, :, :-1], whole[:, :, -1:] - whole[:, :, :-1]
    allowed = (left[..., 0] >= least) & (right[..., 0] >= least)
    gain = np.full(allowed.shape, -np.inf)
    np.copyto(gain, _explained(left) + _explained(right) - _explained(whole[:, :, -1:]), where=allowed)
    flat = gain.reshape(len(sums), -1)
    best = flat.argmax(axis=1)
    place, bin_ = np.divmod(best, sums.shape[2] - 1)
    node = np.arange(len(sums))
    feature = np.where(flat[node, best] > 1e-9, asked[node, place], -1)
    return feature.astype(np.int32), (bin_ + 1).astype(np.int32)


def _explained(sums: Array) -> Array:
    """Of squared labels, what the mean of a group explains: (Σy)²/n."""
    return np.asarray((sums[..., 1] / UNIT) ** 2 / np.maximum(sums[..., 0], 1))


def votes(totals: Array) -> Array:
    """(V,) a leaf's mean label, as if one more candidate of the mean label of all were in it."""
    counts, labels = totals[:, 0], totals[:, 1] / UNIT
    usual = labels.sum() / max(counts.sum(), 1)
    return np.asarray((labels + usual) / (counts + 1))
