"""The task of images: compiled derivatives against their twins, and what models are judged by."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from data.image_splits import Split
from data.images import SOURCES, Images, read
from federated import checkpoint
from federated.algorithms import Row
from federated.clients import Clients, LocalSGD
from federated.events import Finished
from federated.objectives import MAML, Ditto, MoreauEnvelope
from federated.personal import choose
from federated.schedules import Schedule
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.gossip import Gossip
from federated.tasks import Chance, Descent
from federated.tasks.autograd import ByAutograd
from federated.tasks.images import NETWORKS, ImageBatch, ImageTask
from federated.training import Training
from tests.conftest import REAL_DATA

SHAPE, USERS = (8, 8, 2), 5
networks = pytest.mark.parametrize("name", NETWORKS)


def images(users: int = USERS, each: int = 12, seed: int = 0) -> tuple[Images, Split]:
    """Noise around ten patterns; users hold from ``each`` training images on, and do not have all classes."""
    chance = np.random.default_rng(seed)
    sizes = each + np.arange(users)
    user = np.repeat(np.arange(users), sizes)
    y = (2 * user + chance.integers(0, 3, len(user))) % 10
    patterns = chance.integers(60, 190, (10, *SHAPE))
    x = np.clip(patterns[y] + chance.normal(0, 40, (len(user), *SHAPE)), 0, 255).astype(np.uint8)
    hands = np.split(np.arange(len(user)), sizes.cumsum()[:-1])
    parts = [tuple(np.array_split(hand, 3)[part] for hand in hands) for part in range(3)]
    train = tuple(np.concatenate([a, b]) for a, b in zip(parts[0], parts[1], strict=True))
    return Images(x, y, x, y, 0.5, "", None), Split(train, parts[2], parts[0])


def task(name: str, users: int = USERS, each: int = 12) -> ImageTask:
    return ImageTask.of(*images(users, each), NETWORKS[name](SHAPE))


class Twin(ByAutograd):
    """The same task, by autograd in 64 bits; kernels are compiled for 32 alone, since that takes long."""

    def __init__(self, it: ImageTask) -> None:
        self._exact = replace(it, train=it.train._replace(x=it.train.x.double()))

    def loss(self, w: Tensor, batch: ImageBatch) -> Tensor:
        return self._exact.loss(w, batch)


def points(it: ImageTask, users: int = USERS) -> Tensor:
    """Parameters (U, P) where units are on either side of 0."""
    return torch.stack([1.5 * it.initial(seed) for seed in range(users)])


def by_convolution(w: Tensor, x: Tensor) -> Tensor:
    """The CNN's logits (B, classes) of images (B, height, width, channels), by torch's convolutions."""
    channels, side = SHAPE[2], SHAPE[0] // 8
    parts = w.split([16 * channels * 16, 16, 64 * 32, 32, side * side * 32 * 10, 10])
    first = parts[0].view(4, 4, channels, 16).permute(3, 2, 0, 1)
    x = functional.elu(functional.conv2d(x.permute(0, 3, 1, 2), first, parts[1], stride=4))
    second = parts[2].view(2, 2, 16, 32).permute(3, 2, 0, 1)
    x = functional.elu(functional.conv2d(x, second, parts[3], stride=2))
    return x.permute(0, 2, 3, 1).flatten(1) @ parts[4].view(-1, 10) + parts[5]


def naive(name: str, w: Tensor, x: Tensor) -> Tensor:
    """Logits (B, classes) of one client, layer after layer."""
    if name == "cnn":
        return by_convolution(w, x)
    x, at, sizes = x.flatten(1), 0, [len(x[0].flatten()), *([80, 60] if name == "mlp" else []), 10]
    for number, (i, o) in enumerate(pairwise(sizes)):
        x = x @ w[at : at + i * o].view(i, o) + w[at + i * o : at + (i + 1) * o]
        x = functional.elu(x) if number < len(sizes) - 2 else x
        at += (i + 1) * o
    return x


@networks
def test_gradients_are_those_of_a_naive_twin_one_client_after_another(name: str) -> None:
    it, (given, split) = task(name), images()
    w = points(it)
    found = it.gradient(w, it.everything(torch.arange(USERS), 0)[0])
    for user, hand in enumerate(split.train):
        own = w[user].double().requires_grad_()
        x = torch.from_numpy(given.x_train[hand]).double() / 255 - 0.5
        loss = functional.cross_entropy(naive(name, own, x), torch.from_numpy(given.y_train[hand]))
        loss.backward()
        assert own.grad is not None
        assert float((found[user] - own.grad).norm() / own.grad.norm()) < 1e-6


@networks
def test_hessian_vector_products_are_exact(name: str) -> None:
    it = task(name)
    w, batch = points(it), it.everything(torch.arange(USERS), 0)[0]
    v = torch.randn(w.shape, generator=torch.Generator().manual_seed(0))
    found, exact = it.hessian_times(w, v, batch), Twin(it).hessian_times(w.double(), v.double(), batch)
    assert float((found - exact).norm() / exact.norm()) < 1e-6


@networks
@pytest.mark.parametrize(
    "how",
    [
        Descent(5, 0.1),
        Descent(5, 0.1, pull=2.0),
        Descent(4, 0.2, pull=1.0, tolerance=0.9),
        Descent(3, 0.1, pull=1.5, laps=2, way=0.6),
        Descent(0, 0.1),
    ],
    ids=["steps", "pull", "tolerance", "laps", "none"],
)
@pytest.mark.parametrize("number", [1, 4])
def test_descents_are_the_steps_that_autograd_takes(name: str, how: Descent, number: int) -> None:
    it = task(name)
    if how.laps:
        number *= how.laps
    w = points(it)
    anchor = w + 0.01
    index = torch.randint(8, (number, USERS, 4), generator=torch.Generator().manual_seed(1))
    batches = it.batches(torch.arange(USERS), index, Chance(0, "", [], []))
    before, asked = w.clone(), []
    found = it.descend(w, anchor, batches, how, lambda: asked.append(1))
    assert torch.equal(w, before)
    assert (len(asked) > 0) == (how.steps > 0)

    twin = Twin(it).descend(w.double(), anchor.double(), list(batches), how)
    torch.testing.assert_close(found.double(), twin, rtol=0, atol=1e-6)


def test_long_descents_are_asked_about_on_the_way_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    it = task("multinomial")
    w, users = points(it), torch.arange(USERS)
    index = torch.randint(8, (12, USERS, 4), generator=torch.Generator().manual_seed(1))
    batches = it.batches(users, index, Chance(0, "", [], []))
    asked: list[int] = []
    for how in (Descent(30, 0.1, pull=1.0), Descent(3, 0.1, pull=1.5, laps=6, way=0.6)):
        asked.clear()
        whole = it.descend(w, w, batches, how, lambda: asked.append(1))
        assert len(asked) == 1
        monkeypatch.setattr("federated.tasks.images.MULTIPLICATIONS", 1)
        parts = it.descend(w, w, batches, how, lambda: asked.append(1))
        monkeypatch.undo()
        assert len(asked) == 1 + (how.laps or how.steps)
        assert torch.equal(whole, parts)


@networks
def test_a_client_has_the_same_bits_alone_and_among_others(name: str) -> None:
    it = task(name)
    for objective in (MoreauEnvelope(), MAML(alpha=0.1)):
        clients = Clients(it, objective, LocalSGD(0.1, 3, 4), 0)
        w = points(it)
        together = clients.deltas(list(range(USERS)), [3, 1, 4, 1, 5], w)
        for user, counter in enumerate([3, 1, 4, 1, 5]):
            alone = clients.deltas([user], [counter], w[user : user + 1])
            assert torch.equal(alone[0], together[user])
        assert (together.abs().sum(1) > 0).all()


def test_users_data_is_their_own_and_padding_counts_for_nothing() -> None:
    it, (given, split) = task("multinomial"), images()
    assert it.samples.tolist() == [len(hand) for hand in split.train] != [len(split.train[0])] * USERS
    for most in (None, 3):
        batch = it.everything(torch.tensor([4, 0]), 0, most)[0]
        for place, user in enumerate((4, 0)):
            real = batch.weight[place] > 0
            hand = split.train[user][-(most or 100) :]
            assert it.train.y[batch.index[place][real]].tolist() == given.y_train[hand].tolist()
            assert batch.weight[place][real].tolist() == pytest.approx([1 / len(hand)] * len(hand))
    index = torch.tensor([[[2, 0]], [[1, 1]]])
    x = it.train.x[it.batches(torch.tensor([3]), index, Chance(0, "", [], []))[1].index[0]]
    expected = torch.from_numpy(given.x_train[split.train[3][[1, 1]]]).double().flatten(1) / 255 - 0.5
    torch.testing.assert_close(x.double(), expected, rtol=0, atol=1e-6)


def test_windows_are_read_from_coarse_to_fine() -> None:
    network = NETWORKS["cnn"]((16, 16, 1))
    x = torch.arange(256.0).view(1, 16, 16, 1)
    windows = network.arranged(x).view(4, 4, 4, 4)  # 8 × 8, in it 4 × 4, rows, columns
    assert torch.equal(windows[1, 2], x[0, 4:8, 8:12, 0])
    assert torch.equal(windows[2, 3], x[0, 12:16, 4:8, 0])


def test_models_are_judged_on_their_users_images() -> None:
    it, (given, split) = task("mlp"), images()
    w = points(it)
    loss, accuracy = it.judge(w, it.test)
    for user, hand in enumerate(split.test):
        x = torch.from_numpy(given.x_test[hand]).float() / 255 - 0.5
        logits, y = naive("mlp", w[user], x), torch.from_numpy(given.y_test[hand])
        assert float(accuracy[user]) == float((logits.argmax(1) == y).double().mean())
        assert float(loss[user]) == pytest.approx(float(functional.cross_entropy(logits, y)), rel=1e-5)
    some = it.judge(w[[3, 1]], it.test, torch.tensor([3, 1]))
    assert torch.equal(some[1], accuracy[[3, 1]])
    judged = it.evaluate(w[0])
    loss, accuracy = it.judge(w[0], it.validation)
    assert judged == {"loss": float(loss.mean()), "accuracy": float(accuracy.mean())}


def test_a_model_that_gives_no_numbers_is_right_about_nothing() -> None:
    it = task("multinomial")
    w = points(it)
    w[1] = torch.nan
    loss, accuracy = it.judge(w, it.test)
    assert (float(loss[1]), float(accuracy[1])) == (float("inf"), 0)
    rehearsal = it.rehearsal()
    lost = rehearsal.losses(torch.arange(USERS), w)
    assert lost.isinf().tolist() == [False, True, False, False, False]
    torch.testing.assert_close(lost[2], 1 - it.judge(w, it.validation)[1][2])
    assert rehearsal.samples.tolist() == it.validation.start.diff().tolist()
    with pytest.raises(FloatingPointError, match="finite"):
        it.evaluate(w)


def test_own_models_win_where_users_see_different_classes() -> None:
    """And validation finds that out."""
    it = task("multinomial", users=8, each=30)
    clients = Clients(it, Ditto(inner_lr=0.1), LocalSGD(), 0)
    w = it.initial(0)
    choice = choose(clients, w)
    own = it.judge(clients.personalise(w, strength=choice.strength), it.test)[1]
    assert choice.strength < 30
    assert float((own - it.judge(w, it.test)[1]).mean()) > 0.3


def test_pooled_is_one_user_with_all_images() -> None:
    it = task("mlp")
    together, w = it.pooled(), points(it)[:1]
    assert together.samples.tolist() == [int(it.samples.sum())]
    apart = it.gradient(w.expand(USERS, -1), it.everything(torch.arange(USERS), 0)[0])
    share = it.samples / it.samples.sum()
    found = together.gradient(w, together.everything(torch.tensor([0]), 0)[0])[0]
    torch.testing.assert_close(found, (share[:, None] * apart).sum(0))


SCHEDULES: dict[str, Schedule[Any]] = {
    "cohort": Cohort(cohort=3),
    "arrivals": Arrivals(concurrency=3, server_lr=0.3),
    "gossip": Gossip(wake_within=3, max_delay=4, max_failures=3, least_weight=0.1, degree=2),
}


def finished(training: Training) -> Finished:
    *_, end = training.events()
    assert isinstance(end, Finished)
    return end


def same(a: Finished, b: Finished) -> bool:
    pairs: Sequence[tuple[Any, Any]] = ((a.learned, b.learned), (a.adapted, b.adapted))
    return all(x is y is None or torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("objective", [MoreauEnvelope(), MAML(alpha=0.1)], ids=["moreau", "maml"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_equal_seeds_give_equal_bits_and_trainings_go_on(name: str, objective: Any, tmp_path: Path) -> None:
    it = task("cnn")
    row = Row(objective, SCHEDULES[name], "", LocalSGD(0.05, 2, 4))
    whole = finished(Training(it, row, 1, 24, 2))
    assert same(whole, finished(Training(it, row, 1, 24, 0))), "looking changes nothing"
    assert not same(whole, finished(Training(it, row, 2, 24, 0)))
    packing = Training(it, row, 1, 24, 2)
    for event in islice(packing.events(), 3):
        updates = event.updates
    checkpoint.save(tmp_path, updates, packing.pack())
    snapshot, problems = checkpoint.load(tmp_path)
    assert snapshot is not None
    assert not problems
    going_on = Training(it, row, 1, 24, 2)
    going_on.unpack(snapshot)
    assert same(whole, finished(going_on))


def test_multinomial_regression_is_scikit_learns() -> None:
    """Pooled, with a ridge of the same strength: accuracies on 10,000 test images within 0.3 points."""
    path = REAL_DATA / "mnist.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: see data/README.md for where to get it")
    given, number, ridge = read(path, "mnist"), 1500, 0.02
    few = (np.arange(number),)
    it = ImageTask.of(
        given, Split(few, few, (np.arange(10_000),)), NETWORKS["multinomial"](SOURCES["mnist"].shape)
    )
    w = zero = torch.zeros(1, it.network.layout.size)
    for seed, lr in enumerate((0.03, 0.003)):
        index = torch.randint(number, (3000, 1, 30), generator=torch.Generator().manual_seed(seed))
        batches = it.batches(torch.tensor([0]), index, Chance(0, "", [], []))
        w = it.descend(w, zero, batches, Descent(len(batches), lr, pull=ridge))
    theirs = LogisticRegression(C=1 / (ridge * number), tol=1e-4).fit(it.train.x, it.train.y)
    ours = float(it.judge(w, it.test)[1][0])
    assert ours == pytest.approx(theirs.score(it.test.x, it.test.y), abs=0.003)
    assert ours > 0.8
