"""The training loop: one stream of events that progress bars, metrics files and apps consume."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from federated.algorithms import Row
from federated.clients import Clients
from federated.tasks import Task


@dataclass(frozen=True)
class Merged:
    """One merge: ``updates`` client updates are in the model now; the rest as in `schedules.Merge`."""

    updates: int
    version: int
    users: tuple[int, ...]
    staleness: tuple[int, ...]
    in_flight: int
    time: float


@dataclass(frozen=True)
class Evaluated:
    """Validation figures of the common model (for `local`, of the users' own) after ``updates``."""

    updates: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Finished:
    """The end: what was learned, and how long it took.

    Attributes:
        common: (P,) the model for everyone, None where every user trained alone.
        personal: (U, P) the users' own models, None where the objective has none.
        seconds: wall time of training, without evaluations and personalisation.
    """

    updates: int
    common: Tensor | None
    personal: Tensor | None
    seconds: float


Event = Merged | Evaluated | Finished


def train(
    task: Task,
    row: Row,
    seed: int,
    updates: int,
    evaluations: int = 20,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a task by an algorithm.

    Args:
        task: what is learned.
        row: the algorithm with its hyper-parameters.
        seed: keys every random draw, start parameters included.
        updates: client updates to merge, at least.
        evaluations: how often the validation figures are taken on the way; they change nothing.
        stop: asked after every merge; once true, training ends as if ``updates`` were reached.

    Raises:
        FloatingPointError: the parameters are no longer finite; a smaller step size is needed.
    """
    clients = Clients(task.pooled() if row.schedule.pools else task, row.objective, row.local, seed)
    w = task.initial(seed)
    done = 0
    seconds, since = 0.0, time.perf_counter()
    for version, merge in enumerate(row.schedule.run(clients, w, updates), start=1):
        w = merge.w
        done += len(merge.users)
        seconds += time.perf_counter() - since
        yield Merged(done, version, merge.users, merge.staleness, merge.in_flight, merge.time)
        if _crossed(done, len(merge.users), updates, evaluations):
            yield Evaluated(done, _evaluate(task, w, done))
        if stop():
            break
        since = time.perf_counter()
    _require_finite(w, done)
    common = w if w.dim() == 1 else None
    personal = w if common is None else None
    if row.objective.personal and common is not None:
        personal = clients.personalise(common)
        _require_finite(personal, done)
    yield Finished(done, common, personal, seconds)


def _crossed(done: int, added: int, updates: int, evaluations: int) -> bool:
    """Whether the last ``added`` updates reached another of ``evaluations`` equal parts of the run."""
    return evaluations > 0 and done * evaluations // updates > (done - added) * evaluations // updates


def _evaluate(task: Task, w: Tensor, done: int) -> dict[str, float]:
    _require_finite(w, done)
    try:
        return task.evaluate(w)
    except FloatingPointError as error:
        raise _diverged(done) from error


def _require_finite(w: Tensor, done: int) -> None:
    if not torch.isfinite(w).all():
        raise _diverged(done)


def _diverged(done: int) -> FloatingPointError:
    return FloatingPointError(
        f"the model is no longer finite after {done} updates: try a smaller lr, inner_lr or alpha."
    )
