"""A federated forest from users' slates: grown together, and then weighed by each user at home."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.progress import Tell
from federated.tasks.growing import Tree, grow
from federated.tasks.tree_sums import UNIT, Devices
from federated.trees import Growing
from federated.workers import in_parallel
from ranking.metrics import nmrr
from ranking.rankers.forest import Trees
from ranking.rankers.trees import scores_of_rows
from ranking.shared_forest import LEAST, SharedForest
from ranking.slates import StoredSlates

Array = NDArray[Any]
GROWING, WEIGHING = "growing trees", "weighing votes"
"""What it is called where progress is shown."""

JUDGED = 2000
"""Slates judged at once."""


class Judged(NamedTuple):
    """A forest with what each user knows of it, and how well their own votes do.

    Attributes:
        forest: at nobody's own price yet: everybody has the common votes.
        candidates: prices that were tried on validation slates, ∞ first; only one where it was set.
        nmrr: (U, P) of users at each of them, NaN for who has no validation slate.
        slates: (U,) how many each has been judged by.
    """

    forest: SharedForest
    candidates: tuple[float, ...]
    nmrr: Array
    slates: Array


def learn_together(
    slates: StoredSlates,
    validation: StoredSlates,
    users: int,
    ranker: Trees,
    loss: str,
    growing: Growing,
    seed: int,
    tell: Tell,
) -> Judged:
    """Grow a forest on everybody's training slates, by sums, and let each user weigh and judge it at home.

    For judging, own votes are made from older slates only, so that they are judged as far ahead as they will
    be used; see `federated.personal`.


    Args:
        slates, validation: by user.
        users: U.
        ranker: how many trees, and what bounds each.
        loss: ``bce`` or ``mse``.
        growing: the rest.
        seed: of the run.
        tell: is told how far it is.
    """
    devices = Devices.of(slates, loss, seed)
    trees = grow(
        devices, growing, ranker.n_estimators, ranker.min_samples_leaf, ranker.max_features, tell, GROWING
    )
    common = joined(trees, users)
    forest = with_evidence(common, devices, tell)
    ahead = np.bincount(validation.user.numpy(), minlength=users)
    older = with_evidence(common, devices.older(ahead), tell)
    nmrr_by = judged(older, validation, growing.prices, tell)
    return Judged(forest, growing.prices, nmrr_by, ahead)


def joined(trees: list[Tree], users: int) -> SharedForest:
    """One forest of the trees, that nobody has weighed."""
    begin = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    left = [tree.left + first for tree, first in zip(trees, begin.tolist(), strict=False)]
    cell = np.concatenate([tree.cell for tree in trees])
    return SharedForest(
        root=begin[:-1].astype(np.int32),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=np.concatenate(left).astype(np.int32),
        vote=np.concatenate([tree.vote for tree in trees]),
        cell=cell.astype(np.int32),
        evidence=np.zeros((users, len(trees), int(cell.max()) + 1, 2), np.float32),
        price=np.full(users, np.inf),
    )


def with_evidence(forest: SharedForest, devices: Devices, tell: Tell) -> SharedForest:
    """What each user finds at home: where the common votes are wrong for their own past choices."""
    from ranking.kernels.trees import add_evidence

    evidence = np.zeros_like(forest.evidence)
    everyone = devices.by_user()

    def at_home(piece: tuple[int, slice]) -> None:
        own = piece[1]
        p = np.clip(forest.votes(devices.features[own]), LEAST, 1 - LEAST)
        add_evidence(
            devices.features[own],
            devices.user[own],
            forest.root,
            forest.feature,
            forest.threshold,
            forest.left,
            forest.cell,
            devices.label[own] / UNIT - p,
            p * (1 - p),
            evidence,
        )

    in_parallel(at_home, everyone, lambda done: tell(WEIGHING, done, len(everyone)))
    return replace(forest, evidence=evidence)


def judged(
    forest: SharedForest, validation: StoredSlates, candidates: tuple[float, ...], tell: Tell
) -> Array:
    """(U, P) each user's mean NMRR on their own validation slates at each price; NaN where there is none."""
    users = len(forest.price)
    price = np.tile(np.array(candidates), (users, 1))
    totals, slates = np.zeros((users, len(candidates))), np.zeros(users)
    done = 0
    for some in validation.chunks(JUDGED):
        user = some.user[:, None].expand(some.mask.shape)[some.mask].numpy()
        scores = forest.own(some.features[some.mask].numpy(), user, price)
        whose = some.user.numpy()
        for number in range(len(candidates)):
            values = nmrr(scores_of_rows(partial(_column, scores, number), some), some).numpy()
            totals[:, number] += np.bincount(whose, values, users)
        slates += np.bincount(whose, minlength=users)
        done += len(some)
        tell(WEIGHING, done, len(validation))
    return np.asarray(totals / np.where(slates > 0, slates, np.nan)[:, None])


def _column(scores: Array, number: int, rows: Tensor) -> Tensor:
    return torch.from_numpy(scores[:, number])
