"""What a report says of metrics is what these compute."""

import pytest
import torch

from app.reports.pages.words import meanings
from ranking.metrics import slate_metrics
from ranking.slates import Slates

K = 3


def as_said(wanted: list[int], k: int, weigh: bool) -> float:
    """Accuracy by the words: ``wanted[p]`` is 1 where place p + 1 is wanted most, 2 next."""
    m = sum(position > 0 for position in wanted)
    places = range(1, min(k, m) + 1)
    weights = {place: 1 / place if weigh else 1.0 for place in places}
    filled = [place for place in places if 0 < wanted[place - 1] <= len(places)]
    return sum(weights[place] for place in filled) / sum(weights.values())


def slate_of(wanted: list[int]) -> Slates:
    """One slate of candidates without features."""
    size = len(wanted)
    return Slates(
        features=torch.zeros(1, size, 1),
        mask=torch.ones(1, size, dtype=torch.bool),
        position=torch.tensor([wanted], dtype=torch.int16),
        wanted=torch.tensor([max(wanted)], dtype=torch.int16),
        user=torch.zeros(1, dtype=torch.int64),
        candidates=torch.arange(size, dtype=torch.int32)[None],
        typed=torch.ones(1, dtype=torch.int16),
    )


@pytest.mark.parametrize(
    "wanted",
    [
        [0, 1, 0, 0, 0],  # the only one, in place 2: within k places, and yet nothing
        [1, 0, 0, 0, 0],
        [2, 0, 1, 0, 0],  # of the first two places, the first counts
        [0, 4, 2, 1, 3],  # the fourth is none of the three most wanted
    ],
)
def test_accuracies_are_what_is_said(wanted: list[int]) -> None:
    metrics = slate_metrics(torch.arange(5.0).flip(0)[None], slate_of(wanted), K)
    assert float(metrics[f"accuracy@{K}"]) == pytest.approx(as_said(wanted, K, weigh=True))
    assert float(metrics[f"plain_accuracy@{K}"]) == pytest.approx(as_said(wanted, K, weigh=False))
    if sum(position > 0 for position in wanted) == 1:
        assert metrics[f"accuracy@{K}"] == metrics[f"plain_accuracy@{K}"] == metrics["success@1"]


def test_the_words_name_the_rule() -> None:
    told = dict(meanings([f"accuracy@{K}", f"plain_accuracy@{K}"]))
    weighted, plain = told["accuracy@3"], told["plain accuracy@3"]
    assert (
        "the first 3 places, or of as many places as suggestions were wanted if these are fewer" in weighted
    )
    for words in (weighted, plain):
        assert "Where one suggestion was wanted" in words
        assert "Success@1" in words
