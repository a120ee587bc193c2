"""Robust rules against naive twins in numpy, and in closed form."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from federated.server import aggregation
from federated.server.rules import Defence

Array = NDArray[np.float64]
DTYPES = (torch.float32, torch.float64)
PREFIXES = ("", "clip+", "nnm+", "clip+nnm+", "nnm+clip+")


def drawn(number: int, size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# naive twins


def naive_scores(x: Array, f: int) -> list[float]:
    scores = []
    for i, one in enumerate(x):
        squares = sorted(float(((one - other) ** 2).sum()) for j, other in enumerate(x) if j != i)
        scores.append(float(np.mean(squares[: len(x) - f - 1])))
    return scores


def naive_clip(x: Array, norm: float | None) -> Array:
    norms = sorted(float(np.linalg.norm(one)) for one in x)
    bound = norms[(len(x) - 1) // 2] if norm is None else norm
    return np.array([one * min(1.0, bound / max(float(np.linalg.norm(one)), 1e-300)) for one in x])


def naive_nnm(x: Array, f: int) -> Array:
    mixed = []
    for one in x:
        nearest = sorted(range(len(x)), key=lambda j: float(np.linalg.norm(one - x[j])))
        mixed.append(x[nearest[: len(x) - f]].mean(0))
    return np.array(mixed)


def naive_trimmed(x: Array, f: int) -> Array:
    return np.array([np.mean(sorted(column)[f : len(x) - f]) for column in x.T])


def naive_geometric_median(x: Array, nu: float, iterations: int) -> Array:
    z = np.zeros(x.shape[1])
    for _ in range(iterations):
        betas = [1 / max(nu, float(np.linalg.norm(one - z))) for one in x]
        z = np.sum([beta * one for beta, one in zip(betas, x, strict=True)], axis=0) / sum(betas)
    return z


def naive_centred(x: Array, v: Array, tau: float, L: int) -> Array:
    for _ in range(L):
        v = v + naive_clip(x - v, tau).mean(0)
    return v


TWINS: dict[str, Callable[[Array, int], Array]] = {
    "mean": lambda x, f: x.mean(0),
    "trimmed-mean": naive_trimmed,
    "median": lambda x, f: np.median(x, axis=0),
    "krum": lambda x, f: x[int(np.argmin(naive_scores(x, f)))],
    "multi-krum": lambda x, f: x[np.argsort(naive_scores(x, f))[: len(x) - f]].mean(0),
    "geometric-median": lambda x, f: naive_geometric_median(x, 0.1, 3),
    "centred-clipping": lambda x, f: naive_centred(x, np.median(x, axis=0), 1.5, 2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("number", [7, 10])
def test_rules_are_their_naive_twins(name: str, prefix: str, number: int, dtype: torch.dtype) -> None:
    updates = drawn(number, 5, number, dtype)
    kept = updates.clone()
    expected = updates.double().numpy()
    for step in prefix.split("+")[:-1]:
        expected = naive_clip(expected, 2.0) if step == "clip" else naive_nnm(expected, 2)
    f = 0 if prefix + name in ("mean", "clip+mean") else 2
    found = Defence(prefix + name, f=f, clip=2.0, tau=1.5, L=2)(updates)
    assert found.dtype == dtype
    assert found.shape == (5,)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(found.numpy(), TWINS[name](expected, 2), rtol=tolerance, atol=tolerance)
    assert torch.equal(updates, kept), "updates are left as they are"


@pytest.mark.parametrize("norm", [None, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("number", [1, 2, 5, 8])
def test_clipping_is_its_naive_twin(norm: float | None, number: int) -> None:
    updates = drawn(number, 4, 3)
    np.testing.assert_allclose(aggregation.clip(updates, norm), naive_clip(updates.numpy(), norm), rtol=1e-12)


# closed forms


ROWS = torch.tensor([[0.0, 5], [1, 4], [2, 3], [100, -7], [3, 2]])


def test_closed_forms() -> None:
    assert Defence("mean")(ROWS).tolist() == pytest.approx([21.2, 1.4])
    assert Defence("trimmed-mean", f=1)(ROWS).tolist() == [2, 3]
    assert Defence("median")(ROWS).tolist() == [2, 3]
    assert Defence("median")(ROWS[:4]).tolist() == [1.5, 3.5], "the mean of the two in the middle"
    assert Defence("krum", f=1)(ROWS).tolist() == [1, 4], "of two that score the same, the first"
    assert Defence("multi-krum", f=1)(ROWS).tolist() == [1.5, 3.5]
    assert Defence("nnm", f=1)(ROWS).tolist() == pytest.approx([6.5, 2.9])


def test_clipping_scales_what_is_longer_and_nothing_else() -> None:
    updates = torch.tensor([[3.0, 4], [0.3, 0.4], [0, 0], [-30, 40]])
    torch.testing.assert_close(
        aggregation.clip(updates, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0, 0], [-0.6, 0.8]])
    )
    assert aggregation.clip(updates, None).norm(dim=1).tolist() == pytest.approx([0.5, 0.5, 0, 0.5])
    assert Defence("clip", clip=100.0)(updates).equal(updates.mean(0))
    assert not aggregation.clip(torch.zeros(3, 2), None).any()


def test_geometric_median_of_an_odd_line_and_of_a_square() -> None:
    line = torch.tensor([[-1.0], [0.0], [10.0]])
    assert Defence("geometric-median", nu=1e-6, iterations=2000)(line).item() == pytest.approx(0, abs=1e-2)
    square = torch.tensor([[0.0, 0], [0, 2], [2, 0], [2, 2]])
    torch.testing.assert_close(Defence("geometric-median", iterations=300)(square), torch.ones(2))


def test_centred_clipping_starts_where_it_is_told_to() -> None:
    before = torch.tensor([10.0, 0])
    updates = torch.tensor([[10.0, 3], [10, 0], [1000, 0]])
    assert Defence("centred-clipping", tau=1.0)(updates, before).tolist() == pytest.approx(
        [10 + 1 / 3, 1 / 3]
    )
    assert Defence("centred-clipping", tau=0.0)(updates, before).equal(before)
    assert Defence("centred-clipping", tau=1e6)(updates, before).tolist() == pytest.approx([340, 1])
    assert Defence("centred-clipping")(updates, before).tolist() == pytest.approx([11, 1]), "τ = 3"
    assert before.tolist() == [10, 0]


def test_f_zero_and_equal_updates() -> None:
    updates = drawn(6, 3)
    torch.testing.assert_close(Defence("trimmed-mean", f=0)(updates), updates.mean(0))
    torch.testing.assert_close(Defence("multi-krum", f=0)(updates), updates.mean(0))
    same = torch.full((9, 3), 0.25)
    for name in TWINS:
        for prefix in PREFIXES:
            assert Defence(prefix + name)(same).tolist() == pytest.approx([0.25] * 3)
