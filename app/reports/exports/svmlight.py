"""SVMlight with queries: features and grades, as LightGBM, XGBoost, RankLib and scikit-learn read them.

Zeros are left out, but for the last feature in the first line, by which every reader finds how many there
are. A comment says whose slate it is and which query the candidate is.
"""

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from app.reports.exports.lines import text, write_lines
from data.arrays import Int
from data.feature_sets import HIGHEST_GRADE
from data.progress import Tell
from ranking.slates import StoredSlates

TOGETHER = 500
"""Slates written at once."""

WRITING = "writing"
"""What it is called where its progress is shown."""


def write_svmlight(
    path: Path, slates: StoredSlates, numbers: Int, users: list[str], base: int, order: Int, tell: Tell
) -> None:
    """Write slates; those with an empty pool have no line.

    Args:
        path: the file.
        slates: S of them.
        numbers: (S,) theirs, which become qids.
        users: names of all.
        base: number of the first feature, 1 or 0.
        order: (S,) in which order they are written.
        tell: is told how far it is.
    """
    names = pa.array([f"user:{_one_word(name)}" for name in users], pa.string())
    whose = np.asarray(slates.user)
    with path.open("w", encoding="utf-8") as file:
        for begin in range(0, len(order), TOGETHER):
            tell(WRITING, begin, len(order))
            some = order[begin : begin + TOGETHER]
            part = slates.subset(torch.from_numpy(some))
            size = part.offsets.diff().numpy()
            write_lines(
                file,
                text(grades(part)),
                pc.binary_join_element_wise("qid", text(np.repeat(numbers[some], size)), ":"),
                _pairs(part.features.numpy(), base, first=file.tell() == 0),
                "#",
                names.take(pa.array(np.repeat(whose[some], size))),
                pc.binary_join_element_wise("docid", text(part.candidates.numpy()), ":"),
            )
    tell(WRITING, len(order), len(order))


def grades(slates: StoredSlates) -> Int:
    """(R,) the grades of candidates; without any m for the first of a reference, down to 1 for its last."""
    if slates.grade is not None:
        return slates.grade.numpy().astype(np.int64)
    position = slates.position.numpy().astype(np.int64)
    wanted = np.repeat(slates.wanted.numpy().astype(np.int64), slates.offsets.diff().numpy())
    found: Int = np.where(position > 0, np.maximum(np.minimum(wanted, HIGHEST_GRADE) + 1 - position, 1), 0)
    return found


def _pairs(features: np.ndarray, base: int, first: bool) -> pa.Array:
    """(R,) what stands in each line for the features (R, F)."""
    named = features != 0
    if first and len(named):
        named[0, -1] = True
    row, feature = np.nonzero(named)
    pairs = pc.binary_join_element_wise(text(feature + base), text(features[row, feature]), ":")
    ends = np.append(0, np.cumsum(named.sum(1))).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), pairs), " ")


def _one_word(name: str) -> str:
    """A name without blanks: they are written %20, as in addresses, and % itself %25."""
    return re.sub(r"[\s%]", lambda found: quote(found[0]), name)
