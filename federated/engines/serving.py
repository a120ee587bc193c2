"""Schedules with a server, over real messages: they push orders, pull answers, and never wait for one node.

A node computes the updates of a batch of its users for one message. They are admitted, weighed and merged
one by one, by the code that merges them in simulation, and the staleness of each is what it really is. Time
is that of the clock on the wall, in seconds since the run began.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from federated.clients import Clients
from federated.engines.fleet import Answer, Fleet, Traffic
from federated.engines.messages import Content
from federated.engines.places import Place, Places
from federated.engines.service import Batch, Service
from federated.schedules import Merge
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.server.admission import SHAPE, refusals
from federated.server.intake import Intake
from federated.server.merging import Arrival, Merging
from federated.state import Snapshot

BEGIN, UPDATES = "begin", "updates"
"""Kinds of orders: to get ready for a training, and to compute updates."""

LONGEST_REST = 60.0
"""Seconds, at most, that a node is left in peace after orders that came to nothing."""


HOPELESS = 8
"""Orders in a row that came to nothing, of every node: further ones would, too."""


class HopelessError(Exception):
    """No node does what it is asked for."""


class Host(Protocol):
    """What a server tells nodes, and learns of those that come."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What every order for updates says beside what is to be computed."""
        ...

    def welcome(self, node: int) -> Content:
        """What a node is told before it can compute."""
        ...

    def known(self, node: int, answer: Content) -> tuple[str, int]:
        """The name of its place and how many users it has, by what it answered.

        Raises:
            ValueError: it cannot take part.
        """
        ...

    def took(self, place: Place, answer: Content) -> None:
        """A node that answered so has taken its place."""
        ...


@dataclass(frozen=True)
class Served:
    """A schedule with a server, on a fleet; implements `Schedule`.

    Attributes:
        rule: what is done with updates.
        fleet: the nodes.
        places: who lives there, for a run that begins.
        host: welcomes nodes that come later.
        batch_users: users, at most, in a message.
    """

    rule: Arrivals | Cohort
    fleet: Fleet
    places: Places
    host: Host
    batch_users: int

    pools = False

    def start(self, clients: Clients, w: Tensor) -> Service:
        """See `Schedule.start`."""
        return Service(Merging(w, intake=self._intake(clients)), self.places, self.fleet.traffic)

    def unpack(self, clients: Clients, snapshot: Snapshot) -> Service:
        """See `Schedule.unpack`; nodes that are there keep their places."""
        plain = snapshot.plain
        places = Places.unpack(clients.seed, plain["places"])
        for place in self.places.known.values():
            if place.node is not None:
                places.settle(place.name, place.users, place.node)
        self.fleet.traffic = Traffic(**plain["traffic"])
        server = Merging.unpack(snapshot.tensors, plain, self._intake(clients))
        return Service(server, places, self.fleet.traffic, plain["time"])

    def size(self, users: int) -> int:
        """See `uploads.WithServer.size`."""
        return self.rule.size(users)

    def _intake(self, clients: Clients) -> Intake | None:
        return clients.intake(self.size(clients.number))

    def run(self, clients: Clients, state: Service) -> Iterator[Merge]:
        """See `Schedule.run`."""
        run = _Rounds if isinstance(self.rule, Cohort) else _Stream
        return run(self, state).merges()


class _Server:
    """What both schedules do."""

    def __init__(self, served: Served, state: Service) -> None:
        self.served, self.state, self.fleet = served, state, served.fleet
        self.rests: dict[str, float] = {}
        self.later: dict[int, float] = {}
        self.begins: dict[int, int] = {}
        self.welcomed = {place.node for place in state.places.known.values()}

    def ready(self) -> list[Place]:
        """Places whose nodes are there and have nothing to do; newcomers are welcomed."""
        nodes, busy = set(self.fleet.nodes()), self.fleet.busy()
        now = time.monotonic()
        for node in nodes - self.welcomed - busy:
            if self.later.get(node, 0.0) <= now:
                self.welcomed.add(node)
                self.fleet.send(node, BEGIN, self.served.host.welcome(node))
        busy = self.fleet.busy()
        return [
            place for place in self.state.places.here(nodes - busy) if self.rests.get(place.name, 0.0) <= now
        ]

    def orders(self, shares: Sequence[tuple[Place, int]]) -> None:
        """Have the next users of some places, so many of each, compute updates of the present model.

        Users who would not be taken are passed over. If all are, and nobody is at work, some at one place
        compute all the same, to be refused and counted: a training must end.
        """
        gate = self.state.server.intake
        drawn = {place.name: place.draw(users, gate) for place, users in shares}
        if isinstance(self.served.rule, Cohort):  # others take the places of those who are passed over
            short = sum(users for _, users in shares) - sum(map(len, drawn.values()))
            for place, users in shares:
                more = place.draw(users + short, gate, drawn[place.name]) if short else drawn[place.name]
                short -= len(more) - len(drawn[place.name])
                drawn[place.name] = more
        if shares and not any(drawn.values()) and not self.state.batches:
            place, users = max(shares, key=lambda share: share[1])
            drawn[place.name] = place.draw(users)
        for place, _ in shares:
            if drawn[place.name]:
                self._order(place, drawn[place.name])

    def _order(self, place: Place, users: dict[int, int]) -> None:
        assert place.node is not None, "only places whose nodes are there are asked"
        server = self.state.server
        batch = Batch(place.name, users, server.version, server.w)
        turns = {"users": list(batch.turns), "counters": list(batch.turns.values())}
        plain = {**self.served.host.about, **turns}
        content = Content(plain, {"w": server.w.numpy()})
        self.state.batches.append(batch)
        if not self.fleet.send(place.node, UPDATES, content, batch):
            self.lost(batch)

    def lost(self, batch: Batch) -> None:
        """A batch will not come back: its turns are taken again, by whoever is at that place then."""
        self.close(batch)
        place = self.state.places.known[batch.place]
        place.give_back(batch.turns)
        place.tries += 1
        self.rests[place.name] = time.monotonic() + pause(place.tries)
        self.welcomed.discard(place.node)  # perhaps it has lost what it needs: it is told once more
        here = list(self.state.places.here(set(self.fleet.nodes())))
        if here and all(one.tries >= HOPELESS for one in here):
            raise HopelessError(
                f"every node has failed {HOPELESS} orders in a row: the nodes' own logs say why."
            )

    def hear(self) -> Iterator[tuple[Batch, Content]]:
        """Updates that have come; all other answers are dealt with."""
        for answer in self.fleet.hear():
            if answer.kind == BEGIN:
                self._settle(answer)
            elif answer.kind == UPDATES:
                if answer.content is None:
                    self.lost(answer.note)
                    continue
                self.state.places.known[answer.note.place].tries = 0
                yield answer.note, answer.content

    def _settle(self, answer: Answer) -> None:
        if answer.content is None:
            tries = self.begins[answer.node] = self.begins.get(answer.node, 0) + 1
            self.later[answer.node] = time.monotonic() + pause(tries)
            self.welcomed.discard(answer.node)  # it is tried again
            return
        self.begins.pop(answer.node, None)
        with self.fleet.checked():
            name, users = self.served.host.known(answer.node, answer.content)
            place = self.state.places.settle(name, users, answer.node)
            if place is None:
                raise ValueError("its place has other users")
            self.served.host.took(place, answer.content)

    def judged(self, batch: Batch, content: Content) -> tuple[Tensor, Tensor, list[str | None]]:
        """Updates (C, P), samples (C,) and why updates are refused, of what a node has answered."""
        users, w = len(batch.turns), self.state.server.w
        try:
            deltas = torch.from_numpy(content.array("deltas", w.numpy().dtype.type, users, len(w)))
            samples = content.array("samples", np.int64, users)
            if (samples < 1).any() or (samples > 10**9).any():
                raise ValueError("no number of samples")
        except ValueError:
            return w.expand(users, -1), torch.ones(users), [SHAPE] * users
        found = torch.from_numpy(samples.copy())
        return deltas, found, refusals(deltas, w, self.served.rule.max_update_norm)

    def close(self, batch: Batch) -> None:
        """A batch is no longer under way."""
        self.state.batches = [other for other in self.state.batches if other is not batch]

    def number(self, batch: Batch, user: int) -> int:
        """A user's number on the server."""
        return self.state.places.known[batch.place].begin + user

    @property
    def in_flight(self) -> int:
        """Users who are computing or sending."""
        return sum(len(batch.turns) for batch in self.state.batches)

    def merge(self, users: Any, staleness: Any, refused: Any, in_flight: int) -> Merge:
        """What is reported."""
        state = self.state
        held, figures = len(state.server.held), self.fleet.figures() | {"users": state.places.users}
        return Merge(state.w, users, staleness, refused, in_flight, state.elapsed, held, figures)


class _Stream(_Server):
    """`Arrivals`: whoever has nothing to do gets an order, and each update is merged as it arrives."""

    def merges(self) -> Iterator[Merge]:
        """Without end."""
        while True:
            self.orders([(place, self.served.batch_users) for place in self.ready()])
            for batch, content in self.hear():
                yield from self._arrived(batch, content)

    def _arrived(self, batch: Batch, content: Content) -> Iterator[Merge]:
        rule = self.served.rule
        assert isinstance(rule, Arrivals), "cohorts are merged together"
        deltas, _, whys = self.judged(batch, content)
        for user, delta, why in zip(list(batch.turns), deltas, whys, strict=True):
            in_flight = self.in_flight
            del batch.turns[user]  # what a checkpoint holds from here on is that it has arrived
            arrival = Arrival(self.number(batch, user), batch.version, batch.read, delta, why)
            taken = rule.take(self.state.server, arrival, self.state.places.users)
            if taken is not None:
                yield self.merge(*taken, in_flight)
        self.close(batch)


class _Rounds(_Server):
    """`Cohort`: a part of the users at every node, and all who answer are merged together."""

    def merges(self) -> Iterator[Merge]:
        """Without end."""
        while True:
            places = self.ready()
            self.orders(list(zip(places, self._shares(places), strict=True)))
            in_flight = self.in_flight
            answers: list[tuple[Batch, Content]] = []
            while len(self.state.batches) > len(answers):  # who has answered is under way until the merge
                answers += self.hear()
            if answers:
                yield self._round(answers, in_flight)
            elif not in_flight:
                for _ in self.hear():  # nobody is there: wait for somebody
                    pass

    def _shares(self, places: list[Place]) -> list[int]:
        """How many users of each place are in the cohort: as many of each as of all, up to rounding."""
        assert isinstance(self.served.rule, Cohort), "arrivals have no cohorts"
        ends = np.cumsum([place.users for place in places])
        if not len(ends):
            return []
        edges = np.rint(ends * min(1.0, self.served.rule.cohort / ends[-1])).astype(int)
        return [int(n) for n in np.diff(edges, prepend=0)]

    def _round(self, answers: list[tuple[Batch, Content]], in_flight: int) -> Merge:
        rule, server = self.served.rule, self.state.server
        assert isinstance(rule, Cohort), "arrivals are merged one by one"
        users: list[int] = []
        whys: list[str | None] = []
        deltas, samples = [], []
        for batch, content in answers:
            found, held, why = self.judged(batch, content)
            self.close(batch)
            users += [self.number(batch, user) for user in batch.turns]
            deltas.append(found)
            samples.append(held)
            whys += why
        version = server.w
        merged, refused = rule.take(server, users, torch.cat(deltas), whys, torch.cat(samples))
        server.version += server.w is not version
        return self.merge(merged, (0,) * len(merged), refused, in_flight)


def pause(tries: int) -> float:
    """Seconds that a node is left in peace after so many orders in a row that came to nothing."""
    return min(LONGEST_REST, 0.5 * 2.0 ** min(tries, 20))
