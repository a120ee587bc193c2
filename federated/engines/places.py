"""Which users live behind which node, and whose turn it is there.

A node is known by a name of its own, which its folder keeps: whoever comes back under another number, after
a restart, takes the same place. A user's number on the server is that of the place's first user plus the
user's own number there.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from federated.virtual_time.roster import Gate, Roster


@dataclass(frozen=True)
class Here:
    """A gate that knows users by their numbers at a place."""

    gate: Gate
    begin: int

    @property
    def merges(self) -> int:
        """See `Gate.merges`."""
        return self.gate.merges

    def open_from(self, user: int) -> float:
        """See `Gate.open_from`."""
        return self.gate.open_from(self.begin + user)


@dataclass
class Place:
    """A node's users.

    Attributes:
        name: of the node.
        begin: the number of its first user.
        roster: whose turn it is there, by the users' numbers there.
        node: who is there now; None: nobody.
        tries: orders in a row that came to nothing.
    """

    name: str
    begin: int
    roster: Roster
    node: int | None = None
    tries: int = 0

    @property
    def users(self) -> int:
        """How many users live there."""
        return self.roster.users

    def draw(
        self, number: int, gate: Gate | None = None, before: Mapping[int, int] | None = None
    ) -> dict[int, int]:
        """The next users in turn, so many or all there are: which of their updates it is, by user.

        Args:
            number: how many.
            gate: who would not be taken is passed over; it knows users by their numbers on the server.
            before: users who have been drawn already, and are among those that are returned.
        """
        drawn = dict(before or {})
        here = None if gate is None else Here(gate, self.begin)
        while len(drawn) < min(number, self.users):
            turn = self.roster.next(drawn, lambda user, now: now, 0.0, here)
            if turn is None:
                break
            drawn[turn[0]] = turn[1]
        return drawn

    def give_back(self, turns: dict[int, int]) -> None:
        """Turns that came to nothing are taken first."""
        self.roster.waiting = {**turns, **{u: c for u, c in self.roster.waiting.items() if u not in turns}}


@dataclass
class Places:
    """All places that have ever been taken, in the order in which they first were."""

    seed: int
    known: dict[str, Place] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """U, behind all nodes together."""
        return sum(place.users for place in self.known.values())

    def settle(self, name: str, users: int, node: int) -> Place | None:
        """Let a node take its place, which it has had before or not; None where that has other users."""
        place = self.known.get(name)
        if place is None:
            place = self.known[name] = Place(name, self.users, Roster(users, self.seed))
        if place.users != users:
            return None
        if place.node != node:
            place.node, place.tries = node, 0
        return place

    def here(self, nodes: Collection[int]) -> Iterator[Place]:
        """The places whose nodes are there."""
        return (place for place in self.known.values() if place.node in nodes)

    def pack(self, under_way: dict[str, dict[int, int]]) -> list[Any]:
        """As JSON values; turns that are ``under_way``, by place, are as if they had not been taken."""
        packed = []
        for place in self.known.values():
            as_if = replace(place, roster=place.roster.copy())
            as_if.give_back(under_way.get(place.name, {}))
            packed.append([place.name, place.users, as_if.roster.pack()])
        return packed

    @classmethod
    def unpack(cls, seed: int, packed: list[Any]) -> "Places":
        """What `pack` packed; nobody is there yet."""
        places = cls(seed)
        for name, users, roster in packed:
            places.known[name] = Place(name, places.users, Roster.unpack(users, seed, roster))
        return places
