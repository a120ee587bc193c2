"""`forest`: scikit-learn's random forest over candidates, one by one.

scikit-learn is imported where it is used: it takes seconds and much memory, which networks need not pay.
"""

import io
import re
import zipfile
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ranking.rankers.trees import CONSTANT, Constant, ModelError, scores_of_rows
from ranking.slates import Slates, StoredSlates

SUFFIX = ".skops"
ALGORITHMS = ("local", "pooled", "federated")
"""By which it can be fitted."""

TRUSTED = ["sklearn.tree._tree.Tree"]
"""Beside skops' own list: the arrays of a fitted tree."""


@dataclass(frozen=True)
class Trees:
    """Hyper-parameters of every forest, named as in scikit-learn.

    Attributes:
        n_estimators: trees.
        min_samples_leaf: candidates in a leaf, at least.
        max_features: the part of the features among which a branch is chosen.
    """

    n_estimators: Annotated[int, Field(ge=1, le=5000)] = 100
    min_samples_leaf: Annotated[int, Field(ge=1)] = 5
    max_features: Annotated[float, Field(gt=0, le=1)] = 0.4


@dataclass(frozen=True)
class Forest(Trees):
    """Hyper-parameters of a forest that scikit-learn fits; one that users grow together has only `Trees`'.

    Attributes:
        max_samples: candidates that a tree is grown on, at most, drawn with replacement.
    """

    max_samples: Annotated[int, Field(ge=1)] = 100_000

    def fit(self, slates: StoredSlates, loss: str, seed: int) -> "FittedForest | Constant":
        """Fit S slates: a classifier of membership for ``bce``, a regressor of 1/position for ``mse``."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        if not len(slates.candidates):
            return Constant()
        rows, position = slates.features.numpy(), slates.position.numpy()
        drawn = {"max_samples": self.max_samples if self.max_samples < len(rows) else None}  # None: all
        settings = {**vars(self), **drawn, "random_state": seed, "n_jobs": torch.get_num_threads()}
        if loss == "bce":
            return _fitted(RandomForestClassifier(**settings).fit(rows, position > 0))
        target = np.where(position > 0, 1 / np.maximum(position, 1), 0)
        return _fitted(RandomForestRegressor(**settings).fit(rows, target))


@dataclass(frozen=True)
class FittedForest:
    """A fitted forest; implements `trees.Fitted`."""

    forest: Any

    def scores(self, slates: Slates) -> Tensor:
        """(S, N) probability of membership, or expected 1/position."""
        return scores_of_rows(self._predict, slates)

    def _predict(self, rows: Tensor) -> Tensor:
        if not hasattr(self.forest, "classes_"):
            return torch.from_numpy(self.forest.predict(rows.numpy()))
        if True not in self.forest.classes_:
            return torch.zeros(len(rows))
        column = list(self.forest.classes_).index(True)
        return torch.from_numpy(self.forest.predict_proba(rows.numpy())[:, column])

    def dump(self) -> bytes:
        """One skops file, canonical: equal forests give equal bytes."""
        import skops.io

        return _canonical(skops.io.dumps(self.forest))


def load(content: bytes, name: str) -> FittedForest | Constant:
    """Read what `FittedForest.dump` gave.

    Raises:
        ModelError: it holds anything but a scikit-learn forest; ``name`` says which file it was.
    """
    import skops.io
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if content == CONSTANT:
        return Constant()
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
        if unknown:
            raise ModelError(f"{name} holds the untrusted type(s) {', '.join(unknown)}.")
        forest = skops.io.loads(content, trusted=TRUSTED)
    except ModelError:
        raise
    except Exception as error:  # a damaged zip or schema can fail in any way; none of them is trusted
        raise ModelError(f"{name} is not a readable skops file.") from error
    if not isinstance(forest, RandomForestClassifier | RandomForestRegressor):
        raise ModelError(f"{name} holds a {type(forest).__name__}, not a random forest.")
    if not all(_sound(tree.tree_, forest.n_features_in_) for tree in getattr(forest, "estimators_", [])):
        raise ModelError(f"{name} holds a tree that points outside itself or predicts no number.")
    return _fitted(forest)


def _fitted(forest: Any) -> FittedForest:
    """Scored by one thread: two would add the trees up in another order each time."""
    return FittedForest(forest.set_params(n_jobs=1))


def _sound(tree: Any, features: int) -> bool:
    """Whether following a tree stays inside it: scikit-learn does not look before it reads."""
    nodes = tree.node_count
    inside = [(child >= -1) & (child < nodes) for child in (tree.children_left, tree.children_right)]
    split = tree.children_left >= 0
    known = (tree.feature[split] >= 0) & (tree.feature[split] < features)
    return bool(np.all(inside) and known.all() and np.isfinite(tree.value).all())


def _canonical(content: bytes) -> bytes:
    """The same skops file without what differs from run to run: memory addresses as ids, and the clock."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        schema = old.read("schema.json").decode()
        found = re.findall(r'"__id__": (\d+)|"file": "(\d+)\.npy"', schema)
        number = {old_id: i for i, old_id in enumerate(dict.fromkeys(a or b for a, b in found))}
        schema = re.sub(r'"__id__": (\d+)', lambda m: f'"__id__": {number[m[1]]}', schema)
        schema = re.sub(r'"file": "(\d+)\.npy"', lambda m: f'"file": "{number[m[1]]}.npy"', schema)
        entries = {"schema.json": schema.encode()}
        entries |= {f"{number[n[:-4]]}.npy": old.read(n) for n in old.namelist() if n.endswith(".npy")}
        for name in sorted(entries):
            new.writestr(zipfile.ZipInfo(name), entries[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
