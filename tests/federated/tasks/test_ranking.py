"""The main job where most candidates are not wanted, as in logs."""

import pytest
import torch

import federated.tasks.ranking
from federated.algorithms import ALGORITHMS
from federated.events import Evaluated
from federated.tasks.ranking import RankingTask
from federated.training import train
from ranking.losses import LOSSES, POINTWISE
from ranking.rankers.mlp import MLP
from ranking.slates import StoredSlates

USERS, SLATES, CANDIDATES = 20, 10, 50


def one_wanted_in_fifty(loss: str) -> RankingTask:
    """The wanted candidate has the greatest first feature; the others say nothing."""
    draw = torch.Generator().manual_seed(0)
    number = USERS * SLATES
    features = torch.rand(number, CANDIDATES, 4, generator=draw)
    wanted = features[..., 0].argmax(1)
    position = torch.nn.functional.one_hot(wanted, CANDIDATES).to(torch.int16)
    slates = StoredSlates(
        offsets=torch.arange(number + 1) * CANDIDATES,
        features=features.flatten(0, 1),
        candidates=torch.zeros(number * CANDIDATES, dtype=torch.int32),
        position=position.flatten(),
        wanted=torch.ones(number, dtype=torch.int16),
        user=torch.arange(USERS).repeat_interleave(SLATES),
        typed=torch.zeros(number, dtype=torch.int16),
        widest=CANDIDATES,
    )
    return RankingTask.of(MLP().network(4, [""]), loss, slates, slates, USERS)


def learned(loss: str) -> float:
    """The best NMRR in 1,000 updates of the default algorithm."""
    events = train(one_wanted_in_fifty(loss), ALGORITHMS["persa-fl-ditto"], 0, updates=1000, evaluations=2)
    return max(event.metrics["nmrr"] for event in events if isinstance(event, Evaluated))


@pytest.mark.parametrize(("loss", "least"), [("bce", 0.8), ("mse", 0.4), ("softmax", 0.8), ("listmle", 0.8)])
def test_every_loss_learns_with_the_default_algorithm(loss: str, least: float) -> None:
    assert learned(loss) > least


def test_a_squared_error_that_begins_at_one_half_falls_where_it_has_no_slope(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why scores begin elsewhere: the server's Adam takes them all down together."""
    monkeypatch.setattr(federated.tasks.ranking, "RARE", 0.0)
    assert learned("mse") < 0.1


def test_scores_begin_near_a_chance_of_a_twentieth_where_candidates_are_judged_one_by_one() -> None:
    layout = MLP().network(4, [""]).layout
    plain = layout.initial(torch.Generator().manual_seed(7))
    for loss in LOSSES:
        moved = one_wanted_in_fifty(loss).initial(7) - plain
        assert moved.tolist() == [0.0] * (len(plain) - 1) + [
            pytest.approx(-3.0 if loss in POINTWISE else 0.0)
        ]
