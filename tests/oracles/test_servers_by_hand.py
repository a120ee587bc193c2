"""Each server's rule, and how clients walk through their data, once more by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from federated.algorithms import ALGORITHMS
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Proximal, Reptile, Vanilla
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.staleness import weight
from federated.tasks import Chance
from federated.tasks.quadratics import Quadratics
from tests.oracles.test_reductions import LOCAL, final, merges, quadratics


def steps_alone(task: Quadratics, users: tuple[int, ...], w: Tensor, steps: int, lr: float) -> Tensor:
    """Where so many exact gradient steps lead from w (P,) or (C, P): c + (I − ηH)^Q (w − c)."""
    chosen = torch.tensor(users)
    shrink = torch.linalg.matrix_power(torch.eye(4) - lr * task.curvature[chosen], steps)
    centre = task.centre[chosen]
    return centre + torch.einsum("cpq,cq->cp", shrink, w - centre)


@pytest.mark.parametrize("buffer", [1, 3])
def test_a_buffer_merges_the_mean_of_its_weighted_updates(buffer: int) -> None:
    """w ← w − (β/K) Σ (τ_i + 1)^−½ Δ_i, each Δ_i from the version that its user read."""
    task = quadratics(6, noise=0)
    schedule = Arrivals(concurrency=6, buffer=buffer, server_lr=0.8, weighting="polynomial")
    versions = [task.initial(0)]
    for merge in merges(schedule, Clients(task, Vanilla(), LOCAL, 0), versions[0], 40):
        w = versions[-1]
        for user, late in zip(merge.users, merge.staleness, strict=True):
            read = versions[len(versions) - 1 - late]
            delta = read - steps_alone(task, (user,), read, 3, 0.05)[0]
            w = w - 0.8 / buffer * (late + 1) ** -0.5 * delta
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)
        versions.append(w)


WEIGHTS = {
    "constant": lambda late: 0.6,
    "polynomial": lambda late: 0.6 / (late + 1) ** 0.9,
    "hinge": lambda late: 0.6 if late <= 2 else 0.6 / (3.0 * (late - 2) + 1),
}


@pytest.mark.parametrize("weighting", WEIGHTS)
def test_fedasync_mixes_whole_models(weighting: str) -> None:
    """w ← (1 − a) w + a w_i with a = β s(τ), against a loop with closed local steps."""
    task = quadratics(6, noise=0)
    law = {"weighting": weighting, "power": 0.9, "slope": 3.0, "late": 2}
    schedule = Arrivals(concurrency=5, server_lr=0.6, merge="model", **law)  # type: ignore[arg-type]
    versions, seen = [task.initial(0)], set()
    for merge in merges(schedule, Clients(task, Vanilla(), LOCAL, 0), versions[0], 60):
        ((user,), (late,)) = merge.users, merge.staleness
        own = steps_alone(task, (user,), versions[len(versions) - 1 - late], 3, 0.05)[0]
        a = WEIGHTS[weighting](late)
        versions.append((1 - a) * versions[-1] + a * own)
        torch.testing.assert_close(merge.w, versions[-1], rtol=0, atol=1e-12)
        seen.add(late)
    assert min(seen) < 2 < max(seen), "both sides of the hinge"


def test_the_weights_of_staleness() -> None:
    def weights(weighting: str, power: float = 0.5, slope: float = 10.0, late: int = 4) -> list[float]:
        return [weight(weighting, tau, power, slope, late) for tau in (0, 1, 3, 4, 5, 6, 99)]  # type: ignore[arg-type]

    assert weights("constant") == [1.0] * 7
    assert weights("polynomial") == pytest.approx([1, 2**-0.5, 1 / 2, 5**-0.5, 6**-0.5, 7**-0.5, 0.1])
    assert weights("polynomial", power=0) == [1.0] * 7
    assert weights("polynomial", power=1)[2] == 1 / 4
    assert weights("hinge") == pytest.approx([1, 1, 1, 1, 1 / 11, 1 / 21, 1 / 951])
    assert weights("hinge", slope=2, late=0) == pytest.approx(
        [1, 1 / 3, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 199]
    )
    assert weights("hinge", slope=0) == [1.0] * 7


class Uneven(Quadratics):
    """Users who hold 1, 2, 3, 4, 5 and 5 samples."""

    @property
    def samples(self) -> Tensor:
        return torch.tensor([1, 2, 3, 4, 5, 5])


@pytest.mark.parametrize("server_lr", [1.0, 0.3])
def test_fedavg_is_the_mean_over_samples_of_the_models_after_q_steps(server_lr: float) -> None:
    even = quadratics(6, noise=0)
    task = Uneven(even.curvature, even.centre, even.noise)
    w = task.initial(0)
    clients = Clients(task, Vanilla(), LOCAL, 0)
    for merge in merges(Cohort(cohort=4, server_lr=server_lr), clients, w, 9):
        held = task.samples[torch.tensor(merge.users)].double()
        mean = (held[:, None] * steps_alone(task, merge.users, w, 3, 0.05)).sum(0) / held.sum()
        w = (1 - server_lr) * w + server_lr * mean
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mu", [0.0, 2.0, 15.0])
def test_fedprox_averages_models_that_were_held_back(mu: float) -> None:
    """A client runs to θ̂ = (H + μI)⁻¹(Hc + μw) and is (I − η(H + μI))^Q of its way short of it."""
    task, row = quadratics(6, noise=0), ALGORITHMS["fedprox"]
    w, schedule = task.initial(0), replace(row.schedule, shares="equal")
    metric = task.curvature + mu * torch.eye(4)
    shrink = torch.linalg.matrix_power(torch.eye(4) - LOCAL.lr * metric, LOCAL.local_steps)
    for merge in merges(schedule, Clients(task, Proximal(mu), LOCAL, 0), w, 6):
        pulled = torch.einsum("cpq,cq->cp", task.curvature, task.centre) + mu * w
        ends = torch.linalg.solve(metric, pulled)
        w = (ends + torch.einsum("cpq,cq->cp", shrink, w - ends)).mean(0)
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)


def naive_step(optimiser: str, update: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(direction, m, v) with β₁ = .8, β₂ = .9, τ = .05 (Reddi 2021, algorithm 2; Hsu 2019)."""
    if optimiser == "momentum":
        m = 0.8 * m + update
        return m, m, v
    m = 0.8 * m + 0.2 * update
    if optimiser == "adam":
        v = 0.9 * v + 0.1 * update**2
    else:
        v = torch.where(v > update**2, v - 0.1 * update**2, v + 0.1 * update**2)
    return m / (v.sqrt() + 0.05), m, v


@pytest.mark.parametrize("optimiser", ["momentum", "adam", "yogi"])
def test_a_cohort_s_optimiser_takes_the_mean_of_its_updates_for_a_gradient(optimiser: str) -> None:
    even = quadratics(6, noise=0)
    task = Uneven(even.curvature, even.centre, even.noise)
    settings: dict[str, Any] = {"server_optimiser": optimiser, "server_momentum": 0.8}
    schedule = Cohort(cohort=4, server_lr=0.07, server_beta2=0.9, adaptivity=0.05, **settings)
    w, m, v = task.initial(0), torch.zeros(4), torch.full((4,), 0.05**2, dtype=torch.float64)
    for merge in merges(schedule, Clients(task, Vanilla(), LOCAL, 0), w, 12):
        held = task.samples[torch.tensor(merge.users)].double()
        deltas = w - steps_alone(task, merge.users, w, 3, 0.05)
        direction, m, v = naive_step(optimiser, (held[:, None] * deltas).sum(0) / held.sum(), m, v)
        w = w - 0.07 * direction
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("buffer", [1, 3])
@pytest.mark.parametrize("optimiser", ["momentum", "adam", "yogi"])
def test_an_asynchronous_optimiser_takes_a_weighted_buffer_for_a_gradient(
    optimiser: str, buffer: int
) -> None:
    task = quadratics(6, noise=0)
    settings: dict[str, Any] = {"server_optimiser": optimiser, "server_momentum": 0.8, "buffer": buffer}
    settings |= {"server_beta2": 0.9, "adaptivity": 0.05, "weighting": "polynomial"}
    schedule = Arrivals(concurrency=6, server_lr=0.07, **settings)
    versions, m, v = [task.initial(0)], torch.zeros(4), torch.full((4,), 0.05**2, dtype=torch.float64)
    for merge in merges(schedule, Clients(task, Vanilla(), LOCAL, 0), versions[0], 40):
        update = torch.zeros(4, dtype=torch.float64)
        for user, late in zip(merge.users, merge.staleness, strict=True):
            read = versions[len(versions) - 1 - late]
            own = read - steps_alone(task, (user,), read, 3, 0.05)[0]
            update = update + (late + 1) ** -0.5 * own / buffer
        direction, m, v = naive_step(optimiser, update, m, v)
        versions.append(versions[-1] - 0.07 * direction)
        torch.testing.assert_close(merge.w, versions[-1], rtol=0, atol=1e-12)


def test_reptile_moves_half_way_to_the_mean_and_users_take_ten_more_steps() -> None:
    """w ← w + ε · mean(θ_Q − w), ε = ½; a user's own model is ten steps of .02 on all their data."""
    task, row = quadratics(6, noise=0), replace(ALGORITHMS["reptile"], objective=Reptile(0.02, 10))
    w = task.initial(0)
    for merge in merges(row.schedule, Clients(task, row.objective, row.local, 0), w, 5):
        assert sorted(merge.users) == list(range(6))
        w = w + 0.5 * (steps_alone(task, tuple(range(6)), w, 10, 0.05) - w).mean(0)
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)
    end = final(task, row, 30)
    own = steps_alone(task, tuple(range(6)), w, 10, 0.02)
    torch.testing.assert_close(end.common, w, rtol=0, atol=1e-12)
    torch.testing.assert_close(end.personal, own, rtol=0, atol=1e-12)


def test_pfedme_by_hand() -> None:
    """w_i ← w_i − ηλ (w_i − θ_K), Q times; then w ← (1 − β) w + β · mean(w_i)."""
    task, row = quadratics(6, noise=0), ALGORITHMS["pfedme"]
    objective, schedule = row.objective, replace(row.schedule, server_lr=0.7)
    assert isinstance(objective, MoreauEnvelope)
    w = task.initial(0)
    for merge in merges(schedule, Clients(task, replace(objective, tolerance=0), LOCAL, 0), w, 5):
        models = []
        for curvature, centre in zip(task.curvature, task.centre, strict=True):
            own = w
            for _ in range(LOCAL.local_steps):
                theta = own
                for _ in range(5):
                    theta = theta - 0.02 * (curvature @ (theta - centre) + 15 * (theta - own))
                own = own - LOCAL.lr * 15 * (own - theta)
            models.append(own)
        w = 0.3 * w + 0.7 * torch.stack(models).mean(0)
        torch.testing.assert_close(merge.w, w, rtol=0, atol=1e-12)


class Listening:
    """A task that remembers which samples were asked for."""

    def __init__(self, task: Quadratics) -> None:
        self.task, self.asked = task, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> object:
        return getattr(self.task, name)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> object:
        self.asked.append((users, index))
        return self.task.batches(users, index, chance)


@pytest.mark.parametrize("objective", [Vanilla(), MAML(0.01, 1)], ids=["one draw", "three draws"])
def test_in_order_sampling_walks_through_the_data_again_and_again(objective: Vanilla | MAML) -> None:
    """Over an update's steps and draws, on from one update to the next, each user at their own pace."""
    even = quadratics(6)
    task = Listening(Uneven(even.curvature, even.centre, even.noise))
    local = LocalSGD(local_steps=3, batch_size=2, sampling="in-order")
    clients = Clients(task, objective, local, 0)  # type: ignore[arg-type]
    w = torch.zeros(2, 4, dtype=torch.float64)
    for users, counters in (([3, 1], [0, 0]), ([1, 4], [1, 0]), ([4, 1], [1, 2]), ([1, 3], [3, 1])):
        clients.deltas(users, counters, w)
    walked: dict[int, list[int]] = {}
    for users, index in task.asked:
        for place, user in enumerate(users.tolist()):
            walked.setdefault(user, []).extend(index[:, place].flatten().tolist())
    size = 3 * objective.draws * 2
    assert {user: len(walk) for user, walk in walked.items()} == {3: 2 * size, 1: 4 * size, 4: 2 * size}
    for user, walk in walked.items():
        held = int(task.samples[user])
        assert walk == [at % held for at in range(len(walk))]
