"""TREC's formats: what was wanted (qrels), and ranked lists (runs), as trec_eval and ir-measures read them.

There are two files of qrels. In the one a slate has one relevant document, the user's own choice r_1: with
it ``RR@10`` and ``Success@10`` are our MRR@10 and Success@10. In the other all of the reference is relevant,
graded m for r_1 down to 1 for r_m. What was wanted but is not in the pool stands in both, as
``outside-PLACE``, which no run has: so a miss scores 0.
"""

from pathlib import Path
from typing import IO

import numpy as np

from app.reports.exports.lines import text, write_lines
from data.arrays import Int, ranges
from ranking.ordering import Lists
from ranking.slates import StoredSlates

CHOICE, REFERENCE = "qrels.trec", "qrels-reference.trec"
OUTSIDE = "outside-"
"""How documents are called that were wanted, but are not in the pool; the place in the reference follows."""


def run_name(ranking: str) -> str:
    """The file of a ranking."""
    return f"run-{ranking}.trec"


def write_run(file: IO[str], ranked: Lists, numbers: Int, name: str) -> None:
    """Write some lists; ``numbers`` (S,) are those of the slates, and ``name`` is the ranking's."""
    qid = text(numbers[ranked.slate])
    write_lines(file, qid, "Q0", text(ranked.candidate), text(ranked.rank), text(ranked.score), name)


def write_qrels(folder: Path, slates: StoredSlates, numbers: Int) -> None:
    """Write both files of qrels of S slates, whose ``numbers`` (S,) are."""
    wanted = slates.wanted.numpy().astype(np.int64)
    begin = np.cumsum(wanted) - wanted
    slate = np.repeat(np.arange(len(wanted)), wanted)
    place = ranges(np.ones(len(wanted)), wanted)
    documents = np.char.add(OUTSIDE, place.astype(str)).astype(object)
    position = slates.position.numpy().astype(np.int64)
    member = np.flatnonzero(position)
    of = np.repeat(np.arange(len(wanted)), slates.offsets.diff().numpy())[member]
    documents[begin[of] + position[member] - 1] = slates.candidates.numpy()[member].astype(str)
    for name, rows in ((CHOICE, begin), (REFERENCE, np.arange(len(slate)))):
        grade = np.ones(len(rows), np.int64) if name == CHOICE else wanted[slate] + 1 - place
        with (folder / name).open("w") as file:
            write_lines(file, text(numbers[slate[rows]]), "0", text(documents[rows]), text(grade))
