"""`forest`: scikit-learn's random forest over candidates, one by one."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import skops.io
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch import Tensor

from ranking.rankers.trees import ModelError, scores_of_rows
from ranking.slates import Slates

SUFFIX = ".skops"


@dataclass(frozen=True)
class Forest:
    """Hyper-parameters, named as in scikit-learn."""

    n_estimators: Annotated[int, Field(ge=1, le=5000)] = 100
    min_samples_leaf: Annotated[int, Field(ge=1)] = 5
    max_features: Annotated[float, Field(gt=0, le=1)] = 0.4

    def fit(self, slates: Slates, loss: str, seed: int) -> "FittedForest":
        """Fit S slates: a classifier of membership for ``bce``, a regressor of 1/position for ``mse``."""
        rows, position = slates.features[slates.mask].numpy(), slates.position[slates.mask].numpy()
        settings = {**vars(self), "random_state": seed, "n_jobs": 2}
        if loss == "bce":
            return FittedForest(RandomForestClassifier(**settings).fit(rows, position > 0))
        target = np.where(position > 0, 1 / np.maximum(position, 1), 0)
        return FittedForest(RandomForestRegressor(**settings).fit(rows, target))


@dataclass(frozen=True)
class FittedForest:
    """A fitted forest; implements `trees.Fitted`."""

    forest: Any

    def scores(self, slates: Slates) -> Tensor:
        """(S, N) probability of membership, or expected 1/position."""
        return scores_of_rows(self._predict, slates)

    def _predict(self, rows: Tensor) -> Tensor:
        if isinstance(self.forest, RandomForestRegressor):
            return torch.from_numpy(self.forest.predict(rows.numpy()))
        if True not in self.forest.classes_:
            return torch.zeros(len(rows))
        column = list(self.forest.classes_).index(True)
        return torch.from_numpy(self.forest.predict_proba(rows.numpy())[:, column])

    def save(self, path: Path) -> None:
        """Write one skops file."""
        path.write_bytes(skops.io.dumps(self.forest))


def load(path: Path) -> FittedForest:
    """Read what `FittedForest.save` wrote.

    Raises:
        ModelError: the file holds anything but a scikit-learn forest.
    """
    try:
        unknown = skops.io.get_untrusted_types(file=path)
        if unknown:
            raise ModelError(f"{path} holds the untrusted type(s) {', '.join(unknown)}.")
        forest = skops.io.load(path)
    except ModelError:
        raise
    except Exception as error:  # a damaged zip or schema can fail in any way; none of them is trusted
        raise ModelError(f"{path} is not a readable skops file.") from error
    if not isinstance(forest, RandomForestClassifier | RandomForestRegressor):
        raise ModelError(f"{path} holds a {type(forest).__name__}, not a random forest.")
    return FittedForest(forest)
