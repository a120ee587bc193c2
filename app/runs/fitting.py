"""Trees of a run: one ranker on everything, one for each user, or a forest that all grow together."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from app.runs.journal import Tally
from app.runs.phases import TRAINING
from app.runs.settings import Settings
from data.progress import Tell
from federated.personal import best_for_each
from federated.tasks.forest import Judged, learn_together
from federated.workers import in_parallel
from ranking.models import Model, TreeModel
from ranking.rankers.trees import Fitted
from ranking.shared_forest import SharedForest
from ranking.slates import StoredSlates

EACH = "each"
"""What stands in the place of a setting that every user has chosen alone."""


class Fit(NamedTuple):
    """A model, what the summary tells of its training, and how far own models go, if there are any."""

    model: Model
    tally: Tally
    own_models: dict[str, Any] | None = None


def fit(settings: Settings, slates: StoredSlates, validation: StoredSlates, users: int, tell: Tell) -> Fit:
    """Fit trees.

    Args:
        settings: of a run whose ranker is fitted.
        slates: to learn from.
        validation: by which users weigh a forest that they have grown together.
        users: how many there are.
        tell: is told how far it is.
    """
    ranker: Any = settings.ranker
    if settings.row.growing is not None:
        given = (ranker, settings.loss, settings.row.growing, settings.seed, tell)
        judged = learn_together(slates, validation, users, *given)
        forest = weighed(judged)
        return Fit(forest, Tally(updates=users), _own_models(judged, forest.price))
    if settings.row.schedule.pools:
        return Fit(TreeModel(ranker.fit(slates, settings.loss, settings.seed), ()), Tally(updates=1))

    def alone(user: int) -> Fitted:
        theirs = slates.subset((slates.user == user).nonzero().squeeze(1))
        fitted: Fitted = ranker.fit(theirs, settings.loss, settings.seed)
        return fitted

    own = in_parallel(alone, range(users), lambda done: tell(TRAINING, done, users))
    return Fit(TreeModel(None, own), Tally(updates=users))


def weighed(judged: Judged) -> SharedForest:
    """The forest at the price that each user has chosen by their own validation slates."""
    best = best_for_each(torch.from_numpy(judged.nmrr), torch.from_numpy(judged.slates))
    return replace(judged.forest, price=np.array(judged.candidates)[best.numpy()])


def _own_models(judged: Judged, price: np.ndarray[Any, Any]) -> dict[str, Any]:
    """How far users' own votes go, as a summary has it; see `learning.Learned`."""
    asked = ~np.isnan(judged.nmrr[:, 0])
    chosen = len(judged.candidates) > 1
    means = judged.nmrr[asked].mean(axis=0).tolist() if asked.any() and chosen else []
    return {
        "setting": "own_price",
        "value": EACH if chosen else float(price[0]),
        "losses": [
            {"value": "inf" if math.isinf(value) else value, "loss": 1 - mean}
            for value, mean in zip(judged.candidates, means, strict=False)
        ],
        "users_asked": int(asked.sum()) if chosen else 0,
        "nobody": bool(np.isinf(price).all()),
        "kept_common": int(np.isinf(price).sum()) if chosen else None,
    }
