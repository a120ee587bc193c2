"""The table of rankers. To add one, write a file beside these and add its row here."""

from typing import NamedTuple

from ranking.rankers import forest, lightgbm
from ranking.rankers.forest import Forest
from ranking.rankers.lightgbm import LightGBM
from ranking.rankers.mlp import MLP
from ranking.rankers.mlp_cnn import MLPCNN

Ranker = Forest | LightGBM | MLP | MLPCNN


class Row(NamedTuple):
    """A ranker's default hyper-parameters and the losses it can be trained with, the default first.

    ``reads_text``: whether it needs the texts of queries, which imported features come without.
    """

    ranker: Ranker
    losses: tuple[str, ...]
    summary: str
    reads_text: bool = False


RANKERS: dict[str, Row] = {
    "forest": Row(Forest(), ("bce", "mse"), "random forest (scikit-learn)"),
    "lightgbm": Row(LightGBM(), ("lambdarank", "bce", "mse", "softmax"), "boosted trees (LightGBM)"),
    "mlp": Row(MLP(), ("listmle", "softmax", "bce", "mse"), "multi-layer perceptron over features"),
    "mlp-cnn": Row(MLPCNN(), ("listmle", "softmax", "bce", "mse"), "the same beside a character CNN", True),
}
TREES = {"forest": forest, "lightgbm": lightgbm}
"""The modules of rankers that are fitted on slates; the others are trained by gradients."""
