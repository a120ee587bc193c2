"""Learn from this visit: the objective's own personal step, on one user's past and visit together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from torch import Tensor

from app.runs.directory import Run
from app.runs.teaching import teaching
from data.arrays import Int
from data.schema import column, in_split, ragged
from federated.clients import Clients
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import learned
from ranking.building import build
from ranking.metrics import nmrr
from ranking.models import Model, NeuralModel
from ranking.rankers.network import Network
from ranking.scoring import network_scores
from ranking.slates import StoredSlates, pad_front
from ranking.sources import Log


class NotAdaptableError(Exception):
    """There is no step for users' own models, or nothing for it to learn from; the message is a sentence.

    Attributes:
        strengths: with any of these there would be one.
        setting: the hyper-parameter that they are values of.
    """

    def __init__(self, sentence: str, strengths: tuple[float, ...] = (), setting: str = "") -> None:
        self.strengths, self.setting = strengths, setting
        super().__init__(sentence)


@dataclass(frozen=True)
class Adaptation:
    """What a personal step has done.

    Attributes:
        setting: the hyper-parameter that says how far the model goes.
        strength: its value.
        past: training slates from before the visit that were learned from, the latest ones.
        visit: accepted searches of the visit that were learned from.
        unused: accepted searches that show no choice: nothing had been typed, or the pool lacked them; and
            all before the latest hundred.
        distance_before: of the user's weights from the common ones (L2), and ``distance_after``.
        nmrr_before: mean over the user's held-out slates, and ``nmrr_after``; None without such slates.
        held_out: how many of these there are.
    """

    setting: str
    strength: float
    past: int
    visit: int
    unused: int
    distance_before: float
    distance_after: float
    nmrr_before: float | None
    nmrr_after: float | None
    held_out: int

    @property
    def called(self) -> str:
        """How far the model goes, for people."""
        return called(self.setting, self.strength)


def called(setting: str, strength: float) -> str:
    """A strength for people."""
    value = "∞" if math.isinf(strength) else f"{strength:g}"
    return f"λ = {value}" if setting == "lam" else f"{value} step{'' if strength == 1 else 's'}"


def further(setting: str) -> str:
    """In which direction of a setting models go further, as a clause."""
    return "A smaller λ goes further" if setting == "lam" else "More steps go further"


@dataclass(frozen=True)
class Step:
    """The personal step of a run.

    Attributes:
        run: where the objective and its settings come from.
        network: the ranker.
        common: (P,) what own models are made from.
        strength: how far they go.
    """

    run: Run
    network: Network
    common: Tensor
    strength: float

    @classmethod
    def of(cls, run: Run | None, model: Model, strength: float | None = None) -> "Step":
        """That of a run with this model.

        Args:
            run: None: where the model comes from is not known.
            model: of the run.
            strength: another than the run has chosen, one of `offered`.

        Raises:
            NotAdaptableError: there is none.
        """
        if run is None:
            raise NotAdaptableError(
                "It is not known how this model was trained, so nothing can be learned from a visit."
            )
        if not isinstance(model, NeuralModel):
            raise NotAdaptableError(
                "The ranker is made of trees: they are fitted in one piece, and take no further step."
            )
        objective, label = run.settings.row.objective, run.settings.label
        if model.common is None:
            raise NotAdaptableError(
                f"With {label} there is no common model, and learning from a visit begins at one."
            )
        if not objective.personal:
            raise NotAdaptableError(
                f"With {label} there is no personal step: nobody has a model of their own."
            )
        own = run.summary.get("own_models")
        possible = offered(run)
        if strength is None and own and own["nobody"]:
            kept = called(own["setting"], float(own["value"]))
            choices = ", ".join(called(own["setting"], value) for value in possible)
            raise NotAdaptableError(
                f"This run keeps the common model for everybody ({kept}): on validation slates own models "
                f"were no better. To learn from this visit all the same, choose how far: {choices}. "
                f"{further(own['setting'])}.",
                possible,
                own["setting"],
            )
        if strength is not None and strength not in possible:
            choices = ", ".join(called(objective.strength.name, value) for value in possible)
            raise NotAdaptableError(
                f"Own models cannot go so far: choose {choices}.", possible, objective.strength.name
            )
        if strength is None:
            strength = float(own["value"]) if own else objective.strength.usual
        return cls(run, model.network, model.common, strength)

    def taken(self, slates: StoredSlates, user: int, users: int) -> Tensor:
        """(P,) what the step makes of the common model for a user, from slates of theirs alone."""
        settings = self.run.settings
        start = torch.zeros(users + 1, dtype=torch.int64)
        start[user + 1 :] = len(slates)
        rows = torch.arange(len(slates))
        task = RankingTask(self.network, settings.loss, slates, slates.subset(rows[:0]), rows, start)
        local = replace(settings.row.local, personal_samples=len(slates))
        clients = Clients(learned(task, settings.row.policy), settings.row.objective, local, settings.seed)
        return clients.personalise(self.common, strength=self.strength, users=torch.tensor([user]))[0]


def offered(run: Run) -> tuple[float, ...]:
    """How far own models of a run can go, but for not at all."""
    strength = run.settings.row.objective.strength
    return strength.candidates[1:] or (strength.usual,)


def past_slates(log: Log, user: int, forgotten: Sequence[int], most: int) -> StoredSlates:
    """A user's latest training slates from which something can be learned; there may be none.

    Args:
        log: the dataset.
        user: whose.
        forgotten: queries; slates in which the user chose one of them are left out. In the others such
            searches still count as past: they are what the model has learned from.
        most: slates.
    """
    slates, chosen = _own(log, user, "train")
    if not len(slates):
        return slates
    kept = teaching(replace(slates, user=torch.zeros_like(slates.user)), log.users[user : user + 1])
    gone = torch.isin(torch.from_numpy(chosen), torch.tensor(forgotten, dtype=torch.int64))
    kept = kept[~gone[kept]]
    return _widened(slates.subset(kept[-most:]), log)


def held_out(log: Log, user: int) -> StoredSlates:
    """A user's test slates; there may be none."""
    return _own(log, user, "test")[0]


def joined(parts: Sequence[StoredSlates]) -> StoredSlates:
    """Slates one after the other; at least one part."""

    def together(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    sizes = torch.cat([part.offsets.diff() for part in parts])
    names = ("features", "candidates", "position", "wanted", "user", "typed")
    return StoredSlates(
        offsets=pad_front(sizes.cumsum(0)),
        widest=max(part.widest for part in parts),
        **{name: together(name) for name in names},
    )


def judged(network: Network, weights: Iterable[Tensor], slates: StoredSlates) -> list[float | None]:
    """The mean NMRR of slates by each of some models (P,), None where there are no slates."""
    if not len(slates):
        return [None for _ in weights]
    together = slates.all()
    return [float(nmrr(network_scores(network, w, together), together).mean()) for w in weights]


def _own(log: Log, user: int, split: str) -> tuple[StoredSlates, Int]:
    """A user's slates of a split, in the order of time, and the query chosen at each, −1 for none."""
    dataset = log.dataset
    begin, end = column(dataset.events, "user_id").searchsorted([user, user + 1])
    event = column(dataset.slates, "event_id")
    mine = dataset.slates.filter(pa.array((event >= begin) & (event < end)))
    narrow = replace(dataset, slates=mine, truth={})
    if not in_split(dataset.events, split)[column(mine, "event_id")].any():
        return StoredSlates.empty(torch.zeros(0, dtype=torch.int64), len(log.feature_names)), event[:0]
    slates = build(narrow, log.public, split)
    rows = Log.rows(Log(narrow, log.public), split)
    offsets, reference = ragged(mine, "reference")
    return slates, reference[offsets[:-1]][rows].astype("int64")


def _widened(slates: StoredSlates, log: Log) -> StoredSlates:
    """As wide as all slates that the run learned from: sampled rankings are drawn by it."""
    sizes = ragged(log.dataset.slates, "pool")[0][1:] - ragged(log.dataset.slates, "pool")[0][:-1]
    widest = int(sizes[log.rows("train")].max(initial=1))
    return replace(slates, widest=max(widest, slates.widest))
