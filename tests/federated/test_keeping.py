"""A training ends with its last model, or with the one that was best on validation: whole, and resumable."""

from pathlib import Path

import pytest
import torch

from federated import checkpoint
from federated.algorithms import ALGORITHMS
from federated.events import Evaluated, Event, Finished
from federated.keeping import Best, better
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import learned
from federated.training import Training

SEED, UPDATES, EVALUATIONS = 2, 64, 8
ROWS = ["fedavg", "fedbuff", "persa-fl-me", "local", "pooled", "push-sum", "pars-push-me", "memrl"]
rows = pytest.mark.parametrize("name", ROWS)
W = torch.zeros(3)


def training(task: RankingTask, name: str, best_by: str | None, evaluations: int = EVALUATIONS) -> Training:
    row = ALGORITHMS[name]
    return Training(learned(task, row.policy), row, SEED, UPDATES, evaluations, best_by=best_by)


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def judged(events: list[Event], by: str) -> list[tuple[int, float]]:
    return [(event.updates, event.metrics[by]) for event in events if isinstance(event, Evaluated)]


def assert_same_models(a: Finished, b: Finished) -> None:
    assert torch.equal(a.learned, b.learned)
    assert (a.adapted is None) == (b.adapted is None)
    assert a.adapted is None or b.adapted is None or torch.equal(a.adapted, b.adapted)


# which of two


def test_the_greater_figure_is_the_better_one_and_of_equals_the_earlier() -> None:
    first = better(None, W, 10, {"loss": 9.0, "nmrr": 0.5}, "nmrr")
    assert first is not None
    assert (first.updates, first.figure) == (10, 0.5)
    assert first.w is W
    assert better(first, W + 1, 20, {"loss": 0.0, "nmrr": 0.5}, "nmrr") is first
    assert better(first, W + 1, 20, {"loss": 0.0, "nmrr": 0.4}, "nmrr") is first
    second = better(first, W + 1, 20, {"loss": 0.0, "nmrr": 0.51}, "nmrr")
    assert second is not None
    assert second.updates == 20
    assert torch.equal(second.w, W + 1)


def test_what_is_no_number_is_never_better() -> None:
    nan = {"nmrr": float("nan")}
    assert better(None, W, 1, nan, "nmrr") is None
    best = Best(W, 1, -1.0)
    assert better(best, W, 2, nan, "nmrr") is best


# whole trainings


@rows
def test_the_best_is_the_model_of_that_moment_and_own_models_are_made_from_it(
    name: str, board: RankingTask
) -> None:
    """A training that is stopped there ends with the same bits."""
    by = "loss"  # with this seed greatest in an early model, so that the best is not the last
    events = list(training(board, name, by).events())
    seen = judged(events, by)
    place = max(range(len(seen)), key=lambda at: (seen[at][1], -at))
    end = finished(events)
    assert end.best is not None
    assert (end.best.updates, end.best.figure) == seen[place]
    assert end.best.updates < end.updates == seen[-1][0]
    stopped: list[Event] = []

    def there() -> bool:
        return bool(stopped) and stopped[-1].updates >= seen[place][0]

    for event in training(board, name, None).events(there):
        stopped.append(event)
    assert_same_models(end, finished(stopped))
    assert finished(stopped).best is None


@rows
def test_looking_for_the_best_changes_nothing_that_is_learned(name: str, board: RankingTask) -> None:
    last, best = (list(training(board, name, by).events()) for by in (None, "nmrr"))
    assert last[:-1] == best[:-1]
    assert finished(last).best is None


@rows
def test_where_nothing_is_judged_the_last_one_is_kept(name: str, board: RankingTask) -> None:
    asked, not_asked = (finished(list(training(board, name, by, 0).events())) for by in ("nmrr", None))
    assert asked.best is None
    assert_same_models(asked, not_asked)


@rows
def test_resumed_after_every_event_it_ends_with_the_same_best(
    name: str, board: RankingTask, tmp_path: Path
) -> None:
    whole = list(training(board, name, "loss").events())
    now, seen = training(board, name, "loss"), []
    while not (seen and isinstance(seen[-1], Finished)):
        seen.append(next(now.events()))
        checkpoint.save(tmp_path, len(seen), now.pack())
        snapshot, _ = checkpoint.load(tmp_path)
        assert snapshot is not None
        now = training(board, name, "loss")
        now.unpack(snapshot)
    assert seen[:-1] == whole[:-1]
    resumed, unbroken = finished(seen), finished(whole)
    assert_same_models(resumed, unbroken)
    assert resumed.best is not None
    assert unbroken.best is not None
    assert (resumed.best.updates, resumed.best.figure) == (unbroken.best.updates, unbroken.best.figure)


def test_a_training_packed_before_anything_was_judged_has_no_best(board: RankingTask) -> None:
    first = training(board, "fedavg", "nmrr")
    other = training(board, "fedavg", "nmrr")
    other.unpack(first.pack())
    assert Best.unpack(other.pack()) is None
