"""What a training promises each of its users, and what it takes to keep that.

Client-level (ε, δ)-differential privacy: whether a user took part at all, with all their data, changes the
probability of any series of common models by a factor e^ε at most, but for δ. An update is clipped to a norm
C before it is sent, all weigh the same, the sum is divided by a number that does not depend on who came, and
gets Gaussian noise of σ C in every parameter. A user is merged k times at most, which the server enforces;
when, and beside whom, does not matter, and no amplification by sampling is claimed.
"""

import math
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from federated.objectives import Positive
from federated.privacy.accounting import epsilon_of, mu_of
from federated.privacy.noise import Banded, Independent, Keyed, Mechanism, Source, System, Tree

BITS = 20
"""By default the count of updates below C gets noise of a 20th of how many there are (Andrew 2021)."""


@dataclass(frozen=True)
class Privacy:
    """Client-level differential privacy.

    Attributes:
        epsilon: ε.
        delta: δ, less than one over the number of users.
        clip: C, the greatest Euclidean norm of an update; with ``quantile`` where it begins.
        participations: k, how often a user is merged at most; None: as often as all are when everybody has
            as many turns.
        noise: of merges: "independent"; or correlated, for many small merges (DP-FTRL): "tree" (Kairouz
            2021), with each user once in a tree, or "banded" (Choquette-Choo 2023), with a user's merges a
            band apart.
        leaves: merges in a tree; None: as many as everybody's turn takes.
        band: merges, at least, from one of a user to the next; None: three quarters of what everybody's
            turn takes.
        quantile: if given, C moves towards the norm that this part of the updates is below (Andrew 2021). The
            count of those below is noised, too, and paid for.
        clip_lr: how fast C moves, as an exponent.
        bit_noise: σ_b, of that count; None: a 20th of the updates in a merge, or what ε allows.
        randomness: where noise comes from: "keyed" by the seed, for simulation: whoever knows it can take the
            noise off again; "system": the operating system's.
    """

    epsilon: Annotated[float, Field(ge=0.001, le=1000)]
    delta: Annotated[float, Field(ge=1e-15, lt=1)]
    clip: Positive = 0.1
    participations: Annotated[int, Field(ge=1)] | None = None
    noise: Literal["independent", "tree", "banded"] = "independent"
    leaves: Annotated[int, Field(ge=1)] | None = None
    band: Annotated[int, Field(ge=1, le=10_000)] | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_lr: Annotated[float, Field(gt=0, le=2)] = 0.2
    bit_noise: Positive | None = None
    randomness: Literal["keyed", "system"] = "keyed"

    def planned(self, updates: int, users: int, size: int) -> "Privacy":
        """With all that depends on the training: so many updates of so many users, ``size`` in a merge.

        Raises:
            ValueError: δ is no promise to so many users, updates are more than all may be merged, or so far
                apart that some time nobody may be merged.
        """
        if self.delta >= 1 / users:
            raise ValueError(
                f"privacy.delta = {self.delta:g} lets one of {users} users be given away entirely: "
                f"it must be less than 1/{users} = {1 / users:.3g}"
            )
        turns = -(-updates // users)
        participations = self.participations or turns
        if participations < turns:
            raise ValueError(
                f"{updates} updates of {users} users are {turns} each, and privacy.participations allows "
                f"{participations}: set updates to {participations * users} at most"
            )
        turn, merges = max(1, users // size), -(-updates // size)
        leaves, band = self.leaves or turn, self.band or max(1, turn * 3 // 4)
        apart = {"independent": 1, "tree": leaves, "banded": band}[self.noise]
        if apart > turn:
            name = "leaves" if self.noise == "tree" else "band"
            raise ValueError(
                f"privacy.{name} = {apart} asks for {apart * size} users who are merged one after the other, "
                f"{size} at a time, and there are {users}: set it to {turn} at most"
            )
        most = {"independent": merges, "tree": -(-merges // leaves), "banded": -(-merges // band)}[self.noise]
        return replace(self, participations=min(participations, most), leaves=leaves, band=band)

    @cached_property
    def mechanism(self) -> Mechanism:
        """How the noise of one merge goes with that of others."""
        if self.noise == "tree":
            assert self.leaves is not None, "planned"
            return Tree(self.leaves)
        if self.noise == "banded":
            assert self.band is not None, "planned"
            return Banded(self.band)
        return Independent()

    def source(self, seed: int) -> Source:
        """Where noise comes from."""
        return Keyed(seed) if self.randomness == "keyed" else System()

    def bit_multiplier(self, size: int) -> float:
        """σ_b, of the count of updates below the bound, of ``size`` in a merge.

        Raises:
            ValueError: the count alone would tell more than ε allows.
        """
        assert self.participations is not None, "planned"
        least = math.sqrt(self.participations) / mu_of(self.epsilon, self.delta)
        found = self.bit_noise or max(size / BITS, 2 * least)
        if found > size:
            raise ValueError(
                f"the count of updates below the bound, of {size}, would drown in its noise of {found:.3g}: "
                "leave quantile out, or merge more updates at a time"
            )
        if found <= least:
            raise ValueError(
                f"privacy.bit_noise = {found:g} tells more than epsilon = {self.epsilon:g} allows: it must "
                f"be more than {least:.3g}"
            )
        return found

    def multiplier(self, size: int) -> float:
        """σ: noise of a merge is σ C in every parameter. With a count of bits each of a user's k merges tells
        a bit more: μ² = S²/σ² + k/σ_b², S² the squared sensitivity of the mechanism.

        A user changes the count by 1 at most: who sends zeros is counted as below the bound, and who sends a
        long update is not. (Andrew 2021 has ½, since there who does not take part is not counted as ½.)

        Raises:
            ValueError: see `bit_multiplier`.
        """
        assert self.participations is not None, "planned"
        squared = mu_of(self.epsilon, self.delta) ** 2
        if self.quantile is not None:
            squared -= self.participations / self.bit_multiplier(size) ** 2
        return math.sqrt(self.mechanism.squared_sensitivity(self.participations) / squared)

    def told(self, size: int, most: int) -> dict[str, Any]:
        """What a summary tells, with what has really been spent.

        Args:
            size: updates in a merge.
            most: how often the user was merged who was merged most often.
        """
        noise = self.multiplier(size)
        bits = None if self.quantile is None else self.bit_multiplier(size)
        squared = self.mechanism.squared_sensitivity(max(most, 1)) / noise**2
        squared += 0 if bits is None else most / bits**2
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "spent_epsilon": min(self.epsilon, epsilon_of(self.delta, math.sqrt(squared))) if most else 0.0,
            "participations": self.participations,
            "most_participations": most,
            "noise": self.noise,
            "leaves": self.leaves if self.noise == "tree" else None,
            "band": self.band if self.noise == "banded" else None,
            "noise_multiplier": noise,
            "bit_noise": bits,
            "updates_in_a_merge": size,
            "randomness": self.randomness,
        }
