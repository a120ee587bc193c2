"""One training on users' images: by which algorithm, with which step sizes, and how good its models are.

Budgets are counted in gradients of a batch: a local step of Moreau envelopes with K inner steps costs K, one
of MAML 4 (two gradients, and a Hessian-vector product that counts as two), any other 1. So at equal budgets
Moreau envelopes send a K-th of the updates that FedAvg sends.
"""

import math
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from torch import Tensor

from data.image_splits import Size, split
from data.images import SOURCES, Images
from federated.algorithms import ALGORITHMS, Row
from federated.clients import Clients, LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Objective
from federated.personal import Choice, choose
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks.images import NETWORKS, ImageTask
from federated.workers import one_thread

AT_WORK = 10
"""Users in a cohort, and users in flight where there is none: equally many work at a time."""

LOCAL = LocalSGD(local_steps=10, batch_size=20)
INNER_STEPS = 5
"""K, as in pFedMe's experiments (Dinh 2020), for both algorithms with envelopes."""

ALPHA = 0.01
"""α of MAML, as in Per-FedAvg's experiments on MNIST (Fallah 2020)."""

YARDSTICKS = ("ditto", "local")
METHODS = (
    "fedavg",
    "fedasync",
    "fedbuff",
    "per-fedavg",
    "pfedme",
    "persa-fl",
    "persa-fl-maml",
    "persa-fl-me",
    *YARDSTICKS,
)

LRS = (0.01, 0.03, 0.1, 0.3)
ENVELOPE_LRS = (0.02, 0.06)
"""η λ is at most 1, λ being 15."""


@dataclass(frozen=True)
class Cell:
    """What one training is of.

    Attributes:
        images: a key of SOURCES.
        split: a key of SPLITS.
        model: a key of NETWORKS.
        size: how many images users hold.
        seed: of images, start weights and all that is drawn.
    """

    images: str
    split: str
    model: str
    size: Size
    seed: int


@dataclass(frozen=True)
class Steps:
    """Step sizes that are chosen: η of users, β of the server where it has one to choose."""

    lr: float
    server_lr: float | None = None


def candidates(method: str, users: int) -> list[Steps]:
    """Step sizes to choose from; of servers that merge single updates β is the talk's 1/n, or as large as a
    cohort's."""
    row = ALGORITHMS[method]
    lrs = ENVELOPE_LRS if isinstance(row.objective, MoreauEnvelope) else LRS
    servers: tuple[float | None, ...] = (None,)
    if isinstance(row.schedule, Arrivals):
        servers = (1 / users, 1 / AT_WORK)
        if row.schedule.buffer > 1:
            servers = (0.5, 1.0)
        elif row.schedule.merge == "model":
            servers = (0.2, 0.6)
    return [Steps(lr, server_lr) for lr, server_lr in product(lrs, servers)]


def row_of(method: str, steps: Steps, personal_samples: int) -> Row:
    """The algorithm as these experiments run it."""
    row = ALGORITHMS[method]
    objective: Objective = row.objective
    if isinstance(objective, MoreauEnvelope):
        objective = replace(objective, inner_steps=INNER_STEPS)
    elif isinstance(objective, MAML):
        objective = replace(objective, alpha=ALPHA)
    schedule = row.schedule
    if isinstance(schedule, Cohort):
        schedule = replace(schedule, cohort=AT_WORK)
    elif isinstance(schedule, Arrivals):
        buffer = min(schedule.buffer, AT_WORK // 2)
        schedule = replace(schedule, concurrency=AT_WORK, buffer=buffer, server_lr=steps.server_lr)
    local = replace(LOCAL, lr=steps.lr, personal_samples=personal_samples)
    return replace(row, objective=objective, schedule=schedule, local=local)


def describe(row: Row) -> dict[str, Any]:
    """An algorithm with its settings, as JSON takes it."""
    return {part: asdict(getattr(row, part)) for part in ("objective", "schedule", "local")}


class Held:
    """Images in memory, and the last task that was made of them."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self._last: tuple[Cell, ImageTask] | None = None

    def task(self, cell: Cell) -> ImageTask:
        """The task of a cell."""
        if self._last is None or self._last[0] != cell:
            images = self.images
            hands = split(cell.split, images.y_train, images.y_test, cell.size, cell.seed)
            network = NETWORKS[cell.model](SOURCES[cell.images].shape)
            self._last = cell, ImageTask.of(images, hands, network)
        return self._last[1]


def validated(task: ImageTask, row: Row, seed: int, gradients: int) -> float:
    """Mean validation accuracy over users of the models that they use after so many gradients.

    Own models go as far as validation finds best, as they will in the end: step sizes that are best for
    models of another strength need not be best for these.
    """
    clients = Clients(task, row.objective, row.local, seed)
    w = _path(clients, row, gradients, looks=1)[-1].w
    with one_thread():
        own = _used(clients, choose(clients, w), w)
        return float(task.judge(own, task.validation)[1].mean())


def _used(clients: Clients, choice: Choice, w: Tensor) -> Tensor:
    """What users use: models of their own, or what those would be made from."""
    if not clients.objective.personal or choice.nobody:
        return w
    return clients.personalise(w, strength=choice.strength)


def trained(task: ImageTask, row: Row, seed: int, gradients: int, looks: int) -> dict[str, Any]:
    """How good models are on the way.

    Own models go as far as validation finds best for the last model that is finite; looks lie the closer the
    earlier. The look that is best on validation is kept, as `persarank train --keep best` does: a step size
    that was good in a shorter training can be too large for this one.

    Returns:
        ``updates``, ``gradients`` and ``time`` (T + 1,) of each look, the first before any training; test
        accuracies of users (T + 1, U) by the ``common`` model, None where there is none, and by their
        ``own``; which look was ``kept``, of equals the earlier; the ``strength`` of own models, by its
        ``name``, None where it is ∞; mean ``staleness``.
    """
    clients = Clients(task, row.objective, row.local, seed)
    path = _path(clients, row, gradients, looks)
    with one_thread():
        choice = choose(clients, next(look.w for look in reversed(path) if look.w.isfinite().all()))
        common, own, worth = [], [], []
        for look in path:
            common.append(task.judge(look.w, task.test)[1].tolist())
            used = _used(clients, choice, look.w)
            own.append(task.judge(used, task.test)[1].tolist())
            worth.append(float(task.judge(used, task.validation)[1].mean()))
    return {
        "updates": [look.updates for look in path],
        "gradients": [look.updates * _each(row) for look in path],
        "time": [look.time for look in path],
        "common": common if path[-1].w.dim() == 1 else None,
        "own": own,
        "kept": worth.index(max(worth)),
        "name": choice.name,
        "strength": None if math.isinf(choice.strength) else choice.strength,
        "staleness": path[-1].staleness,
    }


@dataclass(frozen=True)
class _Look:
    updates: int
    time: float
    w: Tensor
    staleness: float


def _each(row: Row) -> int:
    """Gradients of a batch that an update costs."""
    return row.local.local_steps * row.objective.gradients


def _path(clients: Clients, row: Row, gradients: int, looks: int) -> list[_Look]:
    """The start, and the model at each look."""
    updates = max(1, gradients // _each(row))
    state = row.schedule.start(clients, clients.task.initial(clients.seed))
    path = [_Look(0, 0.0, state.w, 0.0)]
    done = merged = late = 0
    with one_thread():
        for merge in row.schedule.run(clients, state):
            done += len(merge.users) + len(merge.refused)
            merged, late = merged + len(merge.users), late + sum(merge.staleness)
            if done >= updates * (len(path) / looks) ** 2 or done >= updates:
                path.append(_Look(done, merge.time, merge.w, late / max(1, merged)))
            if done >= updates:
                break
    return path
