"""Pieces of work: every one is done once, in order, whatever the number of threads."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import ThreadpoolController

from federated.clients import STACK, _pieces
from federated.workers import in_parallel, one_thread, shared


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_and_inside_there_is_one_thread(threads: int) -> None:
    inside = in_parallel(lambda piece: (piece, torch.get_num_threads()), list(range(9)))
    assert inside == [(piece, 1) for piece in range(9)]
    assert torch.get_num_threads() == threads, "afterwards all is as before"


def test_several_pieces_are_under_way_at_once() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    meet = threading.Barrier(2, timeout=60)
    in_parallel(lambda piece: meet.wait(), [0, 1])  # one after the other, they would wait for ever
    torch.set_num_threads(before)


def test_an_error_in_a_piece_is_raised_and_the_setting_comes_back(threads: int) -> None:
    def fail(piece: int) -> None:
        raise FloatingPointError(str(piece))

    with pytest.raises(FloatingPointError, match="0"):
        in_parallel(fail, [0, 1, 2])
    with pytest.raises(KeyError), one_thread():
        {}["missing"]
    assert torch.get_num_threads() == threads


def test_after_an_error_nothing_goes_on() -> None:
    """What has been begun writes to what others will read."""
    before, ended = torch.get_num_threads(), []
    torch.set_num_threads(2)
    begun = threading.Event()

    def piece(number: int) -> None:
        if number == 0:
            begun.wait(60)
            raise KeyError(number)
        begun.set()
        time.sleep(0.2)
        ended.append(number)

    with pytest.raises(KeyError):
        in_parallel(piece, [0, 1])
    assert ended == [1]
    torch.set_num_threads(before)


def test_whoever_leaves_first_does_not_free_the_blas_that_another_still_holds() -> None:
    blas = ThreadpoolController().select(user_api="blas")
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with one_thread():
            inside.set()
            leave.wait(60)

    with blas.limit(limits=2):
        thread = threading.Thread(target=first)
        thread.start()
        inside.wait(60)
        with one_thread():
            leave.set()
            thread.join()
            assert {library["num_threads"] for library in blas.info()} == {1}
        assert {library["num_threads"] for library in blas.info()} == {2}


def test_nothing_is_shared_by_nobody(threads: int) -> None:
    asked: list[range] = []
    shared(asked.append, 0)
    assert asked == []
    shared(asked.append, 100)
    assert sorted(number for part in asked for number in part) == list(range(100))


@pytest.mark.parametrize("clients", [1, 2, 15, 16, 40, 99, 100, 101, 200, 1001])
def test_pieces_are_of_like_size_and_miss_nobody(clients: int) -> None:
    pieces = _pieces(clients)
    assert [client for piece in pieces for client in range(clients)[piece]] == list(range(clients))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= STACK
