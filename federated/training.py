"""The training loop: one stream of events that progress bars, metrics files and apps consume."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from data.progress import Tell, silent
from federated.algorithms import Row
from federated.clients import Clients
from federated.divergence import LOST, PASSED_OVER, REMEDIES, diverged
from federated.events import Evaluated, Event, Finished, Merged
from federated.keeping import Best, better
from federated.learners import clients_of
from federated.patience import Interrupted, Patience, Unbounded
from federated.personal import choose
from federated.schedules import Merge
from federated.schedules.cohort import Cohort
from federated.server.intake import Intake
from federated.server.uploads import FLOAT, WithServer
from federated.state import Snapshot
from federated.tasks import Task
from federated.workers import one_thread


class Training:
    """A task being trained by an algorithm; after any event but the last it can be packed, for a later one.

    Args:
        task: what is learned.
        row: the algorithm with its hyper-parameters.
        seed: keys every random draw, start parameters included.
        updates: client updates that have to arrive, at least.
        evaluations: how often the validation figures are taken on the way; they change nothing.
        tell: is told how far the finding of personal models is.
        patience: is asked while updates and personal models are computed.
        best_by: a validation figure: training ends with the model in which it was greatest, of those that
            were judged on the way. None: with the last model, as also where none was judged.
        find_own: whether users' own models are found at the end; else it is for others to find them.
        begun: whether it goes on from a snapshot that is unpacked next, with what was promised there: users
            may be others than when it began.
    """

    def __init__(
        self,
        task: Task,
        row: Row,
        seed: int,
        updates: int,
        evaluations: int = 20,
        tell: Tell = silent,
        patience: Patience | None = None,
        best_by: str | None = None,
        find_own: bool = True,
        begun: bool = False,
    ) -> None:
        self._tell, self._find_own = tell, find_own
        self._task, self._schedule = task, row.schedule
        self._updates, self._evaluations = updates, evaluations
        learned = task.pooled() if row.schedule.pools else task
        self._clients = clients_of(learned, row, seed, updates, patience or Unbounded(), begun)
        self._state = row.schedule.start(self._clients, task.initial(seed))
        self._done, self._version, self._refused_in_a_row, self._held = 0, 0, 0, 0
        self._seconds = 0.0
        self._unjudged = False
        self._best_by = best_by
        self._best: Best | None = None

    def warm_up(self) -> None:
        """See `Clients.warm_up`."""
        self._clients.warm_up()

    @property
    def told_of_uploads(self) -> dict[str, Any]:
        """What a summary tells of privacy, attack and defence, see `Intake.told`; empty without any."""
        intake: Intake | None = getattr(self._state, "intake", None)
        if intake is not None:
            return intake.told()
        attack, defence = self._clients.uploads.attack, self._clients.uploads.defence
        found: dict[str, Any] = {}
        if attack is not None:
            found["attack"] = attack.told(self._clients.number, self._clients.seed)
        return found if defence is None else found | {"defence": {"rule": defence.rule, "norm": defence.clip}}

    def pack(self) -> Snapshot:
        """The training at rest."""
        state = self._state.pack()
        own = {
            "done": self._done,
            "version": self._version,
            "refused_in_a_row": self._refused_in_a_row,
            "held": self._held,
            "seconds": self._seconds,
            "unjudged": self._unjudged,
        }
        packed = Snapshot(state.tensors, {"training": own, "state": state.plain})
        return self._best.pack(packed) if self._best else packed

    def unpack(self, snapshot: Snapshot) -> None:
        """Go on from a packed training of the same task, row and seed."""
        own = snapshot.plain["training"]
        self._done, self._version = own["done"], own["version"]
        self._refused_in_a_row, self._held = own["refused_in_a_row"], own["held"]
        self._seconds, self._unjudged = own["seconds"], own.get("unjudged", False)
        self._best = Best.unpack(snapshot)
        self._state = self._schedule.unpack(
            self._clients, Snapshot(snapshot.tensors, snapshot.plain["state"])
        )

    def events(
        self, stop: Callable[[], bool] = lambda: False, trained: Callable[[], None] = lambda: None
    ) -> Generator[Event, None, None]:
        """Train to the end. Until then torch shares no work inside operations, see `one_thread`.

        Args:
            stop: asked after every merge; once true, training ends as if all updates had arrived. It also
                ends if patience does, without the merge or the evaluation that was being computed.
            trained: called then, before the users' own models are found: the training is at rest.

        Raises:
            FloatingPointError: what was learned is no longer finite, or no update of two passes over the
                users could be merged; the message says what would help.
        """
        with one_thread():
            with suppress(Interrupted):
                yield from self._learn(stop)
            trained()
            if self._unjudged and self._done >= self._updates:  # nobody will go on from here
                yield self._judged()
            yield self._finish(self._best.w if self._best else self._state.w)

    def _learn(self, stop: Callable[[], bool]) -> Iterator[Event]:
        merges = self._schedule.run(self._clients, self._state)
        while True:
            if self._unjudged:  # perhaps since a checkpoint
                yield self._judged()
            if self._done >= self._updates or stop():
                return
            since = time.perf_counter()
            merge = next(merges)
            self._seconds += time.perf_counter() - since
            arrived = len(merge.users) + len(merge.refused)
            self._count(merge, arrived)
            if not all(map(math.isfinite, (merge.network or {}).values())):
                raise self.diverged()
            self._unjudged = self._crossed(arrived)
            yield self._merged(merge)

    def _merged(self, merge: Merge) -> Merged:
        return Merged(
            updates=self._done,
            version=self._version,
            users=merge.users,
            staleness=merge.staleness,
            refused=merge.refused,
            in_flight=merge.in_flight,
            time=merge.time,
            network=merge.network,
            **self._bytes(merge),
        )

    def _bytes(self, merge: Merge) -> dict[str, int]:
        """What has been sent, by way of messages that are all of one size."""
        if merge.network is not None or not isinstance(self._schedule, WithServer):
            return {}
        arrived, parameters = self._done + merge.held, merge.w.shape[-1]
        sent = arrived if isinstance(self._schedule, Cohort) else arrived + merge.in_flight - 1
        return {
            "bytes_up": arrived * self._clients.uploads.size(parameters),
            "bytes_down": sent * FLOAT * parameters,
        }

    def _count(self, merge: Merge, arrived: int) -> None:
        self._done += arrived
        self._version += bool(merge.users)
        taken = merge.users or merge.held > self._held
        useless = [why for why in merge.refused if why not in PASSED_OVER]
        self._refused_in_a_row = 0 if taken else self._refused_in_a_row + len(useless)
        self._held = merge.held
        # A user's turns in two passes can be all but two passes apart: so everybody has been asked.
        hopeless = self._refused_in_a_row >= 2 * self._clients.number
        nothing = self._done >= self._updates and self._version == 0
        if hopeless or (nothing and merge.refused):
            why = merge.refused[-1]
            if why in PASSED_OVER:
                raise FloatingPointError(
                    f"all {self._done} updates were refused ({why}): {PASSED_OVER[why]}."
                )
            what = f"the last {self._refused_in_a_row} updates were refused ({why})"
            raise self.diverged(what, REMEDIES.get(why))

    def _crossed(self, arrived: int) -> bool:
        """Whether the last arrivals reached another of ``evaluations`` equal parts of the run."""
        parts, before = self._evaluations, self._done - arrived
        return parts > 0 and self._done * parts // self._updates > before * parts // self._updates

    def _judged(self) -> Evaluated:
        w = self._state.w
        judged = Evaluated(self._done, self._evaluate(w))
        if self._best_by is not None:
            self._best = better(self._best, w, self._done, judged.metrics, self._best_by)
        self._unjudged = False
        return judged

    def _evaluate(self, w: Tensor) -> dict[str, float]:
        self._require_finite(w)
        judged = w
        if w.dim() == 2 and self._clients.objective.personal:
            judged = self._users.personalise(w, self._tell)
            self._require_finite(judged)
        try:
            with one_thread():
                return self._task.evaluate(judged)
        except FloatingPointError as error:
            raise self.diverged(str(error)) from error

    def _finish(self, w: Tensor) -> Finished:
        self._require_finite(w)
        if not (self._clients.objective.personal and self._find_own):
            return Finished(self._done, w, None, self._seconds, best=self._best)
        choice = choose(self._users, w, self._tell)
        if choice.nobody:
            return Finished(self._done, w, None, self._seconds, best=self._best, choice=choice)
        adapted = self._users.personalise(w, self._tell, choice.strength)
        if choice.kept is not None:
            adapted[choice.kept] = w.expand(len(adapted), -1)[choice.kept]
        diverged = int((~torch.isfinite(adapted)).any(1).sum())
        own = None if diverged else adapted
        return Finished(self._done, w, own, self._seconds, diverged, self._best, choice)

    @property
    def _users(self) -> Clients:
        """Every user with their own data, also where it was pooled for learning."""
        return replace(self._clients, task=self._task)

    def _require_finite(self, w: Tensor) -> None:
        if not torch.isfinite(w).all():
            raise self.diverged()

    def diverged(self, what: str = LOST, instead: str | None = None) -> FloatingPointError:
        """See `divergence.diverged`."""
        parts = (self._clients.local, self._clients.objective, self._schedule)
        return diverged(parts, self._done, what, instead)


def train(
    task: Task,
    row: Row,
    seed: int,
    updates: int,
    evaluations: int = 20,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a task by an algorithm from its start; arguments and errors as in `Training`."""
    return Training(task, row, seed, updates, evaluations).events(stop)
