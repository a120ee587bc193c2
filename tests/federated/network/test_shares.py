"""The memory of what was sent, against a dictionary that forgets nothing."""

import numpy as np
import pytest
import torch

from data.randomness import generator
from federated.network import shares as module
from federated.network.shares import Shares
from federated.network.topology import draw

GRAPH = draw("random", 6, 2, 0)
LINKS = len(GRAPH.source)


def test_what_was_sent_between_two_stamps_is_heard_whatever_the_room() -> None:
    """Stamps advance at random, so that links wait for one to about twenty rounds, and the room doubles."""
    chance = generator(0, "shares")
    shares = Shares(torch.zeros(1, 6, 3, dtype=torch.float64), np.zeros((1, 6), bool))
    stamp, known, rooms = np.full(LINKS, -1), {}, set()
    for now in range(200):
        sending = chance.random(6) < 0.6
        values = torch.from_numpy(chance.random((6, 3)))
        awaited = np.arange(stamp.min() + 1, now)
        shares = shares.add(now, awaited, values, sending)
        known |= {(now, node): values[node] for node in np.flatnonzero(sending)}
        rooms.add(len(shares.sent))
        upto = np.where(chance.random(LINKS) < 0.3, chance.integers(stamp, now + 1), stamp)
        heard = shares.heard(GRAPH, stamp, upto)
        for node in range(6):
            expected = torch.zeros(3, dtype=torch.float64)
            for link in np.flatnonzero(GRAPH.target == node):
                for r in range(stamp[link] + 1, upto[link] + 1):
                    expected += known.get((r, GRAPH.source[link]), 0)
            torch.testing.assert_close(heard[node], expected, rtol=0, atol=1e-12)
        stamp = upto
    assert len(rooms) > 3


def test_packed_into_another_room_they_are_the_same() -> None:
    shares = Shares(torch.rand(8, 6, 3), np.ones((8, 6), bool))
    rounds = np.arange(21, 27)
    again = Shares.of(rounds, *shares.only(rounds), room=6)
    after, upto = np.full(LINKS, 20), np.full(LINKS, 26)
    assert torch.equal(again.heard(GRAPH, after, upto), shares.heard(GRAPH, after, upto))
    assert again.copies(GRAPH, after, upto).sum() == shares.copies(GRAPH, after, upto).sum() == 6 * LINKS


def test_more_than_there_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 8 * 6 * 3 * 4)
    shares = Shares(torch.zeros(8, 6, 3), np.zeros((8, 6), bool))
    with pytest.raises(MemoryError, match="a node was not heard for 8 rounds"):
        shares.add(8, np.arange(8), torch.zeros(6, 3), np.ones(6, bool))
