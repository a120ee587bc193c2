"""Where one algorithm must become another (algorithms.md §5)."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Reptile, Vanilla
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.staleness import weight
from federated.tasks.quadratics import Quadratics
from federated.tasks.ranking import RankingTask
from federated.training import Finished, train

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
    data = board.everything(torch.arange(4))
    w = torch.stack([board.initial(s) for s in range(4)])
    for curvature in ("exact", "finite-difference", "first-order"):
        objective = MAML(0, 1, curvature)  # type: ignore[arg-type]
        gradient = objective.gradient(board.loss, w, [data] * objective.draws)
        assert torch.equal(gradient, Vanilla().gradient(board.loss, w, [data]))
    quiet = quadratics(6, noise=0)
    rows = [Row(o, Arrivals(concurrency=2), "", LOCAL) for o in (Vanilla(), MAML(0, 1), MAML(0.1, 0))]
    a, b, c = (common(quiet, row, 24) for row in rows)
    assert torch.equal(a, b)
    assert torch.equal(a, c)
    assert torch.equal(clients.personalise(w[0])[3], w[0])


def test_moreau_tends_to_vanilla_like_one_over_lambda() -> None:
    task = quadratics(6, noise=0)
    w = torch.ones(6, 4, dtype=torch.float64)
    data = task.everything(torch.arange(6))
    vanilla = Vanilla().gradient(task.loss, w, [data])
    errors = []
    for lam in (1e2, 1e3, 1e4):
        objective = MoreauEnvelope(lam, inner_steps=400, inner_lr=1 / (lam + 10), tolerance=0)
        errors.append(float((objective.gradient(task.loss, w, [data]) - vanilla).norm()))
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


def steps_alone(task: Quadratics, users: tuple[int, ...], w: Tensor, steps: int, lr: float) -> Tensor:
    """Where so many exact gradient steps lead from w (P,) or (C, P): c + (I − ηH)^Q (w − c)."""
    chosen = torch.tensor(users)
    shrink = torch.linalg.matrix_power(torch.eye(4) - lr * task.curvature[chosen], steps)
    centre = task.centre[chosen]
    return centre + torch.einsum("cpq,cq->cp", shrink, w - centre)


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

    def batches(self, users: Tensor, index: Tensor) -> object:
        self.asked.append((users, index))
        return self.task.batches(users, index)


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
            walked.setdefault(user, []).extend(index[:, :, place].flatten().tolist())
    size = 3 * objective.draws * 2
    assert {user: len(walk) for user, walk in walked.items()} == {3: 2 * size, 1: 4 * size, 4: 2 * size}
    for user, walk in walked.items():
        held = int(task.samples[user])
        assert walk == [at % held for at in range(len(walk))]
