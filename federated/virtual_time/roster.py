"""Whose turn it is: everyone once, in random order, then everyone again in another.

Who is passed over keeps one turn, and loses those that come while it waits: slow users make no debts.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, Protocol

from data.randomness import generator

Turn = tuple[int, int, float]
"""User, which of their updates it is, and when they begin."""


class Gate(Protocol):
    """A server that does not take every update."""

    @property
    def merges(self) -> int:
        """How many there were."""
        ...

    def open_from(self, user: int) -> float:
        """From how many merges on it would take an update of a user; ∞: never again.

        Until an update of that user has come, it does not grow.
        """
        ...


@dataclass
class Roster:
    """Turns in order; who is busy or away when their turn comes is first to be asked later.

    Attributes:
        users: how many there are.
        seed: the run's seed.
        taken: turns drawn so far.
        waiting: user → counter of the turn that was passed over, in that order.
        resting: the same of users whose updates would not be taken.
        opening: a heap of those who will be: (after how many merges, user).
    """

    users: int
    seed: int
    taken: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    resting: dict[int, int] = field(default_factory=dict)
    opening: list[tuple[int, int]] = field(default_factory=list)

    def next(
        self,
        busy: Collection[int],
        back: Callable[[int, float], float],
        now: float,
        gate: Gate | None = None,
    ) -> Turn | None:
        """The next turn of somebody who is not busy; None if there is none.

        Args:
            busy: users who cannot take a turn.
            back: when a user is there, see `Clock.back`. If nobody is, it is the first to return.
            now: virtual time.
            gate: who would not be taken rests until they would; None: whoever is free takes their turn.
        """
        self._wake(gate)
        for user in list(self.waiting):
            if (
                user not in busy
                and not self._rests(user, self.waiting[user], gate)
                and back(user, now) <= now
            ):
                return user, self.waiting.pop(user), now
        while not self._everyone_waits(busy):
            user, counter = self._turn()
            if user in self.resting:
                continue
            if user not in busy and back(user, now) <= now and not self._rests(user, counter, gate):
                return user, counter, now
            if user not in self.resting:
                self.waiting.setdefault(user, counter)
        return self._first_back(busy, back, now, gate)

    def copy(self) -> "Roster":
        """One whose turns leave those of this one alone."""
        return replace(
            self, waiting=dict(self.waiting), resting=dict(self.resting), opening=list(self.opening)
        )

    def pack(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "taken": self.taken,
            "waiting": list(self.waiting.items()),
            "resting": list(self.resting.items()),
            "opening": self.opening,
        }

    @classmethod
    def unpack(cls, users: int, seed: int, plain: Mapping[str, Any]) -> "Roster":
        """What `pack` packed, perhaps among other values."""
        opening = [(merges, user) for merges, user in plain["opening"]]
        return cls(users, seed, plain["taken"], dict(plain["waiting"]), dict(plain["resting"]), opening)

    def _wake(self, gate: Gate | None) -> None:
        """Those who would be taken by now wait, after those who do already."""
        while gate is not None and self.opening and self.opening[0][0] <= gate.merges:
            _, user = heappop(self.opening)
            self.waiting[user] = self.resting.pop(user)

    def _rests(self, user: int, counter: int, gate: Gate | None) -> bool:
        """Whether a user must rest, and does from here on."""
        opens = 0 if gate is None else gate.open_from(user)
        if gate is None or opens <= gate.merges:
            return False
        self.waiting.pop(user, None)
        self.resting[user] = counter
        if opens < math.inf:
            heappush(self.opening, (int(opens), user))
        return True

    def _first_back(
        self, busy: Collection[int], back: Callable[[int, float], float], now: float, gate: Gate | None
    ) -> Turn | None:
        """The turn of whoever is back first of all who have been passed over."""
        passed = self.waiting if gate is not None else self.waiting | self.resting
        user = min((u for u in passed if u not in busy), key=lambda user: back(user, now), default=None)
        if user is None:
            return None
        if user in self.resting:
            self.opening = [(merges, other) for merges, other in self.opening if other != user]
        counter = self.waiting.pop(user) if user in self.waiting else self.resting.pop(user)
        return user, counter, back(user, now)

    def _everyone_waits(self, busy: Collection[int]) -> bool:
        """Whether all who are free have been passed over already."""
        passed = len(self.waiting) + len(self.resting)
        if passed + len(busy) < self.users:
            return False
        return (
            passed + sum(user not in self.waiting and user not in self.resting for user in busy) == self.users
        )

    def _turn(self) -> tuple[int, int]:
        counter, place = divmod(self.taken, self.users)
        self.taken += 1
        return _order(self.users, self.seed, counter)[place], counter


@lru_cache(maxsize=8)
def _order(users: int, seed: int, counter: int) -> list[int]:
    order: list[int] = generator(seed, "turn", counter).permutation(users).tolist()
    return order
