"""What a dataset looks like: how searches are spread over users, and how often what is wanted is on offer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.card import SlateFigures, card
from data.schema import Dataset, column
from ranking.sources import earlier

BARS = 20
"""In a picture, at most."""


@dataclass(frozen=True)
class Bars:
    """A bar chart.

    Attributes:
        title: what it shows.
        across: what is told apart, e.g. "searches".
        upward: what the bars count, e.g. "users".
        bars: a label and a height each.
        told: what it says, in a sentence.
    """

    title: str
    across: str
    upward: str
    bars: list[tuple[str, float]]
    told: str


def distributions(dataset: Dataset) -> tuple[dict[str, Any], list[Bars]]:
    """A dataset's card, and its pictures."""
    figures = SlateFigures()
    for batch in dataset.slates.to_batches(max_chunksize=65_536):
        figures.see(pa.Table.from_batches([batch]))
    user = column(dataset.events, "user_id")
    each = np.bincount(user, minlength=dataset.users.num_rows)
    before = earlier(user, column(dataset.events, "timestamp"))
    pictures = [
        _spread("Searches per user", "searches", "users", each),
        _spread("Earlier searches at each search", "own searches before", "searches", before),
        _spread("Suggestions on offer", "size of the pool", "searches", figures.of_each("pool_size")),
        _hits(figures),
    ]
    return card(dataset, figures), pictures


def _spread(title: str, across: str, upward: str, values: NDArray[Any]) -> Bars:
    """How whole numbers are spread; each bar stands for as many of them."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // BARS)
    counts = np.bincount((values - low) // width, minlength=(high - low) // width + 1)
    bars = []
    for number, counted in enumerate(counts.tolist()):
        first = low + number * width
        bars.append((str(first) if width == 1 else f"{first}–{first + width - 1}", float(counted)))
    middle = np.median(values)
    return Bars(
        title, across, upward, bars, f"From {low:,} to {high:,}; half of them {middle:,.0f} or fewer."
    )


def _hits(figures: SlateFigures) -> Bars:
    """How often what is wanted is on offer, by the characters that had been typed."""
    typed, found = figures.of_each("prefix_length"), figures.found()
    lengths = np.unique(typed)
    bars = [(f"{length}", float(found[typed == length].mean())) for length in lengths[:BARS].tolist()]
    told = f"In {found.mean():.1%} of all searches what was searched for is among the suggestions on offer."
    return Bars("Hit rate by characters typed", "characters typed", "share of searches", bars, told)
