"""Small updates: right on average, as long as they say, and the same when they are read."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from federated.compression import Compression

KINDS = [
    Compression(bits=8),
    Compression(bits=4, bucket=7),
    Compression(top_k=0.05),
    Compression(bits=8, top_k=0.3, bucket=16),
    Compression(bits=4, top_k=0.01),
]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 400), st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e6]))
def test_a_message_is_as_long_as_counted_and_says_what_is_merged(
    kind: Compression, parameters: int, seed: int, scale: float
) -> None:
    update = torch.randn(parameters, generator=torch.Generator().manual_seed(seed)) * scale
    message = kind.encode(update, seed, 3, 5)
    assert len(message) == kind.size(parameters)
    sent = kind.sent(update[None], seed, [3], [5])[0]
    assert torch.equal(kind.decode(message, parameters), sent)
    assert int((sent != 0).sum()) <= kind.kept(parameters)


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_is_right_on_average(bits: int) -> None:
    kind = Compression(bits=bits)  # type: ignore[arg-type]
    update = torch.randn(64, generator=torch.Generator().manual_seed(0))
    draws = 4000
    sent = kind.sent(update.expand(draws, -1), 1, [0] * draws, range(draws))
    step = float(update.abs().max()) / (2 ** (bits - 1) - 1)
    assert (sent - update).abs().max() <= step * 1.0001
    assert (sent.double().mean(0) - update).abs().max() < 5 * step / 2 / draws**0.5
    assert len({tuple(row.tolist()) for row in sent[:50]}) == 50, "every message is rounded by its own draws"
    assert torch.equal(sent[7], kind.sent(update[None], 1, [0], [7])[0])


def test_top_k_keeps_the_largest() -> None:
    update = torch.tensor([0.1, -5, 0.2, 3, -0.3, 4, 0, 0.05])
    sent = Compression(top_k=3 / 8).sent(update[None], 0, [0], [0])[0]
    assert sent.tolist() == pytest.approx([0, -5, 0, 3, 0, 4, 0, 0])


@pytest.mark.parametrize(
    ("kind", "most"), [(KINDS[0], 0.27), (Compression(bits=4), 0.15), (KINDS[2], 0.10)], ids=str
)
def test_the_share_of_bytes_that_is_left(kind: Compression, most: float) -> None:
    assert kind.size(6785) / (4 * 6785) <= most


def test_a_message_of_another_length_or_place_is_refused() -> None:
    kind = Compression(top_k=0.5)
    message = kind.encode(torch.randn(10), 0, 0, 0)
    with pytest.raises(ValueError, match="a message of 22 bytes, not 23"):
        kind.decode(message[:-1], 10)
    with pytest.raises(ValueError, match="beyond the last parameter"):
        kind.decode(b"\xff" * len(message), 10)


def test_something_must_become_smaller() -> None:
    with pytest.raises(ValidationError, match="set bits to 8 or 4, or top_k below 1"):
        Compression()
    for wrong in ({"bits": 16}, {"top_k": 0.0}, {"top_k": 1.5}, {"bits": 8, "bucket": 0}):
        with pytest.raises(ValidationError):
            Compression(**wrong)  # type: ignore[arg-type]
