"""Users who leave and come back: alternating stays and absences of exponential length."""

from bisect import bisect_right
from itertools import count

from data.randomness import generator


class Presence:
    """When each user is there. Draws are keyed, so what is kept here is only a memory of them.

    Args:
        seed: the run's seed.
        online: mean time of a stay.
        offline: mean time of an absence; 0: everybody always stays.
    """

    def __init__(self, seed: int, online: float, offline: float) -> None:
        self._seed = seed
        self._means = (online, offline)
        self._switches: dict[int, tuple[bool, list[float]]] = {}

    def back(self, user: int, now: float) -> float:
        """``now`` if the user is there, else the time of the return."""
        return self.after(user, now, 0.0)

    def after(self, user: int, start: float, work: float) -> float:
        """When ``work`` units of the user's presence have passed since ``start``; absences do not count."""
        if self._means[1] == 0:
            return start + work
        here, switches = self._known(user, start)
        at = bisect_right(switches, start)
        there = here == (at % 2 == 0)
        now = start
        while True:
            here, switches = self._known(user, switches[at] if at < len(switches) else now)
            if there:
                if now + work < switches[at]:
                    return now + work
                work -= switches[at] - now
            now, there, at = switches[at], not there, at + 1

    def _known(self, user: int, time: float) -> tuple[bool, list[float]]:
        """Whether the user was there at time 0, and the times of all changes until after ``time``."""
        online, offline = self._means
        if user not in self._switches:
            first = generator(self._seed, "presence", user).random() * (online + offline)
            self._switches[user] = (bool(first < online), [])
        here, switches = self._switches[user]
        for number in count(len(switches)):
            if switches and switches[-1] > time:
                break
            mean = online if here == (number % 2 == 0) else offline
            length = generator(self._seed, "presence", user, number + 1).exponential(mean)
            switches.append((switches[-1] if switches else 0.0) + float(length))
        return here, switches
