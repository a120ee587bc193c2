"""`lightgbm`: gradient-boosted trees, listwise by default (LambdaMART, Burges 2010).

The library is imported where it is used: it takes seconds and much memory, which networks need not pay.
"""

import re
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ranking.rankers.trees import CONSTANT, Constant, ModelError, scores_of_rows
from ranking.slates import Slates, StoredSlates

SUFFIX = ".txt"
ALGORITHMS = ("local", "pooled")
"""By which it can be fitted."""

OBJECTIVES = {"lambdarank": "lambdarank", "softmax": "rank_xendcg", "bce": "binary", "mse": "regression"}
TRUNCATION = 28
"""Places that lambdarank looks at: the longest simulated reference and 3 more, as its authors advise."""


@dataclass(frozen=True)
class LightGBM:
    """Hyper-parameters, named as in LightGBM.

    Attributes:
        n_estimators: trees.
        learning_rate: how far each tree goes.
        num_leaves: of a tree, at most.
        min_child_samples: candidates in a leaf, at least.
    """

    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 200
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    num_leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    min_child_samples: Annotated[int, Field(ge=1)] = 20

    def fit(self, slates: StoredSlates, loss: str, seed: int) -> "FittedLightGBM | Constant":
        """Fit S slates with one of OBJECTIVES.

        Labels are grades, or without any membership; for ``bce`` always membership, for ``mse`` 1/position.
        """
        import lightgbm

        if not len(slates.candidates):
            return Constant()
        position = slates.position.numpy()
        ranks = loss in ("lambdarank", "softmax")
        label = slates.relevance.numpy() if ranks else position > 0
        if loss == "mse":
            label = np.where(position > 0, 1 / np.maximum(position, 1), 0)
        group = slates.offsets.diff().numpy()
        group = group[group > 0]  # of an empty pool there is nothing to order
        rows = lightgbm.Dataset(slates.features.numpy(), label.astype(float), group=group if ranks else None)
        settings = {
            **{name: value for name, value in vars(self).items() if name != "n_estimators"},
            "objective": OBJECTIVES[loss],
            "lambdarank_truncation_level": TRUNCATION,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": torch.get_num_threads(),
            "verbosity": -1,
        }
        return FittedLightGBM(lightgbm.train(settings, rows, self.n_estimators))


@dataclass(frozen=True)
class FittedLightGBM:
    """A fitted booster; implements `trees.Fitted`."""

    booster: Any

    def scores(self, slates: Slates) -> Tensor:
        """(S, N) raw scores."""
        return scores_of_rows(lambda rows: torch.from_numpy(self._predict(rows)), slates)

    def _predict(self, rows: Tensor) -> Any:
        return self.booster.predict(rows.numpy(), raw_score=True, num_threads=torch.get_num_threads())

    def dump(self) -> bytes:
        """LightGBM's own text format, without the number of threads: they do not change the trees."""
        return bytes(re.sub(r"^\[num_threads: .*\n", "", self.booster.model_to_string(), flags=re.M), "utf-8")


def load(content: bytes, name: str) -> FittedLightGBM | Constant:
    """Read what `FittedLightGBM.dump` gave.

    Raises:
        ModelError: it is not a LightGBM model; ``name`` says which file it was.
    """
    import lightgbm

    if content == CONSTANT:
        return Constant()
    if not content.rstrip().endswith(b"pandas_categorical:null") or b"end of trees" not in content:
        raise ModelError(f"{name} is not a readable LightGBM model: it is cut off.")
    safe = re.sub(rb"^tree_sizes=.*\n", b"", content, flags=re.M)  # without it errors are raised, not fatal
    try:
        return FittedLightGBM(lightgbm.Booster(model_str=safe.decode("utf-8")))
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise ModelError(f"{name} is not a readable LightGBM model.") from error
