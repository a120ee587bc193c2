"""Rows of many users in trees: sums by node, feature and bin, and the way down to a leaf, compiled."""

from typing import Any

from ranking.kernels.compiling import compiled

BLOCK = 2048
"""Rows that go through one tree after another: both then stay in a core's cache."""


@compiled
def add_sums(bins: Any, label: Any, taken: Any, place: Any, first: int, asked: Any, sums: Any) -> None:
    """Add rows and their labels to the sums of the nodes that they stand in.

    Args:
        bins: (R, F) uint8, in which bin of each feature a row is.
        label: (R,) int64, in any fixed unit, so that sums are exact in every order.
        taken: (R,) bool, whether this tree sees the row.
        place: (R,) int32, the node in which a row stands.
        first: the first of the M nodes that are asked about.
        asked: (M, K) int32, which features are asked for in each node.
        sums: (M, K, B, 2) int64, of rows and of labels: added to.
    """
    for row in range(len(place)):
        node = place[row] - first
        if node < 0 or node >= len(asked) or not taken[row]:
            continue
        for k in range(asked.shape[1]):
            within = bins[row, asked[node, k]]
            sums[node, k, within, 0] += 1
            sums[node, k, within, 1] += label[row]


@compiled
def step_down(bins: Any, place: Any, first: int, feature: Any, bin_: Any, left: Any) -> None:
    """Move rows from M nodes to their children; rows in leaves stay.

    Args:
        bins, place, first: as in `add_sums`; ``place`` is changed.
        feature: (M,) int32, by which a node is split; negative: it is a leaf.
        bin_: (M,) int32, rows in bins below it go left.
        left: (M,) int32, the left child; the right one is the next.
    """
    for row in range(len(place)):
        node = place[row] - first
        if 0 <= node < len(feature) and feature[node] >= 0:
            place[row] = left[node] + (bins[row, feature[node]] >= bin_[node])


@compiled
def _leaf(x: Any, node: int, feature: Any, threshold: Any, left: Any) -> int:
    """Where a row of features x (F,) ends that begins in a node; the arrays as in `walk`."""
    while feature[node] >= 0:
        node = left[node] + (x[feature[node]] >= threshold[node])
    return node


@compiled
def walk(
    features: Any,
    user: Any,
    root: Any,
    feature: Any,
    threshold: Any,
    left: Any,
    vote: Any,
    cell: Any,
    evidence: Any,
    price: Any,
    common: Any,
    own: Any,
) -> None:
    """What T trees say of each row: the mean vote of its leaves, and the mean of its user's corrections.

    Args:
        features: (R, F) float32.
        user: (R,) int64, whose row it is.
        root: (T,) int32, where each tree begins.
        feature, threshold, left: (V,) of all nodes: rows with less than the threshold go left, the others to
            the node after it; a negative feature marks a leaf.
        vote: (V,) float64, of leaves.
        cell: (V,) int32, to which part of its tree a leaf belongs.
        evidence: (U, T, C, 2) float32, of each user in each part: sums of residuals and of curvatures.
        price: (U, M) float64, M prices of corrections for each user; a correction is residuals over
            curvatures plus price.
        common: (R,) float64, filled.
        own: (R, M) float64, filled.
    """
    trees, rows = len(root), len(common)
    common[:] = 0.0
    own[:] = 0.0
    for begin in range(0, rows, BLOCK):
        for tree in range(trees):
            for row in range(begin, min(begin + BLOCK, rows)):
                node = _leaf(features[row], root[tree], feature, threshold, left)
                common[row] += vote[node]
                for m in range(price.shape[1]):
                    seen = evidence[user[row], tree, cell[node]]
                    own[row, m] += seen[0] / (seen[1] + price[user[row], m])
    common /= trees
    own /= trees


@compiled
def add_evidence(
    features: Any,
    user: Any,
    root: Any,
    feature: Any,
    threshold: Any,
    left: Any,
    cell: Any,
    residual: Any,
    curvature: Any,
    evidence: Any,
) -> None:
    """Add each row's residual and curvature (R,) to its user's ``evidence``; the rest as in `walk`."""
    rows = len(residual)
    for begin in range(0, rows, BLOCK):
        for tree in range(len(root)):
            for row in range(begin, min(begin + BLOCK, rows)):
                node = _leaf(features[row], root[tree], feature, threshold, left)
                seen = evidence[user[row], tree, cell[node]]
                seen[0] += residual[row]
                seen[1] += curvature[row]
