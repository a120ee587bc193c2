"""Users behind nodes: their numbers, their turns, and what a checkpoint keeps of both."""

import json
import math
from collections import Counter

import pytest

from federated.engines.places import Places


def test_users_are_numbered_in_the_order_in_which_their_nodes_came() -> None:
    places = Places(0)
    first, second = places.settle("a", 3, 7), places.settle("b", 2, 9)
    assert first is not None
    assert second is not None
    assert (first.begin, second.begin, places.users) == (0, 3, 5)
    assert second.node == 9
    assert [place.name for place in places.here({9, 1})] == ["b"]


def test_a_node_that_comes_back_under_another_number_has_its_place_again() -> None:
    places = Places(0)
    before = places.settle("a", 3, 7)
    assert places.settle("a", 3, 8) is before
    assert places.users == 3
    assert before is not None
    assert before.node == 8
    assert places.settle("a", 4, 9) is None, "a place does not change its users"


def test_everybody_has_as_many_turns_as_the_others() -> None:
    place = Places(3).settle("a", 7, 1)
    assert place is not None
    turns = Counter[int]()
    for _ in range(21):
        turns.update(list(place.draw(3)))
    assert max(turns.values()) - min(turns.values()) <= 1
    assert sum(turns.values()) == 63


def test_more_than_all_is_all() -> None:
    place = Places(3).settle("a", 4, 1)
    assert place is not None
    assert sorted(place.draw(9)) == [0, 1, 2, 3]


def test_turns_that_came_to_nothing_are_taken_again_with_their_numbers() -> None:
    place = Places(3).settle("a", 6, 1)
    assert place is not None
    lost = place.draw(3)
    place.draw(2)
    place.give_back(lost)
    assert place.draw(3) == lost


@pytest.mark.parametrize("under_way", [True, False])
def test_a_checkpoint_takes_what_was_under_way_as_not_taken(under_way: bool) -> None:
    places = Places(5)
    for name, users in (("a", 4), ("b", 3)):
        places.settle(name, users, 1)
    place = places.known["a"]
    done, now = place.draw(2), place.draw(1)
    packed = json.loads(json.dumps(places.pack({"a": now} if under_way else {})))
    again = Places.unpack(5, packed)
    assert (again.users, again.known["b"].begin, again.known["a"].node) == (7, 4, None)
    drawn = again.known["a"].draw(1)
    if under_way:
        assert drawn == now
    else:
        assert not set(drawn) & (set(done) | set(now))


class Closed:
    """A gate that is closed to some users for ever."""

    merges = 0

    def __init__(self, *users: int) -> None:
        self.users = users

    def open_from(self, user: int) -> float:
        return math.inf if user in self.users else 0


def test_users_are_passed_over_by_their_numbers_on_the_server() -> None:
    places = Places(0)
    places.settle("a", 3, 1)
    second = places.settle("b", 4, 2)
    assert second is not None
    drawn = second.draw(4, Closed(0, 1, 2, 4))
    assert sorted(drawn) == [0, 2, 3], "user 4 of all is user 1 of them"
    assert second.draw(4, Closed(*range(7))) == {}
    assert sorted(second.draw(4)) == [0, 1, 2, 3], "without a gate whoever is free"
