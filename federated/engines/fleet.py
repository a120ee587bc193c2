"""A server's view of its nodes: who is there, what they have been asked, and what came back, late or never.

Nodes come and go, and messages are lost. So every order has a deadline: then it is given up, and an answer
that comes later is no longer asked for. What is not an answer to an open order is dropped and counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from federated.engines.messages import ORDER, Content, Post
from federated.patience import Patience

PAUSE = 0.1
"""Seconds between two looks at what has come."""

LOOK_ROUND = 2.0
"""Seconds between two looks at who is there."""


class Answer(NamedTuple):
    """What became of an order.

    Attributes:
        node: who was asked.
        kind: what for.
        note: what whoever asked had noted.
        content: of the answer; None where there is none.
    """

    node: int
    kind: str
    note: Any
    content: Content | None


@dataclass
class Traffic:
    """What has been sent and what came of it.

    Attributes:
        messages: orders sent.
        answers: that were taken.
        bytes_down, bytes_up: of the numbers in them.
        late: orders given up at their deadline.
        errors: orders that could not be sent, or came back with an error.
        not_asked: answers that nobody had asked for, replayed ones among them.
        rejected: answers that cannot be true.
    """

    messages: int = 0
    answers: int = 0
    bytes_down: int = 0
    bytes_up: int = 0
    late: int = 0
    errors: int = 0
    not_asked: int = 0
    rejected: int = 0


class _Open(NamedTuple):
    node: int
    kind: str
    note: Any
    number: int
    until: float


class Fleet:
    """Asks nodes and hears them.

    Args:
        post: carries the messages.
        deadline: seconds that an answer may take.
        patience: is asked while there is nothing to do.
        now, pause: the clock and how to wait, in seconds.
    """

    def __init__(
        self,
        post: Post,
        deadline: float,
        patience: Patience,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.traffic = Traffic()
        self._post, self._deadline, self._patience = post, deadline, patience
        self._now, self._pause = now, pause
        self._open: dict[str, _Open] = {}
        self._inbox: list[Answer] = []
        self._numbered = 0
        self._nodes: list[int] = []
        self._looked = float("-inf")

    def nodes(self) -> list[int]:
        """Who is there."""
        if self._now() - self._looked >= LOOK_ROUND:
            self._nodes, self._looked = sorted(self._post.nodes()), self._now()
        return self._nodes

    def busy(self) -> set[int]:
        """Nodes that have an order."""
        return {order.node for order in self._open.values()}

    def open(self, kind: str) -> Iterator[Any]:
        """What has been noted of the orders of a kind that are under way."""
        return (order.note for order in self._open.values() if order.kind == kind)

    def send(self, node: int, kind: str, content: Content, note: Any = None) -> bool:
        """Give a node an order; whether it is on its way."""
        self._numbered += 1
        whole = replace(content, plain={**content.plain, ORDER: self._numbered})
        name = self._post.send(node, kind, whole, self._deadline)
        if name is None:
            self.traffic.errors += 1
            return False
        self.traffic.messages += 1
        self.traffic.bytes_down += content.size
        self._open[name] = _Open(node, kind, note, self._numbered, self._now() + self._deadline)
        return True

    def hear(self) -> list[Answer]:
        """What has come since, or was given up; if nothing, after a pause."""
        self._collect()
        if not self._inbox:
            self.rest()
        heard, self._inbox = self._inbox, []
        return heard

    def ask(
        self, kind: str, contents: Mapping[int, Content], enough: int | None = None
    ) -> dict[int, Content]:
        """Ask nodes, and wait for them: what those answer who do. Other answers wait for `hear`.

        Args:
            kind, contents: of the orders.
            enough: so many answers are waited for; what comes later waits for `hear`, too. None: for all.
        """
        asked = object()
        missing = {node for node, content in contents.items() if self.send(node, kind, content, asked)}
        answers: dict[int, Content] = {}
        while missing and (enough is None or len(answers) < enough):
            self._collect()
            others = []
            for answer in self._inbox:
                if answer.note is not asked:
                    others.append(answer)
                    continue
                missing.discard(answer.node)
                if answer.content is not None:
                    answers[answer.node] = answer.content
            self._inbox = others
            if missing:
                self.rest()
        return answers

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Look into an answer: what turns out not to be what was asked for is left out, and counted."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            self.traffic.rejected += 1

    def figures(self) -> dict[str, float]:
        """See `Merge.network`."""
        return {**asdict(self.traffic), "nodes": len(self._nodes)}

    def rest(self) -> None:
        """Wait for a moment, if anybody still wants to."""
        self._patience()
        self._pause(PAUSE)

    def _collect(self) -> None:
        for reply in self._post.fetch(list(self._open)) if self._open else ():
            order = self._open.get(reply.to)
            if order is None:
                self.traffic.not_asked += 1
                continue
            content = reply.content
            if content is not None and content.plain.get(ORDER) != order.number:
                self.traffic.not_asked += 1  # the answer to another order in the place of this one
                content = None
            elif content is None:
                self.traffic.errors += 1
            else:
                self.traffic.answers += 1
                self.traffic.bytes_up += content.size
            del self._open[reply.to]
            self._inbox.append(Answer(order.node, order.kind, order.note, content))
        now = self._now()
        for name in [name for name, order in self._open.items() if order.until <= now]:
            late = self._open.pop(name)
            self.traffic.late += 1
            self._inbox.append(Answer(late.node, late.kind, late.note, None))
