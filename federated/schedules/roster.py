"""Whose turn it is: everyone once, in random order, then everyone again in another."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache

from data.randomness import generator


@dataclass
class Roster:
    """Turns in order; who is busy or away when their turn comes is first to be asked later.

    Attributes:
        users: how many there are.
        seed: the run's seed.
        taken: turns drawn so far.
        waiting: (user, counter) of turns that were drawn but passed over.
    """

    users: int
    seed: int
    taken: int = 0
    waiting: list[tuple[int, int]] = field(default_factory=list)

    def next(
        self, busy: Collection[int], back: Callable[[int, float], float], now: float
    ) -> tuple[int, int, float]:
        """(user, counter, time to begin) of the next turn of somebody who is not busy.

        Args:
            busy: users who cannot take a turn; at least one user is not busy.
            back: when a user is there, see `Clock.back`. If nobody is, it is the first to return.
            now: virtual time.
        """
        for at, (user, counter) in enumerate(self.waiting):
            if user not in busy and back(user, now) <= now:
                del self.waiting[at]
                return user, counter, now
        while not self._everyone_waits(busy):
            user, counter = self._turn()
            if user not in busy and back(user, now) <= now:
                return user, counter, now
            self.waiting.append((user, counter))
        free = [at for at, (user, _) in enumerate(self.waiting) if user not in busy]
        at = min(free, key=lambda at: back(self.waiting[at][0], now))
        user, counter = self.waiting.pop(at)
        return user, counter, back(user, now)

    def _everyone_waits(self, busy: Collection[int]) -> bool:
        """Whether all who are free have been passed over already."""
        if len(self.waiting) < self.users - len(busy):
            return False
        return len({user for user, _ in self.waiting if user not in busy}) == self.users - len(busy)

    def _turn(self) -> tuple[int, int]:
        counter, place = divmod(self.taken, self.users)
        self.taken += 1
        return _order(self.users, self.seed, counter)[place], counter


@lru_cache(maxsize=8)
def _order(users: int, seed: int, counter: int) -> list[int]:
    order: list[int] = generator(seed, "turn", counter).permutation(users).tolist()
    return order
