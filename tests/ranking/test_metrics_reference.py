"""Metrics against ir-measures, which knows nothing of this project; scores are without ties."""

import warnings
from collections.abc import Iterable

import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what libraries do while they are imported is theirs
    import ir_measures
from ir_measures import RR, P, Success

from ranking.metrics import slate_metrics
from ranking.slates import Slates

SLATES, WIDTH = 120, 30


@pytest.fixture(scope="module")
def slates(make_slates) -> Slates:
    """Pools of 3 to 30 with references of 1 to 12, a third of them partly outside the pool."""
    rng = np.random.default_rng(0)
    places, wanted = [], []
    for _ in range(SLATES):
        size, m = rng.integers(3, WIDTH + 1), rng.integers(1, 13)
        pool = np.concatenate([np.arange(1, m + 1), np.zeros(size, dtype=int)])
        places.append(rng.permutation(pool)[:size].tolist())
        wanted.append(int(m))
    return make_slates(places, wanted, width=WIDTH)


@pytest.fixture(scope="module")
def scores() -> torch.Tensor:
    draws = [np.random.default_rng(s).permutation(WIDTH) for s in range(SLATES)]
    return torch.tensor(np.array(draws), dtype=torch.float32)


def judged(
    measure: object, scores: torch.Tensor, slates: Slates, relevant: torch.Tensor, of: Iterable[int]
) -> list[float]:
    """ir-measures' figure of the slates ``of``, with the candidates marked in ``relevant`` (S, N)."""
    qrels, run = [], []
    for s in of:
        for c in slates.mask[s].nonzero().squeeze(1).tolist():
            qrels.append(ir_measures.Qrel(str(s), str(c), int(relevant[s, c])))
            run.append(ir_measures.ScoredDoc(str(s), str(c), float(scores[s, c])))
    found = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
    return [found[str(s)] for s in of]


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize(("name", "measure"), [("mrr", RR), ("success", Success)])
def test_the_users_own_choice(scores, slates, name, measure, k):
    found = slate_metrics(scores, slates, k)[f"{name}@{k}"]
    expected = judged(measure @ k, scores, slates, slates.position == 1, range(SLATES))
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert 0 < found.mean() < 1


@pytest.mark.parametrize("k", [1, 3, 10])
def test_plain_accuracy_is_precision_at_the_shorter_of_cutoff_and_reference(scores, slates, k):
    found = slate_metrics(scores, slates, k)[f"plain_accuracy@{k}"]
    cuts = slates.wanted.clamp(max=k)
    for cut in cuts.unique().tolist():
        of = (cuts == cut).nonzero().squeeze(1)
        head = (slates.position > 0) & (slates.position <= cut)
        expected = judged(P @ cut, scores, slates, head, of.tolist())
        assert found[of].tolist() == pytest.approx(expected, abs=1e-6)


def test_nmrr_of_a_single_reference_is_the_reciprocal_rank(scores, slates):
    single = slates[(slates.wanted == 1).nonzero().squeeze(1)]
    of = range(len(single))
    expected = judged(RR, scores[: len(single)], single, single.position > 0, of)
    assert slate_metrics(scores[: len(single)], single)["nmrr"].tolist() == pytest.approx(expected, abs=1e-6)
    assert len(single) >= 5
