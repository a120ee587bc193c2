"""Defects of other implementations, put into ours: for each, a test that stands elsewhere must fail.

They are those of algorithms seen in public (personal models that are the global one in memory, adapting on
what is judged, a λ-term that is zero, …). A check is first run as it is, where it must pass.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import federated.clients
import federated.objectives
import federated.virtual_time.clock
import federated.virtual_time.roster
from data.randomness import generator
from federated.algorithms import ALGORITHMS
from federated.clients import Clients
from federated.objectives import MAML, MoreauEnvelope, Reptile
from federated.tasks.autograd import gradient_of
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask
from tests.contracts import test_algorithms
from tests.federated.schedules import test_schedules
from tests.federated.virtual_time import test_clock
from tests.oracles import test_naive_twin, test_objectives

quadratics, w, task = test_objectives.quadratics, test_objectives.w, test_naive_twin.task

Patch = pytest.MonkeyPatch
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


@pytest.mark.parametrize("name", ["persa-fl-me", "persa-fl-maml", "reptile"])
def test_personal_models_that_are_views_of_the_global_one(
    name: str, board: RankingTask, caught: Caught
) -> None:
    def inject(patch: Patch) -> None:
        patch.setattr(Clients, "personalise", lambda self, w, *how: w.expand(self.number, -1))

    caught(inject, test_algorithms.test_checkerboard, ALGORITHMS[name], board)


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
