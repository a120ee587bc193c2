"""What nodes have sent and not everybody has heard: the running sums of push-sum, as their last summands.

The sums between two stamps are all that is ever asked for. Taken over what was sent in between they are the
difference of two running sums, without the digits that differences of ever growing numbers lose in float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from federated.network.graphs import Bools, Graph, Ints

MOST = 2**33
"""Bytes of shares. Messages under way do take memory, and old ones wait for who sleeps or was cut off."""


@dataclass
class Shares:
    """The shares of the last H rounds: those of round r are at r mod H.

    Attributes:
        values: (H, n, P + 1) what each node sent on every one of its links.
        sent: (H, n) whether it sent anything then; where it did not, values mean nothing.
    """

    values: Tensor
    sent: Bools

    @classmethod
    def of(cls, rounds: Ints, values: Tensor, sent: Bools, room: int) -> "Shares":
        """The shares (R, n, P + 1) of R rounds, with room for as many rounds as ``room``.

        Raises:
            MemoryError: that would be more than MOST.
        """
        size = room * values[0].numel() * values.element_size() if len(values) else 0
        if size > MOST:
            raise MemoryError(
                f"a node was not heard for {len(rounds)} rounds, whose shares take {size / 2**30:.0f} GiB: "
                "lower wake_within, max_delay or max_failures."
            )
        made = cls(values.new_zeros(room, *values.shape[1:]), np.zeros((room, *sent.shape[1:]), bool))
        made.values[torch.from_numpy(rounds % room)] = values
        made.sent[rounds % room] = sent
        return made

    def only(self, rounds: Ints) -> tuple[Tensor, Bools]:
        """Values and sent of these rounds, in their order."""
        at = rounds % len(self.sent)
        return self.values[torch.from_numpy(at)], self.sent[at]

    def add(self, now: int, awaited: Ints, values: Tensor, sending: Bools) -> "Shares":
        """These and those of round ``now``; twice the room if all is taken by rounds that are awaited."""
        shares = self
        if len(awaited) == len(self.sent):
            shares = Shares.of(awaited, *self.only(awaited), room=2 * len(awaited))
        shares.values[now % len(shares.sent)] = values
        shares.sent[now % len(shares.sent)] = sending
        return shares

    def between(self, graph: Graph, after: Ints, upto: Ints) -> tuple[Ints, Ints]:
        """What was sent on links in the rounds after … upto (L,): of each share its link, and its place."""
        number = upto - after
        link = np.repeat(np.arange(len(number)), number)
        within = np.arange(len(link)) - np.repeat(number.cumsum() - number, number)
        slot = (after[link] + 1 + within) % len(self.sent)
        source = graph.source[link]
        sent = self.sent[slot, source]
        return link[sent], (slot * graph.nodes + source)[sent]

    def heard(self, graph: Graph, after: Ints, upto: Ints) -> Tensor:
        """(n, P + 1) what nodes hear on all their links together, of the rounds after … upto (L,)."""
        link, place = self.between(graph, after, upto)
        first = np.searchsorted(graph.target[link], np.arange(graph.nodes))  # links are sorted by target
        if not len(place):
            return torch.zeros_like(self.values[0])
        rows, bags = torch.from_numpy(place), torch.from_numpy(first)
        return embedding_bag(rows, self.values.flatten(0, 1), bags, mode="sum")

    def heard_apart(self, graph: Graph, links: Ints, after: Ints, upto: Ints) -> Tensor:
        """(K, P + 1) what is heard on each of K links: what was sent in the rounds after … upto (L,).

        Args:
            graph: the network.
            links: (K,) their numbers, ascending; something was sent on each of them, and on no others.
            after, upto: rounds.
        """
        link, place = self.between(graph, after, upto)
        rows, bags = torch.from_numpy(place), torch.from_numpy(np.searchsorted(link, links))
        return embedding_bag(rows, self.values.flatten(0, 1), bags, mode="sum")

    def copies(self, graph: Graph, after: Ints, upto: Ints) -> Tensor:
        """(H · n,) float64, on how many links each share was sent in the rounds after … upto (L,)."""
        _, place = self.between(graph, after, upto)
        return torch.from_numpy(np.bincount(place, minlength=self.sent.size)).double()
