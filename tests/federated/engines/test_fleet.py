"""A fleet's book-keeping: deadlines, errors, answers to other orders, and answers nobody asked for."""

import pytest

from federated.engines.fleet import Fleet
from federated.engines.messages import ORDER, Content, Reply
from federated.patience import Interrupted, Unbounded
from tests.federated.engines.fakes import Clock, FakePost


def echo(kind: str, content: Content) -> Content:
    return Content({"kind": kind, "said": content.plain["say"]})


def never(kind: str, content: Content) -> None:
    return None


def failing(kind: str, content: Content) -> Content:
    raise ArithmeticError("out of order")


def fleet_of(post: FakePost, deadline: float = 5.0) -> tuple[Fleet, Clock]:
    clock = Clock()
    return Fleet(post, deadline, Unbounded(), clock.now, clock.pause), clock


def test_everybody_is_asked_and_who_fails_or_is_silent_is_left_out_and_counted() -> None:
    post = FakePost({1: echo, 2: never, 3: failing, 4: echo})
    fleet, clock = fleet_of(post)
    answers = fleet.ask("hello", {node: Content({"say": node}) for node in (1, 2, 3, 4, 5)})
    assert {node: answer.plain["said"] for node, answer in answers.items()} == {1: 1, 4: 4}
    assert clock.time == pytest.approx(5.0, abs=0.2), "the silent one was waited for until its deadline"
    traffic = fleet.traffic
    assert (traffic.messages, traffic.answers, traffic.late, traffic.errors) == (4, 2, 1, 2)


def test_an_answer_that_comes_after_its_deadline_is_not_taken() -> None:
    post = FakePost({1: echo}, slow=[100])
    fleet, _ = fleet_of(post)
    assert fleet.ask("hello", {1: Content({"say": "a"})}) == {}
    post.slow = [1]
    assert fleet.ask("hello", {1: Content({"say": "b"})})[1].plain["said"] == "b"
    assert fleet.traffic.late == 1


def test_an_old_answer_does_not_pass_for_a_new_one() -> None:
    kept: list[int] = []

    def replaying(kind: str, content: Content) -> Content:
        kept.append(content.plain[ORDER])
        return Content({"said": "old", ORDER: kept[0]})

    post = FakePost({1: replaying})
    fleet, _ = fleet_of(post)
    assert fleet.ask("hello", {1: Content({"say": "a"})})[1].plain["said"] == "old"
    assert fleet.ask("hello", {1: Content({"say": "b"})}) == {}, "it says that it answers the first order"
    assert fleet.traffic.not_asked == 1


def test_what_nobody_has_asked_for_is_dropped() -> None:
    post = FakePost({1: echo})
    fleet, _ = fleet_of(post)
    post.stray = [Reply("message-99", Content({ORDER: 1}))]
    assert list(fleet.ask("hello", {1: Content({"say": "a"})})) == [1]
    assert (fleet.traffic.not_asked, fleet.traffic.answers) == (1, 1)


def test_asking_leaves_other_answers_for_those_who_wait_for_them() -> None:
    post = FakePost({1: echo, 2: echo}, slow=[3, 1])
    fleet, _ = fleet_of(post)
    fleet.send(1, "long", Content({"say": "later"}), note="mine")
    assert fleet.ask("short", {2: Content({"say": "now"})})[2].plain["said"] == "now"
    heard = []
    while not heard:
        heard = fleet.hear()
    assert [(answer.node, answer.kind, answer.note) for answer in heard] == [(1, "long", "mine")]


def test_patience_is_asked_while_there_is_nothing_to_do() -> None:
    def impatient() -> None:
        raise Interrupted

    clock = Clock()
    fleet = Fleet(FakePost({1: never}), 5.0, impatient, clock.now, clock.pause)
    with pytest.raises(Interrupted):
        fleet.ask("hello", {1: Content()})


def test_what_cannot_be_true_is_counted() -> None:
    fleet, _ = fleet_of(FakePost({}))
    for error in (ValueError, KeyError, TypeError):
        with fleet.checked():
            raise error("nonsense")
    assert fleet.traffic.rejected == 3
    with pytest.raises(ZeroDivisionError), fleet.checked():
        raise ZeroDivisionError
