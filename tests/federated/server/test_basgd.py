"""BASGD's buffers: who goes where, when they are full, what comes out, and that a resume changes no bit."""

import numpy as np
import pytest
import torch

from federated.server.basgd import Buffers


def test_users_go_to_their_buffers_and_the_median_of_means_comes_out() -> None:
    buffers = Buffers(3)
    assert not buffers.full
    for user, value in ((0, 1.0), (3, 3.0), (1, 10.0), (0, 5.0)):
        buffers.add(user, torch.tensor([value, -value]))
        assert not buffers.full
    buffers.add(5, torch.tensor([-1.0, 7.0]))
    assert buffers.full
    assert buffers.means().tolist() == [[3, -3], [10, -10], [-1, 7]]
    assert buffers.aggregate().tolist() == [3, -3]
    assert not buffers.full
    assert not buffers.pack()


def test_it_is_its_naive_twin() -> None:
    drawn = np.random.default_rng(0)
    for number in (3, 4, 7):
        buffers, naive = Buffers(number), [[] for _ in range(number)]  # type: ignore[var-annotated]
        while not buffers.full:
            user, update = int(drawn.integers(20)), drawn.standard_normal(5)
            buffers.add(user, torch.from_numpy(update))
            naive[user % number].append(update)
        assert all(naive)
        expected = np.median([np.mean(held, axis=0) for held in naive], axis=0)
        np.testing.assert_allclose(buffers.aggregate(), expected, rtol=1e-12)


def test_fewer_than_half_of_the_buffers_can_be_spoiled() -> None:
    buffers = Buffers(5)
    for user in range(15):
        buffers.add(user, torch.full((2,), 1e12 if user % 5 < 2 else float(user)))
    aggregated = buffers.aggregate()
    assert (aggregated >= 7).all()
    assert (aggregated <= 9).all()


def test_one_user_who_sends_much_fills_one_buffer() -> None:
    buffers = Buffers(3)
    for _ in range(100):
        buffers.add(4, torch.full((2,), 1e12))
    assert not buffers.full
    with pytest.raises(ValueError, match="a buffer is still empty, so there is nothing to aggregate yet"):
        buffers.aggregate()
    buffers.add(0, torch.ones(2))
    buffers.add(2, torch.ones(2))
    assert buffers.aggregate().tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resume_changes_no_bit(dtype: torch.dtype) -> None:
    updates = torch.randn(40, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)

    def path(resumed: bool) -> list[list[float]]:
        buffers, found = Buffers(3), []
        for user, update in enumerate(updates):
            buffers.add(user * 7 % 5, update)
            if resumed:
                buffers = Buffers.unpack(3, {"w": update, **buffers.pack()})
            if buffers.full:
                found.append(buffers.aggregate().tolist())
        return found

    assert path(True) == path(False)
    assert len(path(True)) > 3


def test_what_is_packed_stays_as_it_is() -> None:
    buffers = Buffers(3)
    buffers.add(0, torch.ones(2))
    packed = buffers.pack()
    kept = {name: tensor.clone() for name, tensor in packed.items()}
    buffers.add(0, torch.ones(2))
    Buffers.unpack(3, packed).add(1, torch.ones(2))
    assert all(packed[name].equal(tensor) for name, tensor in kept.items())
    assert Buffers.unpack(3, {}).pack() == {}
