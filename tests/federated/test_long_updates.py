"""Updates of very many samples: bounded, fetched in parts, and given up when nobody waits for them."""

import threading
import time

import pytest
import torch

import federated.clients
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Objective, Reptile, Vanilla
from federated.patience import EndlessError, Interrupted, Unbounded
from federated.tasks.ranking import RankingTask

FRESH = MoreauEnvelope(inner_steps=3, inner_batches="fresh")


@pytest.mark.parametrize("sampling", ["random", "in-order"])
@pytest.mark.parametrize("objective", [Vanilla(), MAML(), MoreauEnvelope(), FRESH])
def test_parts_of_an_update_are_the_same_to_the_bit(
    board: RankingTask, objective: Objective, sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = Clients(board, objective, LocalSGD(0.1, 12, 5, sampling), seed=1)  # type: ignore[arg-type]
    w = board.initial(0).expand(3, -1)
    at_once = clients.deltas([0, 3, 5], [0, 1, 2], w)
    for most in (50, 2000, 5000):
        monkeypatch.setattr(federated.clients, "AT_ONCE", most)
        assert torch.equal(clients.deltas([0, 3, 5], [0, 1, 2], w), at_once)


@pytest.mark.parametrize(
    ("objective", "local", "said"),
    [
        (Vanilla(), LocalSGD(0.1, 10_000, 101), "1,010,000 times"),
        (MoreauEnvelope(inner_steps=10_000), LocalSGD(0.1, 100, 4), "4,000,000 times"),
        (MAML(maml_steps=100), LocalSGD(0.1, 1000, 4), "1,204,000 times"),
        (Reptile(), LocalSGD(0.1, 10_000, 10_000), "100,000,000 times"),
        (MAML(), LocalSGD(0.1, 1, 4000), "12,000 samples, 3 batches"),
        (MoreauEnvelope(inner_steps=9000, inner_batches="fresh"), LocalSGD(0.1, 1, 4), "36,000 samples"),
    ],
)
def test_an_update_has_bounds(board: RankingTask, objective: Objective, local: LocalSGD, said: str) -> None:
    with pytest.raises(EndlessError, match=said):
        Clients(board, objective, local, seed=0)


class Tired(Unbounded):
    """Ends the work of all threads when told to."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self) -> None:
        if self.over.is_set():
            raise Interrupted


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("personal", [False, True])
def test_no_thread_goes_on_when_nobody_waits(board: RankingTask, personal: bool, threads: int) -> None:
    tired = Tired()
    objective = MoreauEnvelope(personal_steps=10_000, tolerance=0)
    clients = Clients(board, objective, LocalSGD(0.01, 10_000), 0, patience=tired)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    threading.Timer(0.2, tired.over.set).start()
    began = time.monotonic()
    w = board.initial(0)
    with pytest.raises(Interrupted):
        clients.personalise(w) if personal else clients.deltas([*range(8)] * 2, [0] * 16, w.expand(16, -1))
    torch.set_num_threads(before)
    assert time.monotonic() - began < 2
