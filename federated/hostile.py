"""Hostile users, simulated: who they are, and what arrives from them in place of an honest update.

They know everything: what the honest users have sent whose updates are merged with theirs, and how many they
themselves are. Where no honest update is merged with theirs, they go by what they would have sent honestly.
Without a server they see the steps of a round, take the step that they make of them, and share what comes of
it (`Gossip`).
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from data.randomness import generator
from federated.objectives.bounds import NonNegative

Kind = Literal["sign-flip", "scaled", "ipm", "alie", "gaussian", "label-flip", "mimic", "min-max"]


class About(NamedTuple):
    """An attack: in one line what is sent, and the paper."""

    about: str
    source: str


ATTACKS: dict[Kind, About] = {
    "sign-flip": About("the opposite of one's own update, times scale (1; often 10)", "Allen-Zhu 2020"),
    "scaled": About("one's own update times scale (10)", "Bagdasaryan 2020"),
    "ipm": About("−tau (2) times the mean of the honest: inner-product manipulation", "Xie 2020"),
    "alie": About(
        "the mean of the honest minus tau of their standard deviations: a little is enough", "Baruch 2019"
    ),
    "gaussian": About("noise of standard deviation sigma (1)", "Blanchard 2017"),
    "label-flip": About("honest in form, but computed on data whose labels are flipped", "Tolpegin 2020"),
    "mimic": About("a copy of one honest update, which then counts too much", "Karimireddy 2022"),
    "min-max": About(
        "as far from the mean of the honest as two honest updates are from each other",
        "Shejwalkar & Houmansadr 2021",
    ),
}


@dataclass(frozen=True)
class Attack:
    """What hostile users do, and how many they are.

    Attributes:
        kind: a name of `ATTACKS`.
        share: of all users who are hostile; 0: nobody.
        scale: of sign-flip and scaled; None: 1 and 10.
        tau: τ of ipm (None: 2), and the standard deviations z of alie (None: as many as can hide among the
            honest, see `hidden_deviations`; ByzFL takes 1.5).
        sigma: σ of gaussian, in the unit of the updates.
    """

    kind: Kind = "sign-flip"
    share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    scale: NonNegative | None = None
    tau: NonNegative | None = None
    sigma: NonNegative = 1.0

    @property
    def poisons_data(self) -> bool:
        """Whether hostile users compute on flipped labels, and send what comes of it."""
        return self.kind == "label-flip"

    def hostile_users(self, users: int, seed: int) -> Tensor:
        """(U,) bool, who is hostile: at least one, unless the share is 0.

        Whoever is hostile at one share is so at every greater one.

        Args:
            users: U.
            seed: the run's.
        """
        number = max(1, round(self.share * users)) if self.share else 0
        hostile = torch.zeros(users, dtype=torch.bool)
        hostile[torch.from_numpy(generator(seed, "hostile").permutation(users)[:number])] = True
        return hostile

    def told(self, users: int, seed: int) -> dict[str, Any]:
        """What a summary tells: the kind, and how many of so many users are hostile."""
        return {"kind": self.kind, "users": int(self.hostile_users(users, seed).sum())}

    def sent(self, updates: Tensor, hostile: Tensor, seed: int, merge: int) -> Tensor:
        """(K, P) what arrives at the server; rows of honest users keep their bits.

        Args:
            updates: (K, P) that honest users would send, all that are merged together.
            hostile: (K,) bool, whose rows are not.
            seed: the run's.
            merge: which merge it is, from 0; noise is keyed by it and by the row.
        """
        if self.poisons_data or not hostile.any():
            return updates
        own = updates[hostile]
        known = own if hostile.all() else updates[~hostile]
        if self.kind == "gaussian":
            rows = hostile.nonzero()[:, 0].tolist()
            drawn = [
                generator(seed, "hostile noise", merge, row).standard_normal(own.shape[1]) for row in rows
            ]
            lie = torch.stack([self.sigma * torch.from_numpy(noise) for noise in drawn]).to(own.dtype)
        else:
            lie = self._lies()[self.kind](own, known)
        arrived = updates.clone()
        arrived[hostile] = lie
        return arrived

    def _lies(self) -> dict[Kind, Callable[[Tensor, Tensor], Tensor]]:
        """Of own updates (H, P) and known ones (N, P), what is sent: (H, P), or (P,) by all alike."""
        return {
            "sign-flip": lambda own, _: own * -(1.0 if self.scale is None else self.scale),
            "scaled": lambda own, _: own * (10.0 if self.scale is None else self.scale),
            "ipm": lambda _, known: known.mean(0) * -(2.0 if self.tau is None else self.tau),
            "alie": self._a_little,
            "mimic": lambda _, known: known[0],
            "min-max": lambda _, known: _farthest(known),
        }

    def _a_little(self, own: Tensor, known: Tensor) -> Tensor:
        hostile, honest = len(own), 0 if own is known else len(known)
        z = hidden_deviations(hostile + honest, hostile) if self.tau is None else self.tau
        return known.mean(0) - z * _deviation(known)


def hidden_deviations(updates: int, hostile: int) -> float:
    """z of ALIE, by how many standard deviations hostile updates can differ and still look honest.

    z = Φ⁻¹((n − f − s)/(n − f)), where s = ⌊n/2⌋ + 1 − f is how many honest updates must lie farther out for
    them and the hostile ones to be a majority (Baruch 2019). At least 0; and 1.5, ByzFL's figure, where the
    hostile are a majority by themselves.

    Args:
        updates: n of the merge.
        hostile: f of them.
    """
    honest, supporters = updates - hostile, updates // 2 + 1 - hostile
    if supporters < 1 or honest < 1:
        return 1.5
    inside = (honest - supporters) / honest
    return NormalDist().inv_cdf(inside) if inside > 0.5 else 0.0


def _farthest(known: Tensor) -> Tensor:
    """(P,) mean + γp along p = −(standard deviation), with the greatest γ at which it is no farther from any
    known update than two of these are from each other (min-max; Shejwalkar & Houmansadr 2021).

    The paper searches for γ by halving; it is the least of the roots of ‖mean + γp − x_i‖² = bound².
    """
    exact = known.double()
    mean, along = exact.mean(0), -_deviation(exact)
    length = along.square().sum()
    if length == 0:
        return mean.to(known.dtype)
    away = mean - exact
    bound = torch.pdist(exact).max().square()
    across = away @ along
    gap = (bound - away.square().sum(1)).clamp(min=0)
    gamma = ((across.square() + length * gap).sqrt() - across) / length
    return (mean + gamma.min() * along).to(known.dtype)


def _deviation(known: Tensor) -> Tensor:
    """(P,) the standard deviation in each coordinate; 0 where only one update is known."""
    return known.std(0) if len(known) > 1 else torch.zeros_like(known[0])
