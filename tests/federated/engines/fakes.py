"""Nodes and a post inside a test: messages are answered by functions, in an order that the test decides."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from federated.clients import Clients, LocalSGD
from federated.engines.messages import ORDER, Content, Reply
from federated.engines.places import Place
from federated.engines.serving import BEGIN
from federated.objectives import Objective, Vanilla
from federated.tasks.quadratics import Quadratics

Handle = Callable[[str, Content], Content | None]
"""How a node answers an order of a kind; None: never. An exception is an error that is told."""


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakePost:
    """A post whose nodes are functions.

    Attributes:
        handles: by the node's number.
        slow: how often somebody has to look for the answer to each message, in a cycle.
    """

    handles: dict[int, Handle]
    slow: list[int] = field(default_factory=lambda: [1])
    sent: list[tuple[int, str, Content]] = field(default_factory=list)
    waiting: dict[str, tuple[int, Reply]] = field(default_factory=dict)
    stray: list[Reply] = field(default_factory=list)

    def nodes(self) -> list[int]:
        return list(self.handles)

    def send(self, node: int, kind: str, content: Content, within: float) -> str | None:
        if node not in self.handles:
            return None
        name = f"message-{len(self.sent)}"
        self.sent.append((node, kind, content))
        try:
            answer = self.handles[node](kind, content)
        except ArithmeticError as error:
            self.waiting[name] = (1, Reply(name, None, str(error)))
            return name
        if answer is not None:
            whole = Content({ORDER: content.plain[ORDER], **answer.plain}, answer.arrays)
            looks = self.slow[len(self.sent) % len(self.slow)]
            self.waiting[name] = (looks, Reply(name, whole))
        return name

    def fetch(self, names: Collection[str]) -> list[Reply]:
        replies, self.stray = self.stray, []
        for name in list(self.waiting):
            looks, reply = self.waiting[name]
            if looks > 1 or name not in names:
                self.waiting[name] = (looks - 1, reply)
            else:
                replies.append(self.waiting.pop(name)[1])
        return replies


@dataclass
class QuadraticNode:
    """A node whose users have quadratics."""

    name: str
    clients: Clients

    @classmethod
    def of(cls, name: str, users: int, seed: int, objective: Objective | None = None) -> "QuadraticNode":
        draw = torch.Generator().manual_seed(seed)
        root = torch.randn(users, 3, 3, generator=draw) / 3
        curvature = root @ root.mT + torch.eye(3) / 2
        centre = torch.randn(users, 3, generator=draw)
        task = Quadratics(curvature, centre, torch.zeros(users, 5, 3))
        return cls(name, Clients(task, objective or Vanilla(), LocalSGD(lr=0.1, local_steps=3), seed))

    def __call__(self, kind: str, content: Content) -> Content | None:
        if kind == BEGIN:
            return Content({"name": self.name, "users": self.clients.number})
        users, counters = content.plain["users"], content.plain["counters"]
        w = torch.from_numpy(content.arrays["w"])
        deltas = self.deltas(users, counters, w)
        samples = np.full(len(users), 5, np.int64)
        return Content({}, {"deltas": deltas.numpy(), "samples": samples})

    def deltas(self, users: list[int], counters: list[int], w: Tensor) -> Tensor:
        return self.clients.deltas(users, counters, w.expand(len(users), -1))


class FakeHost:
    """Welcomes whoever has a name."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int | None]] = []

    @property
    def about(self) -> dict[str, str]:
        return {"training": "test"}

    def welcome(self, node: int) -> Content:
        return Content({"training": "test"})

    def known(self, node: int, answer: Content) -> tuple[str, int]:
        if "name" not in answer.plain:
            raise ValueError("no name")
        return answer.plain["name"], answer.plain["users"]

    def took(self, place: Place, answer: Content) -> None:
        self.taken.append((place.name, place.node))
