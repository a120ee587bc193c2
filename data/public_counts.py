"""Counts that users make public together: what enough of them share, and of each only so much.

Where nobody may see searches, public counts are sums of what devices tell. A device tells of a bounded number
of different things, and of each a bounded number of times; and only what enough users tell of is told by
name, with how many tell of it. A device takes off what it has told itself. Where too few others are left, it
counts nothing: otherwise something would count for a user just because they are going to do it. Here all
devices are simulated, so that this comes down to which events count.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.arrays import Int, looked_up, within
from data.schema import DataError

OPTION = "public_counts"
"""Among a dataset's options: the bounds. Without it, or with None, all training events count."""

RELEASED = (
    "the public counts of this data were released once, with noise: nodes cannot count them again. "
    "Make it with --public-counts federated."
)

UNPROVEN = "not differential privacy: what many share is told exactly, of each user only so much"
"""What public counts within bounds are, in words."""

TIMELESS = "public counts that are summed once know no moments: leave strict time out."

UNTOLD, COUNTED, ALONE = 0, 1, 2
"""What becomes of something that a user has done: it counts for nobody; it counts; or it counts for everybody
else, but not for this user, since too few others have told of it."""


@dataclass(frozen=True)
class Bounds:
    """What may become public.

    Attributes:
        users: different users, at least, who must tell of something before it is told by name.
        things: different ones, at most, that one user tells of, what they did most often: so many queries,
            so many in groups, and so many of each way in which one search follows another.
        times: how often, at most, one user counts for one thing: the first times.
    """

    users: int = 2
    things: int = 200
    times: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"public {name} = {value!r}: it must be a whole number, and at least 1.")

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Bounds | None":
        """Those of a dataset; None where all training events count.

        Raises:
            DataError: they are none, or its counts were released with noise, see `privacy.Budget`.
        """
        told = bounds_of(manifest)
        if told is None:
            return None
        if isinstance(told, Mapping) and "epsilon" in told:
            raise DataError(RELEASED)
        if manifest["options"].get("strict_time"):
            raise DataError(TIMELESS)
        try:
            return cls(**told)
        except TypeError as error:
            raise DataError(f"public counts are bounded by {told!r}, which is no bound.") from error

    def require_users(self, there: int) -> None:
        """Raise DataError unless there are enough users for anything to become public."""
        if self.users > there:
            raise DataError(
                f"{self.users} users must tell of something before it counts, and there are {there}."
            )

    def chosen(self, user: Int, thing: Int) -> NDArray[np.bool_]:
        """(N,) which happenings their users tell of, whatever others do.

        Args:
            user: (N,) whose; each user's in the order of time.
            thing: (N,) what happened, any whole numbers. Of what a user did equally often, the smaller
                number comes first.
        """
        _, number = np.unique(thing, return_inverse=True)
        size = int(number.max(initial=0)) + 1
        pairs, pair, often = np.unique(user * size + number, return_inverse=True, return_counts=True)
        whose = pairs // size
        place = np.empty_like(pairs)
        place[np.lexsort((-often, whose))] = within(np.unique(whose, return_counts=True)[1])
        nth = np.empty_like(pair)
        nth[np.argsort(pair, kind="stable")] = within(often)
        told: NDArray[np.bool_] = (place < self.things)[pair] & (nth < self.times)
        return told

    def becoming(self, chosen: NDArray[np.bool_], tellers: Int) -> NDArray[np.int8]:
        """(N,) UNTOLD, COUNTED or ALONE: what becomes of some happenings.

        Args:
            chosen: (N,) whether their users tell of them, see `chosen`.
            tellers: (N,) how many users, of all together, tell of the same thing.
        """
        becomes = np.where(chosen & (tellers >= self.users), COUNTED, UNTOLD).astype(np.int8)
        becomes[chosen & (tellers == self.users)] = ALONE
        return becomes

    def told(self, user: Int, thing: Int) -> NDArray[np.int8]:
        """(N,) what becomes of some happenings of all users that there are; arguments as of `chosen`."""
        chosen = self.chosen(user, thing)
        sums = Sums.of(user[chosen], thing[chosen])
        return self.becoming(chosen, sums.tellers_of(thing))


@dataclass(frozen=True)
class Sums:
    """What users tell of T things together.

    Attributes:
        thing: (T,) their numbers, ascending.
        count: (T,) how often they have been told of.
        tellers: (T,) by how many users.
    """

    thing: Int
    count: Int
    tellers: Int

    @classmethod
    def of(cls, user: Int, thing: Int) -> "Sums":
        """What some happenings (N,) that users tell of come to; arguments as of `Bounds.chosen`."""
        things, number, count = np.unique(thing, return_inverse=True, return_counts=True)
        size = max(len(things), 1)
        tellers = np.bincount(np.unique(user * size + number) % size, minlength=len(things))
        return cls(things, count, tellers)

    def tellers_of(self, thing: Int) -> Int:
        """(N,) how many users tell of each thing, 0 for what nobody tells of."""
        return looked_up(self.thing, self.tellers, thing)


def bounds_of(manifest: Mapping[str, Any]) -> Any:
    """What a manifest says of the bounds of public counts, whatever that is; None where it says nothing."""
    options = manifest.get("options")
    return options.get(OPTION) if isinstance(options, Mapping) else None
