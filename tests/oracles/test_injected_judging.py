"""Defects of judging, put into ours: for each, a test that stands elsewhere must fail."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

import ranking.metrics
from ranking.metrics import missed, slate_metrics
from ranking.models import NeuralModel
from ranking.rankers.network import Network
from ranking.slates import Slates
from tests.ranking import conftest, test_metrics, test_metrics_reference, test_scoring

network, own, slates = test_scoring.network, test_scoring.own, test_scoring.slates
make_slates = conftest.make_slates
reference_scores, reference_slates = test_metrics_reference.scores, test_metrics_reference.slates

Patch = pytest.MonkeyPatch
Caught = Callable[..., None]


def test_personal_figures_of_the_global_model(
    network: Network, own: Tensor, slates: Slates, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(NeuralModel, "personal_scores", NeuralModel.global_scores)

    check = test_scoring.test_a_model_ranks_personally_by_the_users_own_part_if_it_has_one
    caught(inject, check, network, own, slates)


def test_an_optimiser_step_in_the_scoring(
    network: Network, own: Tensor, slates: Slates, caught: Caught
) -> None:
    scores = test_scoring.network_scores

    def inject(patch: Patch) -> None:
        def stepping(network: Network, w: Tensor, slates: Slates) -> Tensor:
            w.data -= 0.01
            return scores(network, w, slates)

        patch.setattr(test_scoring, "network_scores", stepping)

    check = test_scoring.test_scoring_changes_neither_models_nor_slates_and_builds_no_graph
    caught(inject, check, network, own, slates)


def test_scores_that_have_seen_the_answers(
    network: Network, own: Tensor, slates: Slates, caught: Caught
) -> None:
    scores = NeuralModel.personal_scores

    def inject(patch: Patch) -> None:
        patch.setattr(NeuralModel, "personal_scores", lambda self, s: scores(self, s) + (s.position > 0))

    check = test_scoring.test_a_model_ranks_personally_by_the_users_own_part_if_it_has_one
    caught(inject, check, network, own, slates)


def test_a_slate_without_a_positive_that_scores_1(make_slates: Any, caught: Caught) -> None:
    """Only a batch of nothing but misses is masked."""

    def inject(patch: Patch) -> None:
        def masked(scores: Tensor, slates: Slates, k: int = 10) -> dict[str, Tensor]:
            none = missed(slates)
            blank = none & ~none.all()
            return {name: v.masked_fill(blank, 1.0) for name, v in slate_metrics(scores, slates, k).items()}

        patch.setattr(test_metrics, "slate_metrics", masked)

    caught(inject, test_metrics.test_a_miss_scores_0_and_is_counted_alone_and_in_a_batch, make_slates)


def test_one_mask_for_all_slates_of_a_batch(
    reference_scores: Tensor, reference_slates: Slates, caught: Caught
) -> None:
    """Padding of one slate takes part where another has a candidate."""
    places = ranking.metrics._places

    def inject(patch: Patch) -> None:
        def together(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            return places(scores, mask.any(0).expand_as(mask))

        patch.setattr(ranking.metrics, "_places", together)

    check = test_metrics_reference.test_the_users_own_choice
    caught(inject, check, reference_scores, reference_slates, "mrr", test_metrics_reference.RR, 10)
