"""Whether a model is worth anything: beside chance, what it was made from, and other users' models.

Differences of NMRR are averaged over each user's slates, and paired over users. That users' own models are
worse than what they were made from has to be shown, by a 95 % bootstrap interval below 0; that a model is
better than chance, or than another user's, has to be shown as well, by an interval above 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from data.progress import Tell, silent
from federated.tasks.ranking import VALIDATION
from ranking.metrics import nmrr, paired_bootstrap, per_user
from ranking.models import Model
from ranking.slates import Slates, StoredSlates

CHANCE = "no better than chance"
WORSE = "worse than what they are made from"
A_LITTLE_WORSE = "a little worse than what they are made from"
NOT_PERSONAL = "no better than other users' models"
NOT_FINITE = "not finite"
ELSEWHERE = "are on their nodes"
UNKNOWN_WORTH = "nothing can be said of the model"
SERIOUS = (CHANCE, WORSE, NOT_FINITE)
"""Something has gone wrong; the others can be true of a sound model that finds little personal to learn."""

MATERIAL = 0.1
"""Of the lead over chance: to lose more by own models is no accident of noisy data."""

RANDOM, COMMON, START, OWN = "random", "global", "start", "personal"
"""What ranks: nothing, the common model, without one what own models are made from, the users' own models."""

JUDGED = 2000
"""Slates judged at once."""

OTHERS, COMPARED_USERS, COMPARED_SLATES = 7, 300, 20
"""Users, at most, who are ranked by others' models too, by how many, and on how many slates each."""

A_FEW = 2
"""Others who are asked first: where their models already are surely worse, nobody else is asked."""


@dataclass(frozen=True)
class Doubt:
    """What is wrong with a model: the kind, whose model it is, and a sentence with the figures."""

    kind: str
    ranking: str
    message: str


@dataclass(frozen=True)
class Beside:
    """A mean difference of NMRR with its 95 % interval over users; that of one user is a point."""

    mean: float
    low: float
    high: float
    users: int

    @classmethod
    def of(cls, differences: Tensor, user: Tensor) -> "Beside":
        """From the differences (S,) of slates, and whose they are (S,)."""
        users, values = per_user(differences, user)
        found = paired_bootstrap(values)
        mean, low, high = float(values.mean()), found["low"], found["high"]
        return cls(mean, mean if low is None else low, mean if high is None else high, len(users))

    def __str__(self) -> str:
        if self.users == 1:
            return f"NMRR {self.mean:+.4f}, of 1 user"
        return f"NMRR {self.mean:+.4f}, 95 % {self.low:+.4f} to {self.high:+.4f}, over {self.users} users"


def nmrr_of(slates: StoredSlates, scores: Callable[[Slates], Tensor | None], tell: Tell = silent) -> Tensor:
    """NMRR (S,) of all slates, given the scores (C, N) of some of them.

    Raises:
        FloatingPointError: a score is not finite.
    """
    parts = [torch.zeros(0, dtype=torch.float64)]
    for some in slates.chunks(JUDGED):
        scored = scores(some)
        assert scored is not None, "asked only where there is a model"
        if not torch.isfinite(scored).masked_select(some.mask).all():
            raise FloatingPointError("the model's scores are no longer finite")
        parts.append(nmrr(scored, some))
        tell(VALIDATION, sum(map(len, parts)), len(slates))
    return torch.cat(parts)


def validated(
    model: Model, made_from: Model | None, slates: StoredSlates, personal: bool, tell: Tell = silent
) -> tuple[dict[str, float], list[Doubt]]:
    """NMRR by every ranking, averaged over users, and what is wrong with a model.

    Args:
        model: the model.
        made_from: the models that users' own were made from, where there is no common one.
        slates: of the validation split; none, where nobody has one.
        personal: whether users are to have models of their own.
        tell: is told how far it is.

    Raises:
        FloatingPointError: a score is not finite.
    """
    if not len(slates):
        return {}, []
    scores: dict[str, Callable[[Slates], Tensor | None]] = {RANDOM: by_chance}
    if model.has_common:
        scores[COMMON] = model.global_scores
    if made_from is not None:
        scores[START] = made_from.personal_scores
    scores[OWN] = model.personal_scores
    nmrr_by = {name: nmrr_of(slates, by, tell) for name, by in scores.items()}
    found = doubts(nmrr_by, slates)
    if personal and not found:
        found = exchanged(model.personal_scores, slates)
    return {name: float(per_user(values, slates.user)[1].mean()) for name, values in nmrr_by.items()}, found


def by_chance(slates: Slates) -> Tensor:
    """Scores (S, N) that know nothing."""
    return torch.zeros(slates.mask.shape)


def doubts(nmrr_by: Mapping[str, Tensor | None], slates: StoredSlates) -> list[Doubt]:
    """What is wrong with rankings of slates. Slates that every order serves equally do not count.

    Args:
        nmrr_by: NMRR (S,) by RANDOM and by OWN, and by COMMON or START if there is such a model.
        slates: the S slates.
    """
    tell = _telling(slates)
    if not tell.any():
        return [Doubt(UNKNOWN_WORTH, OWN, f"{UNKNOWN_WORTH}: no slate has wanted and unwanted candidates.")]
    user = slates.user[tell]
    known = {name: values[tell] for name, values in nmrr_by.items() if values is not None}
    subject = {COMMON: "the common model ranks", OWN: "the users' own models rank"}
    if COMMON in known and torch.equal(known[COMMON], known[OWN]):
        del known[COMMON]
        subject[OWN] = "the model ranks"
    found = []
    for name in (COMMON, OWN):
        if name in known:
            beside = Beside.of(known[name] - known[RANDOM], user)
            if beside.low <= 0:
                found.append(Doubt(CHANCE, name, f"{subject[name]} {CHANCE} ({beside})."))
    for name, than in ((COMMON, "than the common model"), (START, "than what they are made from")):
        if name in known:
            beside = Beside.of(known[OWN] - known[name], user)
            lead = Beside.of(known[name] - known[RANDOM], user).mean
            if beside.high < 0:
                kind = WORSE if beside.mean < -MATERIAL * lead else A_LITTLE_WORSE
                found.append(Doubt(kind, OWN, f"{subject[OWN]} worse {than} ({beside})."))
    return found


def exchanged(own_scores: Callable[[Slates], Tensor], slates: StoredSlates) -> list[Doubt]:
    """Whether users' own models are really theirs: others' must not rank them equally well.

    Args:
        own_scores: (C, N) of slates by their users' own models.
        slates: of which some are taken; one user alone has nobody to exchange models with.
    """
    some = _some(slates)
    users = some.user.unique()
    if len(users) < 2:
        return []
    own = nmrr_of(some, own_scores)
    steps = torch.linspace(1, len(users) - 1, min(OTHERS, len(users) - 1)).long().tolist()
    others: list[Tensor] = []
    for asked in (steps[:A_FEW], steps[A_FEW:]):
        others += [nmrr_of(some, partial(_by_others, own_scores, users, step)) for step in asked]
        beside = Beside.of(own - torch.stack(others).mean(0), some.user)
        if beside.low > 0:
            return []
    return [Doubt(NOT_PERSONAL, OWN, f"the users' own models rank {NOT_PERSONAL} ({beside}).")]


def _by_others(own_scores: Callable[[Slates], Tensor], users: Tensor, step: int, slates: Slates) -> Tensor:
    """Scores by the models of the users who stand ``step`` further on among ``users``."""
    place = torch.searchsorted(users, slates.user)
    return own_scores(replace(slates, user=users[(place + step) % len(users)]))


def _some(slates: StoredSlates) -> StoredSlates:
    """The last telling slates of some users, who are spread evenly."""
    numbers = _telling(slates).nonzero().squeeze(1)
    numbers = numbers[torch.argsort(slates.user[numbers], stable=True)]
    users, counts = torch.unique_consecutive(slates.user[numbers], return_counts=True)
    if not len(users):
        return slates.subset(numbers)
    taken = torch.linspace(0, len(users) - 1, min(COMPARED_USERS, len(users))).long()
    pieces = numbers.split(counts.tolist())
    return slates.subset(torch.cat([pieces[place][-COMPARED_SLATES:] for place in taken.tolist()]))


def _telling(slates: StoredSlates) -> Tensor:
    """(S,) bool: some candidates are wanted and others are not, so that an order can be right or wrong."""
    ends = torch.nn.functional.pad((slates.position > 0).cumsum(0), (1, 0))
    wanted = ends[slates.offsets[1:]] - ends[slates.offsets[:-1]]
    return (wanted > 0) & (wanted < slates.offsets.diff())


def told(found: Sequence[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """Doubts as results have them: ``warnings``, which are serious, and ``notes``."""
    return {
        "warnings": [doubt for doubt in found if doubt["kind"] in SERIOUS],
        "notes": [doubt for doubt in found if doubt["kind"] not in SERIOUS],
    }


def worthless(warnings: Sequence[Mapping[str, str]]) -> str | None:
    """The sentence if what users get is no better than chance, by the warnings of a summary."""
    found = (w["message"] for w in warnings if w["kind"] == CHANCE and w["ranking"] == OWN)
    return next(found, None)
