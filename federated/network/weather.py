"""What a network does to its nodes and messages: who is awake when, what is late, and what is lost.

Nodes wake at least once in Γw rounds, a message takes 1 to Γd rounds, and a link loses at most Γf messages
in a row (Toghani 2022, PARS-Push). What happens in a round is drawn for all nodes and links at once, keyed
by the round, so it depends neither on what is computed nor on a restart.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from data.randomness import generator
from federated.network.graphs import Bools, Graph, Ints

Rounds = Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True)
class Faults:
    """How bad a network can be.

    Attributes:
        wake_within: Γw, rounds in which every node wakes at least once; 1: always awake.
        wake_probability: of waking in a round before that; without meaning where Γw is 1.
        max_delay: Γd, rounds that a message travels at most; each takes 1 to Γd with equal probability.
        max_failures: Γf, messages in a row that a link loses at most; 0: none.
        failure_probability: of losing a message before that; without meaning where Γf is 0.
    """

    wake_within: Rounds = 1
    wake_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_delay: Rounds = 1
    max_failures: Annotated[int, Field(ge=0, le=100)] = 0
    failure_probability: Annotated[float, Field(ge=0, le=1)] = 0.3

    @property
    def effective_delay(self) -> int:
        """Γe = Γw + Γd − 1: rounds from sending a message until it is used, if it is not lost."""
        return self.wake_within + self.max_delay - 1

    @property
    def silence(self) -> int:
        """Γs = Γw (Γf + 1) + Γe: rounds within which every in-neighbour is heard."""
        return self.wake_within * (self.max_failures + 1) + self.effective_delay


@plain_dataclass
class Weather:
    """What the faults of a network have done until now.

    Attributes:
        asleep: (n,) rounds in a row that each node has been asleep.
        failed: (L,) messages in a row that each link has lost.
        arriving: (Γd, L) the newest stamp that arrives in each of the next rounds, −1: nothing does.
    """

    graph: Graph
    faults: Faults
    seed: int
    asleep: Ints
    failed: Ints
    arriving: Ints

    @classmethod
    def start(cls, graph: Graph, faults: Faults, seed: int) -> "Weather":
        """Before the first round."""
        links = len(graph.source)
        arriving = np.full((faults.max_delay, links), -1)
        return cls(graph, faults, seed, np.zeros(graph.nodes, np.int64), np.zeros(links, np.int64), arriving)

    def awake(self, now: int) -> Bools:
        """(n,) who wakes in round ``now``."""
        if self.faults.wake_within == 1:
            return np.ones(self.graph.nodes, bool)
        chance = generator(self.seed, "wake", now).random(self.graph.nodes)
        awake = chance < self.faults.wake_probability
        awake |= self.asleep >= self.faults.wake_within - 1
        return awake

    def note_sleep(self, awake: Bools) -> None:
        """Count the rounds in a row that nodes have been asleep: all but those ``awake`` (n,) one more."""
        self.asleep = np.where(awake, 0, self.asleep + 1)

    def send(self, now: int, sending: Bools) -> Bools:
        """Let every node that is ``sending`` (n,) put a message with the stamp ``now`` on its links.

        Returns:
            (L,) on which links a message was lost.
        """
        used = sending[self.graph.source]
        lost = np.zeros_like(used)
        if self.faults.max_failures:
            chance = generator(self.seed, "failure", now).random(len(used))
            lost = used & (chance < self.faults.failure_probability)
            lost &= self.failed < self.faults.max_failures
            self.failed = np.where(used, np.where(lost, self.failed + 1, 0), self.failed)
        delay = np.ones(len(used), np.int64)
        if self.faults.max_delay > 1:
            delay = generator(self.seed, "travel", now).integers(self.faults.max_delay, size=len(used)) + 1
        links = np.flatnonzero(used & ~lost)
        self.arriving[(now + delay[links]) % self.faults.max_delay, links] = now
        return lost

    def arrivals(self, now: int) -> Ints:
        """(L,) the newest stamp among the messages that arrive in round ``now``, −1 where none does.

        Ask before sending in that round: what travels for Γd rounds takes the place of these.
        """
        slot = now % self.faults.max_delay
        stamps: Ints = self.arriving[slot].copy()
        self.arriving[slot] = -1
        return stamps
