"""Virtual time: how long an update travels, and when its user is there. Nothing ever sleeps.

Every draw is keyed by the user and the number of the update, so it does not depend on what else happens.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from data.randomness import generator, generators
from federated.objectives import Positive
from federated.patience import EndlessError
from federated.virtual_time.presence import Presence
from federated.virtual_time.trace import Trace

LONGEST = 1e6
"""Of delays and times, so that sums stay exact enough and no run waits for ever."""

MOST_STAYS = 1_000
"""Mean stays, at most, in which a user can do an update: each of them is looked at."""

Delay = Annotated[float, Field(ge=0, le=LONGEST)]
Draw = Callable[[np.random.Generator], NDArray[np.float64]]

LAWS: dict[str, Draw] = {
    "exponential": lambda draw: draw.exponential(size=2),
    "uniform": lambda draw: draw.uniform(0, 2, size=2),
    "half-normal": lambda draw: np.abs(draw.normal(size=2)) * np.sqrt(np.pi / 2),
    "log-normal": lambda draw: draw.exponential(size=2),  # times the user's own factor
    "constant": lambda draw: np.ones(2),
}
"""(download, upload) delays of mean 1, by the name of their law."""


@dataclass(frozen=True)
class Timed:
    """What schedules with a server know of its users' time and trust.

    Attributes:
        download_delay: mean delay from server to user.
        upload_delay: mean delay back, computing included.
        delay_law: exponential, uniform (0 to twice the mean), half-normal, constant; log-normal: every user
            has a pace of their own, log-normal with mean 1, around which delays are exponential; trace:
            delays are read from ``delay_trace``, in units of the two means.
        delay_spread: standard deviation of the logarithm of a user's pace (law log-normal).
        delay_trace: a CSV file with the columns download and upload, and perhaps user; see `trace`.
        online_time: mean time that a user stays, if users leave at all.
        offline_time: mean time until a user who left comes back; 0: nobody leaves. Work rests meanwhile.
        max_update_norm: updates with a greater Euclidean norm are refused; None: no bound.
    """

    download_delay: Delay = 1.0
    upload_delay: Delay = 1.0
    delay_law: Literal["exponential", "uniform", "half-normal", "log-normal", "constant", "trace"] = (
        "exponential"
    )
    delay_spread: Annotated[float, Field(ge=0, le=5)] = 1.0
    delay_trace: str | None = None
    online_time: Annotated[float, Field(ge=0.01, le=LONGEST)] = 10.0
    offline_time: Delay = 0.0
    max_update_norm: Positive | None = None

    def __post_init__(self) -> None:
        if (self.delay_law == "trace") != (self.delay_trace is not None):
            raise ValueError("delay_law = trace and delay_trace = FILE belong together")
        problem = self.too_many_stays(self.download_delay + self.upload_delay)
        if problem and self.delay_law != "trace":
            raise ValueError(problem)

    def too_many_stays(self, work: float, whose: str = "an update") -> str | None:
        """What is to be said if users who come and go would need too many stays for so much work."""
        stays = work / self.online_time
        if self.offline_time == 0 or stays <= MOST_STAYS:
            return None
        return (
            f"{whose} would take {work:g}, {stays:,.0f} times online_time = {self.online_time:g}: at "
            f"most {MOST_STAYS:,} times are possible, so choose a longer online_time or shorter delays"
        )


class Clock:
    """The virtual time of one run.

    Raises:
        DataError: the trace cannot be read.
        EndlessError: a user would never be done, by the trace or by their pace.
    """

    def __init__(self, timed: Timed, seed: int, users: int) -> None:
        self._timed = timed
        self._seed = seed
        self._trace = Trace.read(timed.delay_trace, users) if timed.delay_trace else None
        self._presence = Presence(seed, timed.online_time, timed.offline_time)
        if timed.offline_time > 0:
            self._require_few_stays(users)

    def arrival(self, user: int, counter: int, start: float) -> float:
        """When the counter-th update of a user, begun at ``start``, reaches the server."""
        return self._presence.after(user, start, self.round_trip(user, counter))

    def arrivals(self, turns: Sequence[tuple[int, int, float]]) -> list[float]:
        """`arrival` of each (user, counter, start), sooner than one by one."""
        if self._trace:
            return [self.arrival(*turn) for turn in turns]
        keys = np.array([turn[:2] for turn in turns])
        delays = map(LAWS[self._timed.delay_law], generators(self._seed, "delay", keys))
        pairs = zip(turns, delays, strict=True)
        return [self._presence.after(user, start, self._sum(user, *both)) for (user, _, start), both in pairs]

    def back(self, user: int, now: float) -> float:
        """When the user is there: ``now``, or the time of their return."""
        return self._presence.back(user, now)

    def round_trip(self, user: int, counter: int) -> float:
        """Download and upload delay together of a user's counter-th update."""
        if self._trace:
            return self._sum(user, *self._trace.delays(self._seed, user, counter))
        draw = generator(self._seed, "delay", user, counter)
        return self._sum(user, *LAWS[self._timed.delay_law](draw))

    def _sum(self, user: int, down: float, up: float) -> float:
        return self._pace(user) * float(self._timed.download_delay * down + self._timed.upload_delay * up)

    def _require_few_stays(self, users: int) -> None:
        means = (self._timed.download_delay, self._timed.upload_delay)
        problem = None
        if self._trace:
            longest = float((self._trace.rows @ means).max())
            problem = self._timed.too_many_stays(longest, "the longest update of the delay trace")
        elif self._timed.delay_law == "log-normal":
            pace, user = max((self._pace(user), user) for user in range(users))
            problem = self._timed.too_many_stays(pace * sum(means), f"an update of user {user}")
        if problem:
            raise EndlessError(f"{problem}.")

    def _pace(self, user: int) -> float:
        if self._timed.delay_law != "log-normal":
            return 1.0
        spread = self._timed.delay_spread
        return float(generator(self._seed, "pace", user).lognormal(-(spread**2) / 2, spread))
