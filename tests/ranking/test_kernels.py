"""Compiled derivatives are those of autograd, whatever the network, the loss, and the slates."""

import itertools
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from federated.tasks import Descent
from federated.tasks.autograd import ByAutograd
from federated.tasks.ranking import RankingBatch, RankingBatches, RankingTask
from ranking.compiled import warm_up
from ranking.kernels.clients import descend
from ranking.losses import LOSSES
from ranking.rankers.mlp import MLP
from ranking.rankers.mlp_cnn import MLPCNN
from ranking.rankers.network import Network
from ranking.slates import StoredSlates, pad_front

TEXTS = ["", "a", "aaaa", "git commit -m", "ls", "emoji 😀 and more than are read", "zz top", "git"]
BOUND = {torch.float32: 1e-5, torch.float64: 1e-9}


def stored(sizes: list[int], features: int, seed: int) -> StoredSlates:
    """Slates of these sizes, all of user 0, with random contents."""
    draw = torch.Generator().manual_seed(seed)
    rows = sum(sizes)
    slates = StoredSlates.empty(torch.tensor(sizes), features)
    position = torch.randint(-2, 4, (rows,), generator=draw).clamp(min=0).to(torch.int16)
    filled = {
        "features": torch.randn(rows, features, generator=draw).double(),
        "candidates": torch.randint(len(TEXTS), (rows,), generator=draw).int(),
        "position": position,
        "typed": torch.randint(5, (len(sizes),), generator=draw).to(torch.int16),
        "wanted": torch.ones(len(sizes), dtype=torch.int16),
    }
    return StoredSlates(
        offsets=pad_front(torch.tensor(sizes).cumsum(0)),
        user=torch.zeros(len(sizes), dtype=torch.int64),
        widest=slates.widest,
        **filled,
    )


def in_float32(slates: StoredSlates) -> StoredSlates:
    """The same slates as they are in use."""
    return replace(slates, features=slates.features.float())


def task_of(network: Network, loss: str, slates: StoredSlates) -> RankingTask:
    """A task whose only user has these slates."""
    task = RankingTask.of(network, loss, slates, slates, 1)
    assert task.compiled is not None
    return task


def of_type(task: RankingTask, batch: RankingBatch, dtype: torch.dtype) -> tuple[RankingTask, RankingBatch]:
    """The same with features of another type."""
    assert isinstance(task.train, StoredSlates)
    slates = replace(task.train, features=task.train.features.to(dtype))
    return replace(task, train=slates), replace(batch, slates=slates)


def parameters(network: Network, clients: int, dtype: torch.dtype, seed: int) -> Tensor:
    """(C, P) different ones."""
    draw = torch.Generator().manual_seed(seed)
    start = [network.layout.initial(draw) for _ in range(clients)]
    return torch.stack(start).to(dtype)


def assert_close(ours: Tensor, twin: Tensor) -> None:
    """Relative to each client's norm, or to 0.1 where almost everything has cancelled out."""
    error = (ours - twin).norm(dim=1)
    assert (error <= BOUND[ours.dtype] * twin.norm(dim=1).clamp(min=0.1)).all(), error / twin.norm(dim=1)


NETWORKS = st.one_of(
    st.builds(MLP, hidden=st.lists(st.integers(1, 9), max_size=3).map(tuple)),
    st.builds(
        MLPCNN,
        hidden=st.lists(st.integers(1, 7), max_size=2).map(tuple),
        characters=st.integers(4, 9),
        embedding=st.integers(1, 4),
        filters=st.integers(1, 5),
        width=st.integers(1, 4),
    ),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[RankingTask, RankingBatch, Tensor, Tensor]:
    """A task, a batch of some of its slates, parameters and a direction."""
    features = draw(st.integers(1, 6))
    sizes = draw(st.lists(st.sampled_from([0, 1, 1, 2, 5, 12]), min_size=1, max_size=6))
    seed = draw(st.integers(0, 2**30))
    ranker: Any = draw(NETWORKS)
    network = ranker.network(features, TEXTS)
    task = task_of(network, draw(st.sampled_from(sorted(LOSSES))), stored(sizes, features, seed))
    clients, size = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    chosen = torch.Generator().manual_seed(seed + 1)
    index = torch.randint(len(sizes), (clients, size), generator=chosen)
    weight = torch.rand(clients, size, generator=chosen)
    weight[torch.rand(clients, size, generator=chosen) < 0.2] = 0
    w = parameters(network, clients, torch.float64, seed + 2)
    v = torch.randn(w.shape, generator=chosen, dtype=w.dtype)
    return task, RankingBatch(task.train, index, weight), w, v


@settings(deadline=None, max_examples=50)
@given(problems(), st.sampled_from([torch.float32, torch.float64]))
def test_gradients_are_those_of_autograd(
    problem: tuple[RankingTask, RankingBatch, Tensor, Tensor], dtype: torch.dtype
) -> None:
    task, batch, w, _ = problem
    typed, same = of_type(task, batch, dtype)
    ours = typed.gradient(w.to(dtype), same)
    assert ours.dtype == dtype
    twin = ByAutograd.gradient(task, w, batch)
    assert_close(ours, twin.to(dtype))


@settings(deadline=None, max_examples=50)
@given(problems(), st.sampled_from([torch.float32, torch.float64]))
def test_hessian_vector_products_are_those_of_autograd(
    problem: tuple[RankingTask, RankingBatch, Tensor, Tensor], dtype: torch.dtype
) -> None:
    task, batch, w, v = problem
    typed, same = of_type(task, batch, dtype)
    ours = typed.hessian_times(w.to(dtype), v.to(dtype), same)
    twin = ByAutograd.hessian_times(task, w, v, batch)
    assert_close(ours, twin.to(dtype))


@settings(deadline=None, max_examples=40)
@given(problems(), st.integers(0, 7), st.sampled_from([0.0, 2.5]), st.sampled_from([0.0, 0.3, 1e9]))
def test_descents_are_those_of_autograd(
    problem: tuple[RankingTask, RankingBatch, Tensor, Tensor], steps: int, pull: float, tolerance: float
) -> None:
    task, batch, w, v = problem
    later = batch.index.roll(1, dims=0)
    for numbers in (batch.index[None], torch.stack([batch.index, later])):
        batches = RankingBatches(task.train, numbers, batch.weight)
        given = (w, w + 0.01 * v, batches, Descent(steps, 0.01, pull, tolerance))
        ours = task.descend(*given)
        torch.testing.assert_close(ours, ByAutograd.descend(task, *given), rtol=1e-8, atol=1e-9)
    assert tolerance < 1e9 or torch.equal(ours, w)


@settings(deadline=None, max_examples=40)
@given(
    problems(),
    st.integers(0, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 2.5]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([1, 200, 500_000]),
)
def test_laps_are_those_of_autograd(
    problem: tuple[RankingTask, RankingBatch, Tensor, Tensor],
    steps: int,
    laps: int,
    pull: float,
    tolerance: float,
    together: int,
) -> None:
    """However many slates are looked at between two questions whether anybody still waits."""
    task, batch, w, _ = problem
    shifts = torch.stack([batch.index.roll(by, dims=0) for by in range(2 * laps)])
    for numbers in (shifts[:laps], shifts):
        batches = RankingBatches(task.train, numbers, batch.weight)
        given = (w, w, batches, Descent(steps, 0.01, pull, tolerance, laps, 0.6))
        with patch("ranking.compiled.TOGETHER", together):
            ours = task.descend(*given)
        torch.testing.assert_close(ours, ByAutograd.descend(task, *given), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("far", [1.0, 1e3, 1e4])
def test_scores_may_lie_far_apart(loss: str, far: float) -> None:
    """So far that e^score of one is nothing beside that of another."""
    features = [1, 0, -1, 0.3, 1, 0.5, 0, -1, -0.2]
    slates = replace(
        stored([3, 1, 5], 1, 0),
        features=torch.tensor(features, dtype=torch.float64)[:, None],
        position=torch.tensor([1, 2, 0, 1, 2, 1, 3, 0, 0], dtype=torch.int16),
    )
    task = task_of(MLP(hidden=()).network(1, TEXTS), loss, slates)
    batch = RankingBatch(slates, torch.arange(3)[None], torch.full((1, 3), 1 / 3))
    w, v = torch.tensor([[far, 0.0]], dtype=torch.float64), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    gradients = task.gradient(w, batch), ByAutograd.gradient(task, w, batch)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-11)
    products = task.hessian_times(w, v, batch), ByAutograd.hessian_times(task, w, v, batch)
    torch.testing.assert_close(*products, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("network", [MLP(hidden=(4, 3)).network(2, TEXTS), MLPCNN().network(2, TEXTS)])
def test_what_is_no_number_is_not_hidden(network: Network) -> None:
    """A gradient is not finite wherever that of autograd is not, so that servers refuse it."""
    task = task_of(network, "bce", stored([6, 4], 2, 0))
    batch = RankingBatch(task.train, torch.tensor([[0, 1]]), torch.full((1, 2), 0.5))
    whole = parameters(network, 1, torch.float64, 0)
    for broken in range(0, whole.shape[1], max(1, whole.shape[1] // 40)):
        w = whole.clone()
        w[0, broken] = torch.nan
        lost = ByAutograd.gradient(task, w, batch).isnan().any()
        assert task.gradient(w, batch).isnan().any() or not lost


def test_no_clients_and_no_batches_give_what_there_is() -> None:
    task = task_of(MLP().network(3, TEXTS), "bce", stored([4, 2], 3, 0))
    w = parameters(task.network, 2, torch.float64, 0)
    weight = torch.full((2, 1), 1.0)
    none = RankingBatches(task.train, torch.zeros(0, 2, 1, dtype=torch.int64), weight)
    assert torch.equal(task.descend(w, w, none, Descent(0, 0.1)), w)
    nobody = RankingBatches(task.train, torch.zeros(1, 0, 1, dtype=torch.int64), weight[:0])
    assert task.descend(w[:0], w[:0], nobody, Descent(2, 0.1, laps=1)).shape == w[:0].shape
    assert task.gradient(w[:0], nobody[0]).shape == w[:0].shape


SHAPES = [MLP().network(12, TEXTS), MLPCNN().network(12, TEXTS)]
SIZES = [40, 3, 0, 75, 1, 22]


@pytest.mark.parametrize(("network", "loss"), list(itertools.product(SHAPES, sorted(LOSSES))))
def test_a_client_has_the_same_bits_alone_and_among_others(network: Network, loss: str) -> None:
    task = task_of(network, loss, in_float32(stored(SIZES, 12, 0)))
    w = parameters(network, 5, torch.float32, 1)
    batch = RankingBatch(task.train, torch.arange(20).view(5, 4) % 6, torch.full((5, 4), 0.25))
    together = task.gradient(w, batch)
    for c in range(5):
        alone = RankingBatch(task.train, batch.index[c : c + 1], batch.weight[c : c + 1])
        assert torch.equal(task.gradient(w[c : c + 1], alone)[0], together[c])
    before = w.clone()
    task.descend(w, w, RankingBatches(task.train, batch.index[None], batch.weight), Descent(3, 0.1))
    assert torch.equal(w, before), "what is given is not changed"


def test_warming_up_compiles_what_trainings_need() -> None:
    """In another process with an empty cache it makes the file, and no training adds another."""
    warm_up()
    assert descend.signatures, "it was called"


def test_without_numba_autograd_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    slates = in_float32(stored(SIZES, 12, 0))
    monkeypatch.setattr("ranking.compiled.find_spec", lambda name: None)
    task = RankingTask.of(SHAPES[0], "bce", slates, slates, 1)
    assert task.compiled is None
    assert task.stacked
    batch = RankingBatch(slates, torch.tensor([[0, 1]]), torch.full((1, 2), 0.5))
    w = parameters(SHAPES[0], 1, torch.float32, 0)
    assert torch.equal(task.gradient(w, batch), ByAutograd.gradient(task, w, batch))
