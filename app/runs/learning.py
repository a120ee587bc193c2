"""What a run learns of its data: a network trained by an algorithm, or fitted trees, and what it is worth."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from app.runs.checks import ConfigError
from app.runs.directory import METRICS, SLATES
from app.runs.fitting import fit
from app.runs.following import Watch, follow
from app.runs.groups import scheduled
from app.runs.journal import Tally
from app.runs.phases import COMPILING, TRAINING, Phases
from app.runs.settings import Settings
from app.runs.stop import Patience, Stop
from app.runs.teaching import teaching
from app.runs.verdict import COMMON, NOT_FINITE, OWN, Doubt, told, validated
from data.feature_sets import Data
from data.files import write_bytes
from data.folders import remove
from data.progress import UNKNOWN, Tell
from data.schema import Dataset
from federated.events import Finished
from federated.keeping import BEST, LAST, Best
from federated.personal import Choice
from federated.schedules import Schedule
from federated.state import Snapshot
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import RankingPolicy, learned
from federated.training import Training
from ranking.building import FEATURES
from ranking.models import Model, NeuralModel
from ranking.rankers import RANKERS
from ranking.rankers.network import Network
from ranking.slates import StoredSlates
from ranking.sources import Source, source_of

NMRR = "nmrr"
"""The validation figure by which the best model is found."""

IN_MEMORY = 2**30
"""Bytes of features that are kept in memory; more are kept on disk while training lasts."""


@dataclass(frozen=True)
class Learned:
    """A model, what the summary tells of its training, and how it ranks validation slates.

    Attributes:
        seconds: of training alone.
        nmrr: by ranking, see `verdict`; empty where nobody has validation slates.
        diverged: how many users' own models are not finite; the model then is what they were made from.
        best: where and how good the model was, if it was the best on validation; None: it is the last.
        own_models: how far users' own models go, and by which losses that was chosen; None without any.
        nodes: where users' data and own models are elsewhere, how good all is there; None: they are here.
        uploads: of privacy, attack and defence, see `Intake.told`.
    """

    model: Model
    tally: Tally
    seconds: float
    nmrr: dict[str, float]
    doubts: list[Doubt]
    diverged: int = 0
    best: Best | None = None
    own_models: dict[str, Any] | None = None
    nodes: dict[str, Any] | None = None
    uploads: dict[str, Any] = field(default_factory=dict)

    def kept(self, asked: str) -> dict[str, Any]:
        """Which model this is, and which one was asked for, as a summary has it.

        With its NMRR on validation slates: the common model's, or else that of users' own.
        """
        figure = self.nmrr.get(COMMON, self.nmrr.get(OWN))
        which, updates = LAST, self.tally.updates
        if self.best:
            which, updates, figure = BEST, self.best.updates, self.best.figure
        return {"asked": asked, "which": which, "updates": updates, "nmrr": figure}

    def told(self) -> dict[str, Any]:
        """What is wrong with the model, as a summary has it, see `verdict.told`."""
        found = list(self.doubts)
        if self.diverged:
            whose = f"the own models of {self.diverged} user{'s' if self.diverged > 1 else ''}"
            lost = f"{whose} are {NOT_FINITE}; what they are made from ranks instead."
            found.insert(0, Doubt(NOT_FINITE, OWN, lost))
        nodes = {"nodes": self.nodes} if self.nodes else {}
        return told([asdict(doubt) for doubt in found]) | nodes | self.uploads


def learn(
    settings: Settings,
    dataset: Data,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    snapshot: Snapshot | None,
    until: int | None = None,
) -> Learned:
    """Train or fit what the settings say.

    Args:
        settings, dataset: of the run.
        out: its directory, where metrics and checkpoints are written.
        watch: sees every event.
        phases: is told how far the work is.
        stop: says when the user wants it to end.
        snapshot: where training goes on; None: from the start.
        until: training stops as soon as so many updates have arrived; None: with all of them.

    Raises:
        ConfigError: the ranker reads texts, and the data has none.
        DataError: a user has nothing to train on.
        FloatingPointError: what is learned is no longer finite.
        Interrupted: the user will not wait.
        RunError: the metrics have lost lines.
    """
    if settings.engine_name == "flower":
        raise ConfigError("only train and resume have a Flower network learn: leave out the engine flower.")
    require_texts(settings, dataset)
    if not settings.fitted:
        try:
            with scheduled(settings, out) as schedule:
                return _train(settings, schedule, dataset, out, watch, phases, stop, snapshot, until)
        finally:
            remove(out, [f"{SLATES}/*/features"])
    phases.enter(FEATURES)
    with stop.at_once():
        source = source_of(dataset)
        write_bytes(out / METRICS, b"")
        slates = source.slates("train", None, phases.tell)
        learn_from = slates.subset(teaching(slates, source.users))
        slates = source.slates("validation", None, phases.tell)
        phases.tell(TRAINING, 0, UNKNOWN)
        began = time.perf_counter()
        fitted = fit(settings, learn_from, slates, len(source.users), phases.tell)
        seconds, own = time.perf_counter() - began, fitted.own_models
        personal = settings.personal and not (own and own["nobody"])
        found = validated(fitted.model, None, slates, personal, phases.tell)
        return Learned(fitted.model, fitted.tally, seconds, *found, own_models=own)


def require_texts(settings: Settings, data: Data) -> None:
    """Raise ConfigError if the ranker reads texts and the data has none."""
    if RANKERS[settings.ranker_name].reads_text and not isinstance(data, Dataset):
        raise ConfigError(
            f"{settings.ranker_name} reads the texts of queries, and the data holds imported features "
            "without any: choose another ranker, e.g. mlp."
        )


def slates_of(source: Source, out: Path, tell: Tell) -> list[StoredSlates]:
    """Training and validation slates; where there are many, they lie on disk, in the run's directory."""
    large = source.candidates * len(source.feature_names) * 4 > IN_MEMORY
    return [
        source.slates(split, out / SLATES / split if large else None, tell)
        for split in ("train", "validation")
    ]


def task_of(
    settings: Settings,
    source: Source,
    slates: Sequence[StoredSlates],
    tell: Tell,
) -> RankingTask | RankingPolicy:
    """What a network learns."""
    (train, validation), users = slates, len(source.users)
    network = settings.network(len(source.feature_names), source.texts or ())
    task = RankingTask.of(network, settings.loss, train, validation, users, teaching(train, source.users))
    return learned(replace(task, tell=tell), settings.row.policy)


def _train(
    settings: Settings,
    schedule: Schedule[Any],
    dataset: Data,
    out: Path,
    watch: Watch,
    phases: Phases,
    stop: Stop,
    snapshot: Snapshot | None,
    until: int | None,
) -> Learned:
    patience = Patience(stop, phases)
    phases.enter(FEATURES)
    with stop.at_once():  # nothing has been learned yet
        source = source_of(dataset)
        slates = slates_of(source, out, patience.tell)
        task = task_of(settings, source, slates, patience.tell)
        evaluations = settings.evaluations if len(slates[1]) else 0
        size = (settings.seed, settings.updates, evaluations)
        best_by = NMRR if settings.keep == BEST else None
        row = replace(settings.row, schedule=schedule)
        training = Training(task, row, *size, patience.tell, patience, best_by)
        if not task.stacked:
            patience.tell(COMPILING, 0, UNKNOWN)
            training.warm_up()
        if snapshot:
            training.unpack(snapshot)
    event, tally = follow(training, settings, dataset, out, watch, phases, patience, stop, snapshot, until)
    try:
        model, nmrr, found, diverged = _judged(settings, task.network, event, slates[1], patience.tell)
    except FloatingPointError as error:
        raise training.diverged(str(error)) from error
    own, uploads = own_models(event.choice), training.told_of_uploads
    return Learned(model, tally, event.seconds, nmrr, found, diverged, event.best, own, uploads=uploads)


def own_models(choice: Choice | None) -> dict[str, Any] | None:
    """How far own models go, as a summary has it; ∞, which JSON does not know, is written as text.

    It is the value that leaves everybody with the common model, and the loss of models that are lost.
    """
    if choice is None:
        return None

    def plain(value: float) -> float | str:
        return "inf" if math.isinf(value) else value

    return {
        "setting": choice.name,
        "value": plain(choice.strength),
        "losses": [{"value": plain(value), "loss": plain(loss)} for value, loss in choice.losses],
        "users_asked": choice.users,
        "nobody": choice.nobody,
        "kept_common": None if choice.kept is None else int(choice.kept.sum()),
    }


def _judged(
    settings: Settings, network: Network, end: Finished, slates: StoredSlates, tell: Tell
) -> tuple[NeuralModel, dict[str, float], list[Doubt], int]:
    """The model that training ended with, its validation, and how many users' own models are not finite.

    Raises:
        FloatingPointError: the scores of what own models were made from are not finite.
    """
    own = settings.personal and not (end.choice and end.choice.nobody)
    start = NeuralModel(network, end.common, None if end.common is not None else end.learned)
    lost = end.diverged
    if end.adapted is not None:
        model = NeuralModel(network, end.common, end.adapted)
        try:
            return model, *validated(model, None if model.has_common else start, slates, own, tell), 0
        except FloatingPointError:
            lost = len(end.adapted)
    return start, *validated(start, None, slates, own and not lost, tell), lost
