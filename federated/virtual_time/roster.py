"""Whose turn it is: everyone once, in random order, then everyone again in another.

Who is passed over keeps one turn, and loses those that come while it waits: slow users make no debts.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache

from data.randomness import generator

Turn = tuple[int, int, float]
"""User, which of their updates it is, and when they begin."""


def nobody(user: int) -> bool:
    """Whether a user is barred where none is."""
    return False


@dataclass
class Roster:
    """Turns in order; who is busy, away or barred when their turn comes is first to be asked later.

    Attributes:
        users: how many there are.
        seed: the run's seed.
        taken: turns drawn so far.
        waiting: user → counter of the turn that was passed over, in that order.
    """

    users: int
    seed: int
    taken: int = 0
    waiting: dict[int, int] = field(default_factory=dict)

    def next(
        self,
        busy: Collection[int],
        back: Callable[[int, float], float],
        now: float,
        barred: Callable[[int], bool] = nobody,
    ) -> Turn | None:
        """The next turn of somebody who is not busy; None if there is none.

        Args:
            busy: users who cannot take a turn.
            back: when a user is there, see `Clock.back`. If nobody is, it is the first to return.
            now: virtual time.
            barred: whether a user must not take a turn now; they keep it.
        """
        for user in self.waiting:
            if user not in busy and back(user, now) <= now and not barred(user):
                return user, self.waiting.pop(user), now
        while not self._everyone_waits(busy):
            user, counter = self._turn()
            if user not in busy and back(user, now) <= now and not barred(user):
                return user, counter, now
            self.waiting.setdefault(user, counter)
        free = [user for user in self.waiting if user not in busy and not barred(user)]
        if not free:
            return None
        user = min(free, key=lambda user: back(user, now))
        return user, self.waiting.pop(user), back(user, now)

    def copy(self) -> "Roster":
        """One whose turns leave those of this one alone."""
        return replace(self, waiting=dict(self.waiting))

    def _everyone_waits(self, busy: Collection[int]) -> bool:
        """Whether all who are free have been passed over already."""
        free = self.users - len(busy)
        return len(self.waiting) >= free and sum(user not in busy for user in self.waiting) == free

    def _turn(self) -> tuple[int, int]:
        counter, place = divmod(self.taken, self.users)
        self.taken += 1
        return _order(self.users, self.seed, counter)[place], counter


@lru_cache(maxsize=8)
def _order(users: int, seed: int, counter: int) -> list[int]:
    order: list[int] = generator(seed, "turn", counter).permutation(users).tolist()
    return order
