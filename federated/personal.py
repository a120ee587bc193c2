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


def choose(clients: Clients, w: Tensor, tell: Tell = silent) -> Choice:
    """The strength for users' own models made from w, (P,) or one each (U, P), and who keeps w."""
    strength, keep = clients.objective.strength, clients.local.keep_common
    rehearsal = clients.task.rehearsal() if strength.candidates or keep else None
    if rehearsal is None:
        return Choice(strength.name, strength.usual)
    older = replace(clients, task=rehearsal.task)

    def judged(users: Tensor, models: Tensor) -> Tensor:
        with one_thread():
            losses = rehearsal.losses(users, models)
        return torch.where(torch.isfinite(models).all(1), losses, torch.inf)

    def losses(users: Tensor, value: float | None) -> Tensor:
        return judged(users, older.personalise(w, tell, value, users))

    asked = torch.linspace(0, clients.number - 1, min(CHOOSERS, clients.number)).long()
    table: list[Tensor] = []
    for value in strength.candidates:
        table.append(losses(asked, value))
        if settled(_who_judges(table)):
            break
    choice = _chosen(strength, _who_judges(table))
    if not keep or choice.nobody:
        return choice
    everyone = torch.arange(clients.number)
    gains = judged(everyone, w.expand(clients.number, -1)) - losses(everyone, choice.strength)
    return replace(choice, kept=~(shrunk(gains, rehearsal.samples) > 0))


def _who_judges(losses: list[Tensor]) -> Tensor:
    """(S, U) losses of those users who have anything to judge by, for whom it is not NaN."""
    table = torch.stack(losses).double() if losses else torch.zeros(1, 0)
    return table[:, ~table[0].isnan()]


def _chosen(strength: Strength, losses: Tensor) -> Choice:
    """Of the losses (S, U) of candidates that were asked about, the first ones."""
    if not losses.numel():
        return Choice(strength.name, strength.usual)
    means = zip(strength.candidates, losses.mean(1).tolist(), strict=False)
    return Choice(strength.name, strength.candidates[simplest(losses)], tuple(means), losses.shape[1])


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
    means = losses.mean(1)
    best = losses[int(means.argmin())]
    for number, own in enumerate(losses):
        behind = own - best
        if not torch.isfinite(behind).all():
            continue
        error = float(behind.std(correction=1)) / math.sqrt(len(behind)) if len(behind) > 1 else 0.0
        if float(behind.mean()) <= error:
            return number
    return 0


def shrunk(gains: Tensor, samples: Tensor) -> Tensor:
    """Users' gains (U,), drawn to the mean of all, the more the fewer samples (U,) they were seen on.

    Who has none, and whose gain is no number, is left with the mean; who loses everything, a gain of −∞,
    with that.
    """
    seen = torch.isfinite(gains) & (samples > 0)
    if not seen.any():
        return torch.where(gains == -torch.inf, gains, 0.0)
    mean = gains[seen].mean()
    own = torch.where(seen | (gains == -torch.inf), gains, mean)
    return (samples * own + PRIOR * mean) / (samples + PRIOR)


def best_for_each(worth: Tensor, samples: Tensor) -> Tensor:
    """Which of S candidates (U,) each user does best with, as far as they can tell: see `shrunk`.

    Args:
        worth: (U, S) of each candidate to each user, higher is better, NaN where there was nothing to judge
            by; the first is what to keep unless another is better.
        samples: (U,) how many it was seen on.
    """
    gains = worth - worth[:, :1]
    return torch.stack([shrunk(gain, samples) for gain in gains.T]).argmax(0)
