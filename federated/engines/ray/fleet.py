"""`Fleet`: all actors of a training, as whoever started them sees them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError

from data.schema import DataError
from federated.engines.ray.actor import THREADS, Actor, Seen
from federated.engines.ray.member import Plan, Recipe, Report

RESTARTS = 100
"""How often an actor is started again after its process has died."""

MOURNING = 5.0
"""Seconds after which an actor that is said to be dead, and not just down, is believed to be."""

FAREWELL = 60.0
"""Seconds in which an actor has to finish its round and save."""


class FleetError(DataError):
    """An actor cannot go on."""


@dataclass
class Fleet:
    """The actors of a training, one for each group.

    Attributes:
        plan: of the training.
        actors: by group.
        asked: who has been asked how it is and has not answered yet.
        seen: what each one answered last.
        dead: since when Ray has said that somebody is.
    """

    plan: Plan
    actors: list[ray.actor.ActorHandle]
    asked: dict[ray.ObjectRef, int] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)
    dead: dict[int, float] = field(default_factory=dict)

    @classmethod
    def start(cls, plan: Plan, recipe: Recipe) -> "Fleet":
        """Start all actors, each of which finds its users' data and, if it has any, its state.

        They live once all of them are there, see `reports`.

        Args:
            plan: of the training.
            recipe: for users' data.
        """
        namespace = f"persarank-{plan.name}"
        names = [str(group) for group in range(plan.groups)]
        remote = ray.remote(Actor)
        actors = [
            remote.options(
                name=names[group],
                namespace=namespace,
                num_cpus=0,
                max_restarts=RESTARTS,
                max_concurrency=THREADS,
                scheduling_strategy="SPREAD",
            ).remote(plan, group, recipe, names, namespace)
            for group in range(plan.groups)
        ]
        return cls(plan, actors)

    def ask(self, seconds: float, patience: Callable[[], None]) -> list[Report] | None:
        """How all groups are, as of now or, for those that are down, as they were last.

        Args:
            seconds: to wait for answers.
            patience: is asked while waiting.

        Returns:
            a report of each; None as long as not all of them have answered once.

        Raises:
            FleetError: one of them cannot go on.
        """
        for group in set(range(len(self.actors))) - set(self.asked.values()):
            self.asked[self.actors[group].seen.remote()] = group
        until = time.monotonic() + seconds
        while self.asked and (left := until - time.monotonic()) > 0:
            patience()
            answered, _ = ray.wait(list(self.asked), num_returns=len(self.asked), timeout=min(left, 0.2))
            for ref in answered:
                self._note(ref)
        if len(self.seen) < len(self.actors):
            time.sleep(0.1)  # the dead answer at once
            return None
        for group, seen in self.seen.items():
            if not seen.living:
                self.actors[group].begin.remote()
        return [self.seen[group].report for group in range(len(self.actors))]

    def _note(self, ref: ray.ObjectRef) -> None:
        group = self.asked.pop(ref)
        try:
            seen = ray.get(ref)
        except ActorDiedError as error:  # for good, or it is about to be started again
            since = self.dead.setdefault(group, time.monotonic())
            if time.monotonic() - since > MOURNING:
                raise FleetError(f"the actor of group {group} cannot go on: {_cause(error)}") from error
            return
        except RayActorError:  # it is being started again
            return
        self.dead.pop(group, None)
        if seen.failure is not None:
            raise seen.failure
        self.seen[group] = seen

    def end(self) -> None:
        """Have everybody finish the round and save; who does not in time, or cannot, is ended anyhow."""
        if not ray.is_initialized():  # the connection has ended, and all actors with it
            return
        try:
            farewells = [actor.end.remote() for actor in self.actors]
            ray.wait(farewells, num_returns=len(farewells), timeout=FAREWELL)
            for actor in self.actors:
                ray.kill(actor)
        except RayError:
            return


def _cause(error: BaseException) -> str:
    """What an actor died of, in one line."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    return str(cause).strip().splitlines()[-1]
