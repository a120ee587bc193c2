"""`Actor`: a group as an actor of Ray. It wakes on its own clock, and letters arrive whatever it is doing."""

import threading
import time
from dataclasses import dataclass

import ray
import torch
from ray.exceptions import RayError

from data.randomness import generator
from federated.engines.ray.member import Member, Plan, Recipe, Report
from federated.network.letters import Letter

UNANSWERED = 8
"""Letters, at most, on the way from one group to another: who is slow gets later ones, which say more."""

THREADS = 4
"""Of an actor's calls, so that letters arrive while somebody asks how it is."""

AGAIN = 1.0
"""Seconds after which a group that could not be found is looked for again."""


@dataclass(frozen=True)
class Seen:
    """What an actor answers who is asked how it is: whether it lives, its report, and what it failed with."""

    living: bool
    report: Report
    failure: Exception | None


class Post:
    """Sends letters one way and waits for nobody.

    Args:
        names: of all actors, by group.
        namespace: where they are known by these.
    """

    def __init__(self, names: list[str], namespace: str) -> None:
        self._names, self._namespace = names, namespace
        self._actors: dict[int, ray.actor.ActorHandle] = {}
        self._looked: dict[int, float] = {}
        self._unanswered: dict[int, dict[ray.ObjectRef, Letter]] = {}

    def send(self, group: int, letter: Letter) -> list[Letter]:
        """Send a letter; gives those that are now known to be lost, this one perhaps among them."""
        lost = self._failed(group)
        waiting = self._unanswered.setdefault(group, {})
        actor = self._find(group)
        if actor is None or len(waiting) >= UNANSWERED:
            return [*lost, letter]
        try:
            waiting[actor.deposit.remote(letter)] = letter
        except RayError:
            return [*lost, letter]
        return lost

    def _failed(self, group: int) -> list[Letter]:
        """Forget what has been answered; those letters that nobody took."""
        waiting = self._unanswered.get(group, {})
        if not waiting:
            return []
        answered, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        lost = []
        for ref in answered:
            letter = waiting.pop(ref)
            try:
                ray.get(ref)
            except RayError:  # it is down, or died over this one
                lost.append(letter)
        return lost

    def _find(self, group: int) -> ray.actor.ActorHandle | None:
        if group not in self._actors and time.monotonic() > self._looked.get(group, 0):
            self._looked[group] = time.monotonic() + AGAIN
            try:
                self._actors[group] = ray.get_actor(self._names[group], self._namespace)
            except (ValueError, RayError):  # it is not there yet
                return None
        return self._actors.get(group)


class Actor:
    """A group that lives; arguments and errors as of `Member` and `Post`.

    When Ray starts it again after its process was killed, it goes on from its disk by itself.
    """

    def __init__(self, plan: Plan, group: int, recipe: Recipe, names: list[str], namespace: str) -> None:
        torch.set_num_threads(1)
        self._member = Member(plan, group, recipe)
        self._plan, self._group = plan, group
        self._post = Post(names, namespace)
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._life: threading.Thread | None = None
        if self._member.living:
            self.begin()

    def begin(self) -> None:
        """Live, unless it does already."""
        if self._life is None:
            self._life = threading.Thread(target=self._live, daemon=True)
            self._life.start()

    def deposit(self, letter: Letter) -> None:
        """A letter from another group."""
        self._member.box.put(letter)

    def seen(self) -> Seen:
        """How it is."""
        return Seen(self._life is not None, self._member.report, self._failure)

    def end(self) -> None:
        """Finish the round, save, and live no longer."""
        self._ending.set()
        if self._life is not None:
            self._life.join()

    def _live(self) -> None:
        try:
            while not self._ending.is_set():
                since = time.monotonic()
                for group, letter in self._member.wake():
                    for lost in self._post.send(group, letter):
                        self._member.note_lost(lost)
                pause = self._pause() - (time.monotonic() - since)
                self._ending.wait(max(pause, 0))
            self._member.save()
        except Exception as error:  # whoever asks is told
            self._failure = error

    def _pause(self) -> float:
        """Seconds from this waking to the next, from half to one and a half times the mean."""
        plan, now = self._plan, self._member.nodes.now
        return plan.wake_seconds * float(0.5 + generator(plan.seed, "pause", self._group, now).random())
