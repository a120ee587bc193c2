"""What a training would do, before it is begun: `train --dry-run`. Nothing of it is written.

Data are read, features computed and the network compiled as for the training itself. Then its course is gone
through without its work, which counts updates and staleness; and each kind of work is tried for a moment,
which tells how long all of it takes, and how much memory.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from app.runs import trying
from app.runs.directory import config, require_room
from app.runs.journal import Tally
from app.runs.learning import require_texts, slates_of, task_of
from app.runs.phases import COMPILING, TRAINING, Phases
from app.runs.settings import Settings
from app.runs.teaching import teaching
from app.runs.training import changes_named
from data.feature_sets import Data
from data.progress import UNKNOWN
from federated.clients import PERSONAL
from federated.course import course
from federated.events import Finished, Merged
from federated.tasks.ranking import VALIDATION
from federated.training import Training
from ranking.building import FEATURES
from ranking.slates import StoredSlates
from ranking.sources import Source, source_of

TRYING = "trying"
"""What it is called where progress is shown."""

LONGEST = 200_000
"""Updates whose course is gone through, at most, which takes seconds."""


def forecast(
    settings: Settings, data: Path, dataset: Data, out: Path, phases: Phases, until: int | None = None
) -> dict[str, Any]:
    """What `train_run` would do with the same arguments, and what it would refuse.

    Returns:
        ``settings``, those of the config file that would be written; ``data``; ``updates`` that would arrive,
        and with networks ``course`` and ``parameters``; ``seconds`` by phase, those that this has taken and
        those that are to be expected; ``memory_mib``, the expected peak of the process.

    Raises:
        ConfigError, DataError, FloatingPointError, RunError: as `train_run` does.
    """
    require_room(out)
    written = config(settings, data, dataset.fingerprint)
    require_texts(settings, dataset)
    phases.enter(FEATURES)
    source = source_of(dataset)
    with changes_named(settings), TemporaryDirectory(prefix="persarank-") as folder:
        slates = slates_of(source, Path(folder), phases.tell)
        about = {
            "path": str(data),
            "fingerprint": dataset.fingerprint,
            "users": len(source.users),
            "training_slates": len(teaching(slates[0], source.users)),
            "validation_slates": len(slates[1]),
            "features": len(source.feature_names),
        }
        found = (_fitted if settings.fitted else _trained)(settings, source, slates, phases, until)
    return {"run": str(out), "settings": tomllib.loads(written.decode()), "data": about, **found}


def _trained(
    settings: Settings, source: Source, slates: Sequence[StoredSlates], phases: Phases, until: int | None
) -> dict[str, Any]:
    """Of a network."""
    task = task_of(settings, source, slates, phases.tell)
    training = Training(task, settings.row, settings.seed, settings.updates, evaluations=0)
    if not task.stacked:
        phases.tell(COMPILING, 0, UNKNOWN)
        training.warm_up()
    seconds = phases.seconds()
    phases.tell(TRYING, 0, UNKNOWN)
    updates, ahead, one_each = _course(settings, task.samples, until)
    start = task.initial(settings.seed)
    work = trying.AllUsers(settings, task, start.expand(len(task.samples), -1) if one_each else start)
    evaluations = settings.evaluations * updates // settings.updates
    seconds[TRAINING] = updates * trying.per_update(training, settings.updates)
    seconds[VALIDATION] = work.validations(evaluations) if len(slates[1]) else 0.0
    seconds[PERSONAL] = work.own_models(evaluations)
    return {
        "updates": updates,
        "course": ahead,
        "parameters": len(start),
        **_costs(seconds, trying.peak_memory() + work.memory()),
    }


def _course(
    settings: Settings, samples: Tensor, until: int | None
) -> tuple[int, dict[str, Any] | None, bool]:
    """How many updates arrive, what else is known of that, and whether every user always has a model."""
    ends = min(settings.updates, until or settings.updates)
    tally, merges = Tally(), 0
    for event in course(
        settings.row, settings.seed, settings.updates, samples, lambda: tally.updates >= min(ends, LONGEST)
    ):
        if isinstance(event, Merged):
            tally.add(event)
            merges += bool(event.users)
    assert isinstance(event, Finished), "a course ends with Finished"
    one_each = event.common is None
    if ends > LONGEST:
        return ends, None, one_each
    ahead = {
        "merges": merges,
        "virtual_time": round(tally.time, 3),
        "staleness": tally.staleness(),
        "concurrency": tally.in_flight_max,
        "refused": tally.refused,
    }
    return tally.updates, ahead, one_each


def _fitted(
    settings: Settings, source: Source, slates: Sequence[StoredSlates], phases: Phases, until: int | None
) -> dict[str, Any]:
    """Of trees."""
    seconds, users = phases.seconds(), len(source.users)
    phases.tell(TRYING, 0, UNKNOWN)
    learn_from = slates[0].subset(teaching(slates[0], source.users))
    cost = trying.trees(settings, learn_from, slates[1], users)
    seconds |= {TRAINING: cost.fitting, VALIDATION: cost.validating}
    return {
        "updates": 1 if settings.row.schedule.pools else users,
        "course": None,
        "parameters": None,
        **_costs(seconds, cost.memory),
    }


def _costs(seconds: dict[str, float], memory: float) -> dict[str, Any]:
    return {
        "seconds": {phase: round(spent, 3) for phase, spent in seconds.items()},
        "memory_mib": round(memory / 2**20),
    }
