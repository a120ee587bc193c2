"""Who hears a signal, and what it means to whom."""

import os
import signal
from collections.abc import Iterator

import pytest

from app.runs.phases import Phases
from app.runs.signals import SIGNALS, Interrupt, give_back, take, undisturbed
from app.runs.stop import Patience, Stop
from federated.patience import Interrupted


@pytest.fixture(autouse=True)
def heard_by_nobody() -> Iterator[None]:
    """A signal would raise here, and not end pytest."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    give_back(before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_ignored_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with Stop() as stop:
        send(number)
        assert not stop.asked()
        assert signal.getsignal(number) is signal.SIG_IGN, "children inherit it"
    before = take(Interrupt())
    send(number)
    give_back(before)
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.parametrize("number", SIGNALS)
def test_one_is_a_request_two_are_urgent_and_a_third_acts_as_always(number: signal.Signals) -> None:
    with Stop() as stop:
        send(number)
        assert (stop.asked(), stop.asked_again()) == (True, False)
        send(number)
        assert stop.asked_again()
        with pytest.raises(KeyboardInterrupt):
            send(number)
    assert signal.getsignal(number) is signal.default_int_handler


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_can_be_saved_a_request_is_heard_at_once(number: signal.Signals) -> None:
    with Stop() as stop:
        with pytest.raises(Interrupted), stop.at_once():
            send(number)
        with pytest.raises(Interrupted), stop.at_once():
            pytest.fail("it was asked before")


def test_training_goes_on_for_half_a_second_and_own_models_are_found_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, said = 0.0, []
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Stop() as stop:
        patience = Patience(stop, Phases(warn=said.append))
        patience()
        send(signal.SIGTERM)
        patience()
        now = 0.6
        with pytest.raises(Interrupted):
            patience()
        patience.trained(updates=3)
        patience.tell("personal models", 1, 9)
        patience()
        assert said == ["stopping; users' own models are found first: a second signal leaves them out."]
        send(signal.SIGHUP)
        with pytest.raises(Interrupted):
            patience()


def test_who_did_not_stop_training_stops_the_finding_of_own_models_at_once() -> None:
    with Stop() as stop:
        patience = Patience(stop, Phases())
        patience.trained(updates=3)
        patience()
        send(signal.SIGINT)
        with pytest.raises(Interrupted):
            patience()


def test_many_at_a_time_interrupt_once_and_none_when_all_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    interrupt = Interrupt()
    before = take(interrupt)
    for number in SIGNALS:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        now += 0.9
        send(number)
        now += 1.1
    interrupt.over = True
    send(signal.SIGTERM)
    give_back(before)


def test_printing_is_undisturbed() -> None:
    with undisturbed():
        send(signal.SIGINT)
        send(signal.SIGTERM)
