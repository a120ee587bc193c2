"""Where one algorithm must become another (algorithms.md §5)."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.events import Finished
from federated.objectives import MAML, Ditto, MoreauEnvelope, Proximal, Vanilla
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask
from federated.training import train

LOCAL = LocalSGD(lr=0.05, local_steps=3, batch_size=2)


def quadratics(users: int, noise: float = 0.3) -> Quadratics:
    draw = torch.Generator().manual_seed(3)
    root = torch.randn(users, 4, 4, generator=draw, dtype=torch.float64)
    curvature = root @ root.mT / 4 + 0.3 * torch.eye(4)
    centre = torch.randn(users, 4, generator=draw, dtype=torch.float64)
    return Quadratics(curvature, centre, noise * torch.randn(users, 5, 4, generator=draw).double())


def final(task: Quadratics | RankingTask, row: Row, updates: int, seed: int = 0) -> Finished:
    *_, last = train(task, row, seed, updates, evaluations=0)
    assert isinstance(last, Finished)
    return last


def merges(schedule: Arrivals | Cohort, clients: Clients, w: Tensor, number: int) -> list[Merge]:
    return list(islice(schedule.run(clients, schedule.start(clients, w)), number))


def common(task: Quadratics | RankingTask, row: Row, updates: int) -> Tensor:
    w = final(task, row, updates).common
    assert w is not None
    return w


def test_maml_with_alpha_0_is_vanilla(board: RankingTask) -> None:
    """Bit for bit, when both look at the same batches."""
    clients = Clients(board, MAML(0, 1), LOCAL, 0)
    data = board.everything(torch.arange(4), 0)
    w = torch.stack([board.initial(s) for s in range(4)])
    for curvature in ("exact", "finite-difference", "first-order"):
        objective = MAML(0, 1, curvature)  # type: ignore[arg-type]
        gradient = objective.gradient(board, w, list(data) * objective.draws, w)
        assert torch.equal(gradient, Vanilla().gradient(board, w, data, w))
    quiet = quadratics(6, noise=0)
    rows = [Row(o, Arrivals(concurrency=2), "", LOCAL) for o in (Vanilla(), MAML(0, 1), MAML(0.1, 0))]
    a, b, c = (common(quiet, row, 24) for row in rows)
    assert torch.equal(a, b)
    assert torch.equal(a, c)
    assert torch.equal(clients.personalise(w[0])[3], w[0])


def test_moreau_tends_to_vanilla_like_one_over_lambda() -> None:
    task = quadratics(6, noise=0)
    w = torch.ones(6, 4, dtype=torch.float64)
    data = task.everything(torch.arange(6), 0)
    vanilla = Vanilla().gradient(task, w, data, w)
    errors = []
    for lam in (1e2, 1e3, 1e4):
        objective = MoreauEnvelope(lam, inner_steps=400, inner_lr=1 / (lam + 10), tolerance=0)
        errors.append(float((objective.gradient(task, w, data, w) - vanilla).norm()))
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("schedule", [Arrivals(concurrency=1), Cohort()], ids=["Arrivals", "Cohort"])
def test_one_user_one_step_is_plain_sgd(schedule: Arrivals | Cohort) -> None:
    task = quadratics(1, noise=0)
    w = task.initial(0)
    for _ in range(15):
        w = w - 0.05 * task.curvature[0] @ (w - task.centre[0])
    row = Row(Vanilla(), schedule, "", LocalSGD(lr=0.05, local_steps=1))
    torch.testing.assert_close(common(task, row, 15), w, rtol=0, atol=1e-12)


def test_everyone_in_flight_for_one_pass_is_one_round_of_fedavg() -> None:
    """Without delays all arrive as they left, having read version 0: β = 1/n makes it a mean."""
    task = quadratics(6)
    arrivals = Arrivals(concurrency=6, download_delay=0, upload_delay=0)
    one_by_one = common(task, Row(Vanilla(), arrivals, "", LOCAL), 6)
    together = common(task, Row(Vanilla(), Cohort(cohort=6), "", LOCAL), 6)
    torch.testing.assert_close(one_by_one, together, rtol=0, atol=1e-12)
    assert together.norm() > 0.01


def test_fedavg_weighs_users_by_their_samples(board: RankingTask) -> None:
    """A cohort's mean is over samples: dropping most of one user's slates changes its share."""
    keep = (board.train.user != 0) | (torch.arange(len(board.train)) == 0)
    slates = board.train[keep.nonzero().squeeze(1)]
    task = RankingTask.of(board.network, "bce", slates, slates, 8)
    clients = Clients(task, Vanilla(), LOCAL, 0)
    w = task.initial(0)
    (merge,) = merges(Cohort(cohort=8), clients, w, 1)
    users = list(merge.users)
    deltas = clients.deltas(users, [0] * 8, w.expand(8, -1))
    share = torch.tensor([1.0 if u == 0 else 6.0 for u in users]) / 43
    torch.testing.assert_close(merge.w, w - (share[:, None] * deltas).sum(0), rtol=0, atol=1e-6)


def test_persa_fl_settles_where_its_objective_is_stationary() -> None:
    """Σ ∇F_i = 0 in closed form, for each option; the mean over time, as constant steps keep w moving."""
    task = quadratics(6, noise=0)
    eye = torch.eye(4, dtype=torch.float64)
    shrink = eye - 0.1 * task.curvature
    pull = 15 * task.curvature @ torch.linalg.inv(task.curvature + 15 * eye)
    moreau = MoreauEnvelope(15, inner_steps=20, inner_lr=0.06, tolerance=0)
    for objective, metric in (
        (Vanilla(), task.curvature),
        (MAML(0.1), shrink @ task.curvature @ shrink),
        (moreau, pull),
    ):
        clients = Clients(task, objective, LocalSGD(lr=0.1, local_steps=1), 0)
        path = [merge.w for merge in merges(Arrivals(concurrency=3), clients, task.initial(0), 2400)]
        expected = torch.linalg.solve(metric.sum(0), torch.einsum("upq,uq->p", metric, task.centre))
        torch.testing.assert_close(torch.stack(path[600:]).mean(0), expected, rtol=0, atol=2e-2)


def test_local_users_never_meet() -> None:
    """Replacing every other user's data leaves a user's own model bit-identical."""
    task = quadratics(6)
    row = Row(Vanilla(), ALGORITHMS["local"].schedule, "", LOCAL)
    alone = final(task, row, 30).personal
    other = replace(task, centre=torch.cat([task.centre[:1], task.centre[1:] + 5]))
    changed = final(other, row, 30).personal
    assert alone is not None
    assert changed is not None
    assert torch.equal(alone[0], changed[0])
    assert not torch.equal(alone[1], changed[1])


def test_pooled_minimises_the_mean_of_all() -> None:
    task = quadratics(6, noise=0)
    row = Row(Vanilla(), ALGORITHMS["pooled"].schedule, "", LOCAL)
    w = common(task, row, 800)
    residual = torch.einsum("upq,uq->p", task.curvature, w - task.centre)
    assert residual.norm() < 1e-6


@pytest.mark.parametrize("rounds", [1, 7])
def test_a_buffer_as_large_as_the_cohort_with_equal_delays_is_fedavg(rounds: int, board: RankingTask) -> None:
    """All arrive at once, the merge takes them all, and only then the next ones read."""
    for task, tolerance in ((quadratics(6), 1e-12), (board, 1e-6)):
        users = len(task.samples)
        buffered = Arrivals(concurrency=users, buffer=users, server_lr=1.0, delay_law="constant")
        together = Cohort(cohort=users, shares="equal")
        a, b = (common(task, Row(Vanilla(), s, "", LOCAL), users * rounds) for s in (buffered, together))
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
        assert (b - task.initial(0)).norm() > 0.01
        late = {s for m in merges(buffered, Clients(task, Vanilla(), LOCAL, 0), a, 5) for s in m.staleness}
        assert late == {0}


def test_a_buffer_as_large_as_the_cohort_is_fedavg_for_a_pass_of_several_rounds() -> None:
    task = quadratics(6)
    buffered = Arrivals(concurrency=2, buffer=2, server_lr=0.7, delay_law="constant")
    together = Cohort(cohort=2, shares="equal", server_lr=0.7)
    clients = Clients(task, Vanilla(), LOCAL, 4)
    for a, b in zip(*(merges(s, clients, task.initial(4), 3) for s in (buffered, together)), strict=True):
        assert a.users == b.users
        torch.testing.assert_close(a.w, b.w, rtol=0, atol=1e-12)


def test_fedbuff_with_a_buffer_of_one_is_persa_fl() -> None:
    """Bit for bit; and the buffer is what makes the difference."""
    task, fedbuff, persa = quadratics(6), ALGORITHMS["fedbuff"], ALGORITHMS["persa-fl"]
    schedule = replace(fedbuff.schedule, concurrency=5, weighting="constant", server_lr=1 / 6)
    one, three = (replace(fedbuff, schedule=replace(schedule, buffer=k)) for k in (1, 3))
    assert torch.equal(common(task, one, 60), common(task, persa, 60))
    assert not torch.allclose(common(task, three, 60), common(task, persa, 60), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["fedavg", "persa-fl", "fedbuff"])
def test_momentum_0_is_no_momentum(name: str) -> None:
    """And momentum is what makes the difference."""
    task, row = quadratics(6), ALGORITHMS[name]
    row = replace(row, schedule=replace(row.schedule, server_lr=0.25))

    def end(**settings: Any) -> Tensor:
        return common(task, replace(row, schedule=replace(row.schedule, **settings)), 60)

    plain, none = end(), end(server_optimiser="momentum", server_momentum=0.0)
    torch.testing.assert_close(none, plain, rtol=0, atol=1e-12)
    assert not torch.allclose(end(server_optimiser="momentum"), plain, rtol=0, atol=1e-3)


def test_fedavgm_without_momentum_and_fedadam_without_adaptation_are_fedavg() -> None:
    """With β₁ = β₂ = 0 Adam's step is β Δ/(|Δ| + τ), and β/τ · Δ where τ is large."""
    task = quadratics(6)
    averaged = common(task, ALGORITHMS["fedavg"], 60)
    plain = {"server_momentum": 0.0, "server_lr": 1.0}
    rigid = {"server_momentum": 0.0, "server_beta2": 0.0, "adaptivity": 1e9, "server_lr": 1e9}
    for name, settings in (("fedavgm", plain), ("fedadam", rigid)):
        row = ALGORITHMS[name]
        without = replace(row, schedule=replace(row.schedule, **settings))
        torch.testing.assert_close(common(task, without, 60), averaged, rtol=0, atol=1e-8)
        assert not torch.allclose(common(task, row, 60), averaged, rtol=0, atol=1e-3)


def test_fedprox_with_mu_0_is_fedavg_and_a_large_mu_holds_it_back(board: RankingTask) -> None:
    for task in (quadratics(6), board):
        averaged, fedprox = common(task, ALGORITHMS["fedavg"], 60), ALGORITHMS["fedprox"]
        assert torch.equal(common(task, replace(fedprox, objective=Proximal(0)), 60), averaged)
        held = common(task, replace(fedprox, objective=Proximal(19.0)), 60)
        assert (held - task.initial(0)).norm() < 0.7 * (averaged - task.initial(0)).norm()


def test_one_local_step_is_never_held_back() -> None:
    """It begins at what was read, so that μ says nothing yet; with two it does."""
    task = quadratics(6)
    for steps, same in ((1, True), (2, False)):
        local = replace(LOCAL, local_steps=steps)
        rows = [Row(objective, Arrivals(), "", local) for objective in (Vanilla(), Proximal(5.0))]
        plain, proximal = (common(task, row, 60) for row in rows)
        assert torch.allclose(plain, proximal, rtol=0, atol=1e-12) == same


def test_ditto_s_common_model_is_fedavg_s_and_a_large_lambda_leaves_users_there(board: RankingTask) -> None:
    averaged, ditto = common(board, ALGORITHMS["fedavg"], 60), ALGORITHMS["ditto"]
    end = final(board, ditto, 60)
    assert end.common is not None
    assert end.personal is not None
    assert torch.equal(end.common, averaged)
    rigid = replace(ditto, objective=Ditto(lam=1e6, inner_lr=1e-6))
    near, far = final(board, rigid, 60).personal, end.personal
    assert near is not None
    assert (near - averaged).norm(dim=1).max() < 1e-4
    assert (far - averaged).norm(dim=1).min() > 1e-2


@pytest.mark.parametrize("name", ["persa-fl-maml", "persa-fl-maml-buffered", "per-fedavg"])
def test_rows_of_maml_with_alpha_0_are_their_vanilla_rows(name: str) -> None:
    """Bit for bit where every user has one sample, so that all batches are alike, noise and all."""
    task = quadratics(6)
    task = replace(task, noise=task.noise[:, :1])
    row = ALGORITHMS[name]
    assert isinstance(row.objective, MAML)
    without = replace(row, objective=replace(row.objective, alpha=0))
    vanilla = replace(row, objective=Vanilla())
    assert torch.equal(common(task, without, 60), common(task, vanilla, 60))
    assert not torch.allclose(common(task, row, 60), common(task, vanilla, 60), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_training_with_finite_differences_is_one_with_exact_curvature(steps: int) -> None:
    """On quadratics, noise and all, since both draw the same batches. First order ends elsewhere."""
    task = quadratics(6)

    def end(curvature: str) -> Tensor:
        objective = MAML(0.1, steps, curvature)  # type: ignore[arg-type]
        return common(task, Row(objective, Arrivals(concurrency=3), "", LOCAL), 60)

    torch.testing.assert_close(end("finite-difference"), end("exact"), rtol=0, atol=1e-6)
    assert not torch.allclose(end("first-order"), end("exact"), rtol=0, atol=1e-3)
