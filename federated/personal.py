"""How far users' own models go from the common one, chosen by validation without anybody's data.

Each user makes models of their own at every candidate of a few strengths, judges them on validation data that
never leaves them, and reports those losses alone; the server picks one strength for all. It begins with those
that change least, and stops asking once it is clear that more change is worse.

What is judged is made from a user's older data only: the latest samples are left out, as many as there are
for validation. So the candidates are judged as far ahead of what they were made from as the chosen models
will be used. Without that gap models win that fit the latest weeks, and lose when those are over.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from data.progress import Tell, silent
from federated.clients import Clients
from federated.objectives import Strength
from federated.tasks import Rehearsal
from federated.workers import one_thread

CHOOSERS = 100
"""Users, at most, who are asked; they are spread evenly."""

PRIOR = 10
"""Validation samples by which a user's own gain counts as much as the mean gain of all."""


@dataclass(frozen=True)
class Choice:
    """How far own models go, and why.

    Attributes:
        name: of the hyper-parameter.
        strength: its value.
        losses: mean validation loss by candidate that users were asked about; none where strength was set.
        users: how many users were asked.
        kept: (U,) who keeps what their own model would be made from, as theirs did not win; None: nobody is
            to be looked at.
    """

    name: str
    strength: float
    losses: tuple[tuple[float, float], ...] = ()
    users: int = 0
    kept: Tensor | None = None

    @property
    def nobody(self) -> bool:
        """Whether nobody is better off with a model of their own."""
        return bool(self.losses) and self.strength == self.losses[0][0]


@dataclass(frozen=True)
class Sums:
    """What a server has to know of users' losses, and no more: sums over them.

    Attributes:
        users: how many have anything to judge by.
        sums: (S,) float64, of their losses with each of S candidates, those that change least first.
        products: (S, S) float64, of the products of a user's losses with two candidates.
        finite: (S,) whether nobody's loss is ∞; else the sums mean nothing.
    """

    users: int
    sums: Tensor
    products: Tensor
    finite: Tensor

    @classmethod
    def of(cls, losses: Tensor) -> "Sums":
        """Of losses (S, U)."""
        losses = losses.double()
        finite = torch.isfinite(losses).all(1)
        known = torch.where(finite[:, None], losses, 0)
        return cls(losses.shape[1], known.sum(1), known @ known.T, finite)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.users + other.users,
            self.sums + other.sums,
            self.products + other.products,
            self.finite & other.finite,
        )

    @property
    def means(self) -> Tensor:
        """(S,) mean losses, ∞ where one is."""
        return torch.where(self.finite, self.sums / self.users, torch.inf)

    def simplest(self) -> int:
        """See `simplest`."""
        best = int(self.means.argmin())
        for number in range(len(self.sums)):
            if not (self.finite[number] and self.finite[best]):
                continue
            behind = float(self.sums[number] - self.sums[best]) / self.users
            squares = (
                self.products[number, number] - 2 * self.products[number, best] + self.products[best, best]
            )
            spread = max(float(squares) - self.users * behind**2, 0.0)
            error = math.sqrt(spread / (self.users - 1) / self.users) if self.users > 1 else 0.0
            if behind <= error:
                return number
        return 0


class Rehearsals:
    """Models of users' own that they make of their older data and judge by what came later.

    Args:
        clients: the users.
        w: what own models are made from, (P,) or one each (U, P).
        rehearsal: of their task.
        tell: is told how many models are found.
    """

    def __init__(self, clients: Clients, w: Tensor, rehearsal: Rehearsal, tell: Tell = silent) -> None:
        self._clients, self._w, self._tell = clients, w, tell
        self._rehearsal = rehearsal
        self._older = replace(clients, task=rehearsal.task)

    def losses(self, users: Tensor, value: float | None) -> Tensor:
        """(C,) of users (C,) with models of a strength."""
        return self._judged(users, self._older.personalise(self._w, self._tell, value, users))

    def common(self, users: Tensor) -> Tensor:
        """(C,) with what own models are made from."""
        return self._judged(users, self._w.expand(self._clients.number, -1)[users])

    def kept(self, value: float, mean: float | None = None) -> Tensor:
        """(U,) who keeps what their own model would be made from.

        Args:
            value: the strength of own models.
            mean: the mean gain of all, where these users are not all.
        """
        everyone = torch.arange(self._clients.number)
        gains = self.common(everyone) - self.losses(everyone, value)
        return ~(shrunk(gains, self._rehearsal.samples, mean) > 0)

    def _judged(self, users: Tensor, models: Tensor) -> Tensor:
        with one_thread():
            losses = self._rehearsal.losses(users, models)
        return torch.where(torch.isfinite(models).all(1), losses, torch.inf)


def choose(clients: Clients, w: Tensor, tell: Tell = silent) -> Choice:
    """The strength for users' own models made from w, (P,) or one each (U, P), and who keeps w."""
    strength, keep = clients.objective.strength, clients.local.keep_common
    rehearsal = clients.task.rehearsal() if strength.candidates or keep else None
    if rehearsal is None:
        return Choice(strength.name, strength.usual)
    rehearsals = Rehearsals(clients, w, rehearsal, tell)
    asked = torch.linspace(0, clients.number - 1, min(CHOOSERS, clients.number)).long()
    table: list[Tensor] = []
    for value in strength.candidates:
        table.append(rehearsals.losses(asked, value))
        if settled(_who_judges(table)):
            break
    choice = chosen(strength, Sums.of(_who_judges(table)))
    if not keep or choice.nobody:
        return choice
    return replace(choice, kept=rehearsals.kept(choice.strength))


def told(clients: Clients, w: Tensor) -> Sums | None:
    """What users elsewhere tell of their losses: with w (P,), then with each candidate for own models.

    Of a strength that is set, with that. None where nobody has anything to judge by.
    """
    rehearsal, strength = clients.task.rehearsal(), clients.objective.strength
    if rehearsal is None:
        return None
    rehearsals, everyone = Rehearsals(clients, w, rehearsal), torch.arange(clients.number)
    table = [rehearsals.common(everyone)]
    table += [rehearsals.losses(everyone, value) for value in strength.candidates or (None,)]
    return Sums.of(_who_judges(table))


def _who_judges(losses: list[Tensor]) -> Tensor:
    """(S, U) losses of those users who have anything to judge by, for whom it is not NaN."""
    table = torch.stack(losses).double() if losses else torch.zeros(1, 0)
    return table[:, ~table[0].isnan()]


def chosen(strength: Strength, losses: Sums) -> Choice:
    """Of the losses with candidates that were asked about, the first ones."""
    if not (losses.users and len(losses.sums)):
        return Choice(strength.name, strength.usual)
    means = zip(strength.candidates, losses.means.tolist(), strict=False)
    return Choice(strength.name, strength.candidates[losses.simplest()], tuple(means), losses.users)


def settled(losses: Tensor) -> bool:
    """Whether the last two of S candidates are worse than the best by more than a standard error.

    Then nobody is asked about those that change even more.

    Args:
        losses: (S, U) of users, the candidates that change least first.
    """
    users = losses.shape[1]
    if users == 0:
        return True  # nobody knows
    behind = losses - losses[int(losses.mean(1).argmin())]
    error = behind.std(1, correction=min(1, users - 1)) / math.sqrt(users)
    worse = (behind.mean(1) > error) | ~torch.isfinite(behind).all(1)
    return len(losses) > 2 and bool(worse[-2:].all())


def simplest(losses: Tensor) -> int:
    """The first of S candidates that is within one standard error of the best (Breiman 1984, §3.4.3).

    Args:
        losses: (S, U) of users, the candidates that change least first.
    """
    return Sums.of(losses).simplest()


def shrunk(gains: Tensor, samples: Tensor, mean: float | None = None) -> Tensor:
    """Users' gains (U,), drawn to the mean of all, the more the fewer samples (U,) they were seen on.

    Who has none, and whose gain is no number, is left with the mean; who loses everything, a gain of −∞,
    with that. The ``mean`` is that of these users unless it is given.
    """
    seen = torch.isfinite(gains) & (samples > 0)
    if mean is None and not seen.any():
        return torch.where(gains == -torch.inf, gains, 0.0)
    average = gains[seen].mean() if mean is None else gains.new_tensor(mean)
    own = torch.where(seen | (gains == -torch.inf), gains, average)
    return (samples * own + PRIOR * average) / (samples + PRIOR)


def best_for_each(worth: Tensor, samples: Tensor) -> Tensor:
    """Which of S candidates (U,) each user does best with, as far as they can tell: see `shrunk`.

    Args:
        worth: (U, S) of each candidate to each user, higher is better, NaN where there was nothing to judge
            by; the first is what to keep unless another is better.
        samples: (U,) how many it was seen on.
    """
    gains = worth - worth[:, :1]
    return torch.stack([shrunk(gain, samples) for gain in gains.T]).argmax(0)
