"""Defects of other implementations, put into ours: for each, a test that stands elsewhere must fail.

They are those of algorithms seen in public (personal models that are the global one in memory, adapting on
what is judged, a λ-term that is zero, …). A check is first run as it is, where it must pass.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import federated.clients
import federated.objectives
import federated.virtual_time.clock
import federated.virtual_time.roster
import ranking.metrics
from data.randomness import generator
from federated.algorithms import ALGORITHMS
from federated.clients import Clients
from federated.objectives import MAML, MoreauEnvelope, Reptile
from federated.schedules.alone import Turns
from federated.schedules.cohort import Rounds
from federated.server.flight import Flight
from federated.state import Snapshot
from federated.tasks.autograd import gradient_of
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask
from federated.training import Training
from ranking.metrics import missed, slate_metrics
from ranking.models import NeuralModel
from ranking.rankers.network import Network
from ranking.slates import Slates
from tests.contracts import test_algorithms, test_resume
from tests.federated.schedules import test_schedules
from tests.federated.virtual_time import test_clock
from tests.oracles import test_naive_twin, test_objectives
from tests.ranking import conftest, test_metrics, test_metrics_reference, test_scoring

quadratics, w, task = test_objectives.quadratics, test_objectives.w, test_naive_twin.task
network, own, slates = test_scoring.network, test_scoring.own, test_scoring.slates
make_slates = conftest.make_slates
reference_scores, reference_slates = test_metrics_reference.scores, test_metrics_reference.slates

Patch = pytest.MonkeyPatch
Inject = Callable[[Patch], None]


@pytest.fixture
def caught(monkeypatch: Patch) -> Callable[..., None]:
    """Assert that a check passes, and that it fails once the defect is there."""

    def assert_caught(inject: Inject, check: Callable[..., None], *arguments: Any) -> None:
        check(*arguments)
        with monkeypatch.context() as patch:
            inject(patch)
            with pytest.raises(AssertionError):
                check(*arguments)

    return assert_caught


Caught = Callable[..., None]


# a personal model that is the global one


def shares_memory(self: Any, task: Any, w: Tensor, data: Any, strength: Any = None) -> Tensor:
    return w


def adapts_in_place(self: Any, task: Any, w: Tensor, data: Any, strength: Any = None) -> Tensor:
    return w.sub_(0.1 * task.gradient(w, data[0]))


@pytest.mark.parametrize("defect", [shares_memory, adapts_in_place])
@pytest.mark.parametrize("objective", [MAML, MoreauEnvelope])
def test_a_personal_model_in_the_memory_of_the_global_one(
    defect: Any, objective: type, quadratics: Quadratics, w: Tensor, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(objective, "personalise", defect)

    caught(inject, test_objectives.test_inputs_and_memory_are_left_alone, quadratics, w)


@pytest.mark.parametrize("name", ["persa-fl-me", "reptile"])
def test_personal_models_that_are_views_of_the_global_one(
    name: str, board: RankingTask, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(Clients, "personalise", lambda self, w, *how: w.expand(self.number, -1))

    caught(inject, test_algorithms.test_checkerboard, ALGORITHMS[name], board)


def test_personal_figures_of_the_global_model(
    network: Network, own: Tensor, slates: Slates, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(NeuralModel, "personal_scores", NeuralModel.global_scores)

    check = test_scoring.test_a_model_ranks_personally_by_the_users_own_part_if_it_has_one
    caught(inject, check, network, own, slates)


# learning from what is judged


@pytest.mark.parametrize("name", ["persa-fl-me", "persa-fl-maml", "reptile"])
def test_adapting_on_what_is_judged(name: str, board: RankingTask, caught: Caught) -> None:
    everything = RankingTask.everything

    def inject(patch: Patch) -> None:
        def judged(self: RankingTask, users: Tensor, seed: int, most: int | None = None) -> Any:
            return everything(replace(self, train=self.validation), users, seed, most)

        patch.setattr(RankingTask, "everything", judged)

    check = test_algorithms.test_what_a_model_is_judged_on_teaches_it_nothing
    caught(inject, check, ALGORITHMS[name], board)


@pytest.mark.parametrize("name", ["fedavg", "persa-fl-me", "local"])
def test_an_optimiser_step_in_the_validation(name: str, board: RankingTask, caught: Caught) -> None:
    evaluate = RankingTask.evaluate

    def inject(patch: Patch) -> None:
        def stepping(self: RankingTask, w: Tensor) -> dict[str, float]:
            each = w if w.dim() == 2 else w.expand(8, -1)
            slope = gradient_of(self.loss, each, self.everything(torch.arange(8), 0)[0])
            w -= 0.01 * (slope if w.dim() == 2 else slope.mean(0))
            return evaluate(self, w)

        patch.setattr(RankingTask, "evaluate", stepping)

    caught(inject, test_algorithms.test_evaluation_changes_nothing, ALGORITHMS[name], board)


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


# gradients that are not those of the objective


def without_pull(self: MoreauEnvelope, task: Any, w: Tensor, batches: Any, steps: int, lam: float) -> Tensor:
    """θ and w are one object: λ (θ − w) is zero."""
    theta = w.clone()
    for _ in range(steps):
        theta = theta - self.inner_lr * task.gradient(theta, batches[0])
    return theta


def accumulating(self: MoreauEnvelope, task: Any, w: Tensor, batches: Any, steps: int, lam: float) -> Tensor:
    """Gradients are set to zero before the inner loop, not in it."""
    theta, summed = w.clone(), torch.zeros_like(w)
    for _ in range(steps):
        summed = summed + task.gradient(theta, batches[0]) + lam * (theta - w)
        theta = theta - self.inner_lr * summed
    return theta


@pytest.mark.parametrize("defect", [without_pull, accumulating])
def test_a_wrong_inner_loop(
    defect: Any, quadratics: Quadratics, w: Tensor, task: RankingTask, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(MoreauEnvelope, "_minimise", defect)
        patch.setattr(MoreauEnvelope, "descent", lambda self, lr, steps: None)

    caught(inject, test_objectives.test_moreau, quadratics, w, "same")
    caught(inject, test_naive_twin.test_stacked_updates_equal_a_loop_over_clients, MoreauEnvelope(), task)


@pytest.mark.parametrize(
    "defect", [{"pull": 0.0}, {"steps": 1}, {"tolerance": 1e3}, {"laps": 1}, {"way": 1.0}]
)
def test_local_steps_as_one_descent_of_another_kind(
    defect: dict[str, float], task: RankingTask, caught: Caught
) -> None:
    descent = MoreauEnvelope.descent

    def inject(patch: Patch) -> None:
        patch.setattr(MoreauEnvelope, "descent", lambda self, *how: replace(descent(self, *how), **defect))

    caught(inject, test_naive_twin.test_stacked_updates_equal_a_loop_over_clients, MoreauEnvelope(), task)


def test_personal_steps_that_accumulate_gradients(quadratics: Quadratics, w: Tensor, caught: Caught) -> None:
    def inject(patch: Patch) -> None:
        def personalise(self: MAML, task: Any, w: Tensor, data: Any, strength: Any = None) -> Tensor:
            summed = torch.zeros_like(w)
            for _ in range(self.maml_steps):
                summed = summed + task.gradient(w, data[0])
                w = w - self.alpha * summed
            return w

        patch.setattr(MAML, "personalise", personalise)

    caught(inject, test_objectives.test_maml_personalises, quadratics, w, 3)


def curved(
    self: MAML, task: Any, w: Tensor, batches: Any, at: Callable[[list[Tensor], int], Tensor]
) -> Tensor:
    """`MAML.gradient`, with the Hessian of step r taken ``at`` some point of the path."""
    path = [w]
    for r in range(self.maml_steps):
        path.append(path[r] - self.alpha * task.gradient(path[r], batches[r]))
    v = task.gradient(path[-1], batches[self.maml_steps])
    for r in reversed(range(self.maml_steps)):
        batch = batches[self.maml_steps + 1 + r]
        v = v - self.alpha * self._hessian_times(task, at(path, r), v, batch)
    return v


@pytest.mark.parametrize("place", ["there", "adapted"])
def test_a_hessian_at_the_adapted_point(
    place: str, board: RankingTask, task: RankingTask, monkeypatch: Patch, caught: Caught
) -> None:
    """Quadratics cannot tell: their Hessian is the same everywhere. The right place, as a control, passes."""

    def inject(patch: Patch) -> None:
        def gradient(self: MAML, task: Any, w: Tensor, batches: Any, read: Tensor) -> Tensor:
            return curved(self, task, w, batches, lambda path, r: path[r if place == "there" else -1])

        patch.setattr(MAML, "gradient", gradient)

    differences = (
        test_objectives.test_maml_gradient_of_a_network_is_the_finite_difference_of_its_objective,
        board,
    )
    twin = (test_naive_twin.test_stacked_updates_equal_a_loop_over_clients, MAML(0.01), task)
    for check, *arguments in (differences, twin):
        if place == "adapted":
            caught(inject, check, *arguments)
        else:
            inject(monkeypatch)
            check(*arguments)


def test_first_order_steps_that_never_return_to_where_they_began(
    quadratics: Quadratics, w: Tensor, task: RankingTask, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        def gradient(self: MAML, task: Any, w: Tensor, batches: Any, read: Tensor) -> Tensor:
            for r in range(self.maml_steps):
                w -= self.alpha * task.gradient(w, batches[r])
            return task.gradient(w, batches[self.maml_steps])

        patch.setattr(MAML, "gradient", gradient)

    first = MAML(0.01, curvature="first-order")
    caught(inject, test_naive_twin.test_stacked_updates_equal_a_loop_over_clients, first, task)
    caught(inject, test_objectives.test_inputs_and_memory_are_left_alone, quadratics, w)


def test_first_order_under_the_name_of_the_exact_one(
    quadratics: Quadratics, w: Tensor, board: RankingTask, task: RankingTask, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(MAML, "_hessian_times", lambda self, task, w, v, batch: torch.zeros_like(v))

    for curvature in ("exact", "finite-difference"):
        caught(inject, test_objectives.test_maml, quadratics, w, 1, curvature)
    caught(
        inject,
        test_objectives.test_maml_gradient_of_a_network_is_the_finite_difference_of_its_objective,
        board,
    )
    caught(inject, test_naive_twin.test_stacked_updates_equal_a_loop_over_clients, MAML(0.01), task)


def test_reptile_that_forgets_its_personal_steps(board: RankingTask, caught: Caught) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(Reptile, "personalise", lambda self, task, w, data, strength: w.clone())

    caught(inject, test_algorithms.test_checkerboard, ALGORITHMS["reptile"], board)


# randomness


def same_for_every_seed(seed: int, purpose: str, *counters: int) -> Any:
    return generator(0, purpose, *counters)


def same_for_every_update(seed: int, purpose: str, user: int, *counters: int) -> Any:
    return generator(seed, purpose, user, 0)


@pytest.mark.parametrize("defect", [same_for_every_seed, same_for_every_update])
def test_batches_that_ignore_their_key(defect: Any, task: RankingTask, caught: Caught) -> None:
    def together(seed: int, purpose: str, counters: Any) -> list[Any]:
        return [defect(seed, purpose, *key) for key in counters.tolist()]

    def inject(patch: Patch) -> None:
        patch.setattr(federated.clients, "generators", together)

    check = test_naive_twin.test_stacked_updates_equal_a_loop_over_clients
    caught(inject, check, ALGORITHMS["fedavg"].objective, task)


def test_delays_that_ignore_the_seed(caught: Caught) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(federated.virtual_time.clock, "generator", same_for_every_seed)

    caught(inject, test_clock.test_laws_have_their_mean_and_spread, "exponential")


def test_turns_that_ignore_the_seed(caught: Caught) -> None:
    order = federated.virtual_time.roster._order

    def inject(patch: Patch) -> None:
        patch.setattr(federated.virtual_time.roster, "_order", lambda users, seed, at: order(users, 0, at))

    caught(inject, test_schedules.test_turns_are_permutations_and_count)


# checkpoints without all of the state

FORGOTTEN: dict[str, tuple[type, str, Any, str]] = {
    "which turn it is": (Turns, "turn", 0, "local"),
    "which turn it is of the pool": (Turns, "turn", 0, "pooled"),
    "whose turn it is": (Flight, "taken", 0, "persa-fl"),
    "who was passed over": (Flight, "waiting", [], "persa-fl"),
    "who is under way, and since when": (Flight, "version", 0, "persa-fl-me"),
    "whose turn it is in a cohort": (Rounds, "taken", 0, "fedavg"),
    "who was away when a cohort met": (Rounds, "waiting", [], "cohort and away"),
    "what time it is": (Rounds, "time", 0.0, "fedavg"),
}


@pytest.mark.parametrize(("state", "name", "value", "row"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_checkpoint_that_forgets(
    state: type, name: str, value: Any, row: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    check, pack = test_resume.test_an_unpacked_training_ends_with_the_same_bits, state.pack
    check(row, board, tmp_path / "whole")

    def forgetful(self: Any) -> Snapshot:
        packed = pack(self)
        assert name in packed.plain, "else nothing is forgotten"
        return Snapshot(packed.tensors, {**packed.plain, name: value})

    monkeypatch.setattr(state, "pack", forgetful)
    with pytest.raises(AssertionError, match=r"^(?!else nothing)"):
        check(row, board, tmp_path / "forgetful")


@pytest.mark.parametrize("what", ["the updates", "whose they are"])
def test_a_checkpoint_that_forgets_the_buffer(
    what: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    """It holds something only where updates are refused between two merges."""
    pack = Flight.pack

    def forgetful(self: Flight) -> Snapshot:
        packed = pack(self)
        if what == "whose they are":
            return Snapshot(packed.tensors, {**packed.plain, "held": []})
        return Snapshot({n: t for n, t in packed.tensors.items() if n != "buffer"}, packed.plain)

    monkeypatch.setattr(Flight, "pack", forgetful)
    with pytest.raises(AssertionError):
        test_resume.test_resuming_after_every_event_changes_nothing(
            "not too stale, a buffer", board, tmp_path
        )


@pytest.mark.parametrize("name", ["done", "version"])
def test_a_checkpoint_that_forgets_its_counts(
    name: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    pack = Training.pack

    def forgetful(self: Training) -> Snapshot:
        packed = pack(self)
        return Snapshot(packed.tensors, {**packed.plain, "training": {**packed.plain["training"], name: 0}})

    monkeypatch.setattr(Training, "pack", forgetful)
    with pytest.raises(AssertionError):
        test_resume.test_an_unpacked_training_ends_with_the_same_bits("persa-fl", board, tmp_path)


# metrics with one mask for a whole batch


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
