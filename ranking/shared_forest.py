"""A forest that everybody has grown together, and how far each user weighs its branches by their own past."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ranking.rankers.trees import ModelError, scores_of_rows
from ranking.slates import Slates

FILE = "model/shared.safetensors"
LEAST = 1e-4
"""Votes are no surer than this, or their odds would be without bounds."""

Array = NDArray[Any]
KINDS = {
    "root": np.int32,
    "feature": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "vote": np.float64,
    "cell": np.int32,
    "evidence": np.float32,
    "price": np.float64,
}


@dataclass(frozen=True)
class SharedForest:
    """T trees of V nodes in all, and what U users know of their C branches; implements `models.Model`.

    The common score is the log-odds of the trees' mean vote. A user's own adds to it the mean, over trees,
    of a correction for the branch where the candidate ends: one ridge-penalised Newton step of the logistic
    loss of that user's past choices, Σ(y − p) / (Σp(1 − p) + price).

    Attributes:
        root: (T,) int32, where each tree begins.
        feature, threshold, left: (V,) int32, float32, int32: a candidate with less than the threshold goes
            to ``left``, the others to the node after it; a negative feature marks a leaf.
        vote: (V,) float64 in [0, 1], of leaves.
        cell: (V,) int32, the branch to which a leaf belongs.
        evidence: (U, T, C, 2) float32, of each user in each branch: Σ(y − p) and Σp(1 − p).
        price: (U,) float64, of each user; ∞: the common votes are theirs.
    """

    root: Array
    feature: Array
    threshold: Array
    left: Array
    vote: Array
    cell: Array
    evidence: Array
    price: Array

    @property
    def has_common(self) -> bool:
        """See `Model.has_common`."""
        return True

    @property
    def has_own(self) -> bool:
        """See `Model.has_own`."""
        return bool(np.isfinite(self.price).any())

    def global_scores(self, slates: Slates) -> Tensor | None:
        """See `Model.global_scores`."""
        return scores_of_rows(lambda rows: torch.from_numpy(log_odds(self.votes(rows.numpy()))), slates)

    def personal_scores(self, slates: Slates) -> Tensor:
        """See `Model.personal_scores`."""
        user = slates.user[:, None].expand(slates.mask.shape)[slates.mask].numpy()
        price = self.price[:, None]
        return scores_of_rows(
            lambda rows: torch.from_numpy(self.own(rows.numpy(), user, price)[:, 0]), slates
        )

    def votes(self, rows: Array) -> Array:
        """(R,) the trees' mean vote of rows (R, F)."""
        return self._walk(rows, np.zeros(len(rows), np.int64), np.zeros((len(self.price), 0)))[0]

    def own(self, rows: Array, user: Array, price: Array) -> Array:
        """(R, M) scores of rows (R, F) by the own votes of their users (R,), at M prices (U, M) each."""
        common, own = self._walk(rows, user, price)
        return np.asarray(log_odds(common)[:, None] + own)

    def _walk(self, rows: Array, user: Array, price: Array) -> tuple[Array, Array]:
        from ranking.kernels.trees import walk

        if self.feature.max() >= rows.shape[1]:
            raise ModelError(f"{FILE} asks for feature {self.feature.max()}; there are {rows.shape[1]}.")
        common, own = np.empty(len(rows)), np.empty((len(rows), price.shape[1]))
        trees = (self.root, self.feature, self.threshold, self.left, self.vote, self.cell, self.evidence)
        walk(np.ascontiguousarray(rows), np.ascontiguousarray(user), *trees, price, common, own)
        return common, own

    def only(self, users: list[int]) -> "SharedForest":
        """The same trees with what these users know, and nobody else."""
        return replace(self, evidence=self.evidence[users], price=self.price[users])

    def dump(self) -> bytes:
        """One safetensors file; equal forests give equal bytes."""
        return save_tensors(
            {f.name: torch.from_numpy(np.ascontiguousarray(getattr(self, f.name))) for f in fields(self)}
        )


def log_odds(votes: Array) -> Array:
    """Of votes (R,), kept within LEAST of 0 and 1."""
    p = np.clip(votes, LEAST, 1 - LEAST)
    return np.asarray(np.log(p / (1 - p)))


def load(content: bytes, name: str, users: int) -> SharedForest:
    """Read what `SharedForest.dump` gave.

    Args:
        content: of the file.
        name: which file it was, for messages.
        users: U, how many there must be.

    Raises:
        ModelError: it is no such forest, or following it would lead out of it, or round and round.
    """
    try:
        arrays = {key: tensor.numpy() for key, tensor in load_tensors(content).items()}
    except SafetensorError as error:
        raise ModelError(f"{name} is not a readable safetensors file.") from error
    if {key: array.dtype for key, array in arrays.items()} != {k: np.dtype(d) for k, d in KINDS.items()}:
        raise ModelError(f"{name} holds {sorted(arrays)}, not a forest that users share.")
    forest = SharedForest(**arrays)
    trees, nodes = len(forest.root), len(forest.feature)
    flat = (forest.threshold, forest.left, forest.vote, forest.cell)
    cells = forest.evidence.shape[2] if forest.evidence.ndim == 4 else 0
    if (
        not trees
        or any(array.shape != (nodes,) for array in (forest.feature, *flat))
        or forest.root.ndim != 1
        or forest.evidence.shape != (users, trees, cells, 2)
        or forest.price.shape != (users,)
    ):
        raise ModelError(f"{name} holds a forest of other sizes than {users} users have.")
    if not _sound(forest, nodes, cells):
        raise ModelError(f"{name} holds a tree that points outside itself or predicts no number.")
    return forest


def _sound(forest: SharedForest, nodes: int, cells: int) -> bool:
    """Whether every way leads onward to a leaf inside, and all numbers are finite."""
    split = np.flatnonzero(forest.feature >= 0)
    onward = (forest.left[split] > split) & (forest.left[split] < nodes - 1)
    inside = (forest.root >= 0) & (forest.root < nodes)
    parts = (forest.cell >= 0) & (forest.cell < cells)
    finite = [np.isfinite(array).all() for array in (forest.threshold, forest.vote, forest.evidence)]
    positive = (forest.price > 0).all() and (forest.evidence[..., 1] >= 0).all()
    return bool(onward.all() and inside.all() and parts.all() and all(finite) and positive)
