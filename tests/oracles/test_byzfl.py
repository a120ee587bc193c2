"""Robust rules and attacks against ByzFL 0.0.11 (MIT), where it is installed.

The package asks for torchvision, but its rules and attacks do without: `pip install --no-deps byzfl==0.0.11`
is enough, since they are imported here past the package's own `__init__`. It rounds tensors to 32 bits but
not numpy's arrays, so it gets arrays.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from federated.hostile import Attack
from federated.server.rules import Defence

Array = NDArray[np.float64]
SIZES = [(7, 3, 1), (9, 40, 3), (20, 5, 6), (31, 60, 10)]
"""K, P, f."""


@pytest.fixture(scope="module")
def byzfl() -> Iterator[ModuleType]:
    """A module with ByzFL's rules and attacks, and without the rest of it."""
    found = importlib.util.find_spec("byzfl")
    if found is None or not found.submodule_search_locations:
        pytest.skip("ByzFL is not installed")
    package = ModuleType("byzfl")
    package.__path__ = [str(Path(place)) for place in found.submodule_search_locations]
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "byzfl"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "byzfl", package)
        names = vars(importlib.import_module("byzfl.aggregators")) | vars(
            importlib.import_module("byzfl.attacks")
        )
        oracle = ModuleType("oracle")
        vars(oracle).update(names)
        yield oracle
    for name in [name for name in sys.modules if name.split(".")[0] == "byzfl" and name not in before]:
        del sys.modules[name]


def drawn(number: int, size: int, hostile: int = 0, seed: int = 0) -> Tensor:
    updates = torch.randn(number, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    updates[:hostile] += 5
    return updates


RULES: dict[str, Callable[[Any, int], Any]] = {
    "mean": lambda oracle, f: oracle.Average(),
    "trimmed-mean": lambda oracle, f: oracle.TrMean(f),
    "median": lambda oracle, f: oracle.Median(),
    "krum": lambda oracle, f: oracle.Krum(f),
    "multi-krum": lambda oracle, f: oracle.MultiKrum(f),
    "geometric-median": lambda oracle, f: oracle.GeometricMedian(nu=0.1, T=3),
    "centred-clipping": lambda oracle, f: oracle.CenteredClipping(L=3, tau=2.0),
}


@pytest.mark.parametrize(("number", "size", "f"), SIZES)
@pytest.mark.parametrize("prefix", ["", "clip+", "nnm+", "clip+nnm+", "nnm+clip+"])
@pytest.mark.parametrize("name", RULES)
def test_rules(byzfl: Any, name: str, prefix: str, number: int, size: int, f: int) -> None:
    updates = drawn(number, size, f)
    expected: Array = updates.numpy().copy()
    for step in prefix.split("+")[:-1]:
        expected = (byzfl.Clipping(2.0) if step == "clip" else byzfl.NNM(f))(expected)
    expected = RULES[name](byzfl, f)(expected)
    told = 0 if name == "mean" and "nnm" not in prefix else f
    defence = Defence(prefix + name, f=told, clip=2.0, nu=0.1, iterations=3, tau=2.0, L=3)
    found = defence(updates, torch.zeros(size, dtype=torch.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("number", [4, 5])
def test_medians_of_even_and_odd_numbers_in_32_bits(byzfl: Any, number: int) -> None:
    updates = drawn(number, 6).float()
    torch.testing.assert_close(Defence("median")(updates), byzfl.Median()(updates))


ATTACKS: dict[str, tuple[Attack, Callable[[Any], Any]]] = {
    "ipm": (Attack("ipm"), lambda oracle: oracle.InnerProductManipulation(2.0)),
    "mimic": (Attack("mimic"), lambda oracle: oracle.Mimic(0)),
    "alie": (Attack("alie", tau=1.5), lambda oracle: oracle.ALittleIsEnough(-1.5)),  # it adds the deviations
}


@pytest.mark.parametrize(("number", "size", "f"), SIZES)
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(byzfl: Any, name: str, number: int, size: int, f: int) -> None:
    attack, oracle = ATTACKS[name]
    updates, hostile = drawn(number, size), torch.arange(number) < f
    arrived = attack.sent(updates, hostile, 0, 0)
    expected = oracle(byzfl)(updates[~hostile].numpy())
    np.testing.assert_allclose(arrived[:f], np.broadcast_to(expected, (f, size)), rtol=1e-9, atol=1e-12)


def test_a_flipped_sign(byzfl: Any) -> None:
    """ByzFL flips the mean of the honest, here each flips their own: the same where all agree."""
    updates = torch.full((5, 3), 0.75, dtype=torch.float64)
    arrived = Attack("sign-flip").sent(updates, torch.arange(5) < 2, 0, 0)
    np.testing.assert_allclose(arrived[0], byzfl.SignFlipping()(updates[2:].numpy()))
