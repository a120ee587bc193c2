"""Push-sum with running sums: how nodes average over late, lossy, one-way links and lose nothing.

A node sends the running sums φ of all it ever shared, so whatever a lost message held is in the next one;
who hears φ(t′) adds what is new since the last stamp κ heard from there, φ(t′) − φ(κ) (Spiridonoff,
Olshevsky and Paschalidis 2020, RASGP; Toghani 2022, PARS-Push). `Shares` keeps the sums.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.schema import DataError
from federated.network.clipping import Clip
from federated.network.coding import Coder
from federated.network.graphs import Bools, Graph, Ints
from federated.network.nodes import make_models, step
from federated.network.shares import Shares
from federated.network.weather import Faults, Weather
from federated.server.uploads import Uploads
from federated.state import Snapshot

ARRAYS = ("stamp", "newest", "owed", "steps", "made")
WEATHER = ("asleep", "failed", "arriving")
COUNTS = ("now", "messages", "lost", "guarded")
PLAIN = Uploads()
STAMP = 8
"""Bytes of a message beside its sums."""


@dataclass
class PushSum:
    """The state of all n nodes of a network with L links; P parameters.

    Attributes:
        mass: (n, P + 1) x, the parameters' mass, and in the last column y, the push-sum weight.
        w: (n, P) z = x/y of each node, as of its last waking.
        shares: what nodes sent in the rounds that somebody has still to hear.
        stamp: (L,) κ, the newest round whose sums the link's target has used, −1: none.
        newest: (L,) the newest round whose sums have arrived there.
        owed: (n,) s, the step sizes since each node's last step.
        steps: (n,) how many steps each node has taken.
        made: (n,) the round in which each node's z was made, −1: it is the start.
        now: t, the present round.
        messages, lost, guarded: how many until now; guarded counts nodes that kept their z.
        coder: makes messages small; None: they hold numbers as they are.
        clip: bounds how far a neighbour can pull; None: nothing does.
    """

    graph: Graph
    weather: Weather
    mass: Tensor
    w: Tensor
    shares: Shares
    stamp: Ints
    newest: Ints
    owed: NDArray[np.float64]
    steps: Ints
    made: Ints
    now: int = 0
    messages: int = 0
    lost: int = 0
    guarded: int = 0
    coder: Coder | None = None
    clip: Clip | None = None

    @classmethod
    def start(cls, graph: Graph, faults: Faults, seed: int, w: Tensor, uploads: Uploads = PLAIN) -> "PushSum":
        """All nodes hold w (P,), or one each (n, P), with weight 1, and have heard nothing."""
        n, links = graph.nodes, len(graph.source)
        coder = clip = None
        if uploads.compression is not None:
            origin = w if w.dim() == 1 else torch.zeros_like(w[0])
            coder = Coder.start(uploads.compression, n, faults.silence, origin)
        if (radius := _radius(uploads)) is not None:
            clip = Clip(radius, torch.zeros(w.shape[-1], dtype=torch.float64))
        w = w.expand(n, -1).contiguous()
        mass = torch.cat([w, w.new_ones(n, 1)], dim=1)
        return cls(
            graph=graph,
            weather=Weather.start(graph, faults, seed),
            mass=mass,
            w=w,
            shares=Shares(torch.zeros_like(mass)[None], np.zeros((1, n), bool)),
            stamp=np.full(links, -1),
            newest=np.full(links, -1),
            owed=np.zeros(n),
            steps=np.zeros(n, np.int64),
            made=np.full(n, -1),
            coder=coder,
            clip=clip,
        )

    def step(self, nodes: Ints, deltas: Tensor) -> None:
        """See `nodes.step`."""
        step(self, nodes, deltas)

    def exchange(self, awake: Bools, least_weight: float) -> None:
        """Let those who are awake (n,) share, send, hear and make their z, which ends the round.

        Args:
            awake: who.
            least_weight: see `nodes.make_models`.
        """
        self.weather.note_sleep(awake)
        self.newest = np.maximum(self.newest, self.weather.arrivals(self.now))  # before anything is sent
        self._share(awake)
        self.messages += int(self.graph.out_degree[awake].sum())
        self.lost += int(self.weather.send(self.now, awake).sum())
        self._hear(awake)
        self.guarded += make_models(self, awake, least_weight)
        self.now += 1

    def total(self) -> Tensor:
        """(P + 1,) float64, the mass of all nodes and of all links; nothing but steps changes it.

        What small messages leave for the next ones counts as under way, what was clipped as if it were there.
        """
        total = self.mass.double().sum(0) + self._under_way() @ self.shares.values.flatten(0, 1).double()
        if self.coder is not None:
            total[:-1] += torch.from_numpy(self.graph.out_degree).double() @ self.coder.rest
        if self.clip is not None:
            total[:-1] += self.clip.cut
        return total

    def figures(self) -> dict[str, float]:
        """What the metrics tell of the network, see `Merge.network`."""
        weight = self.mass[:, -1].double()
        under_way = self._under_way() @ self.shares.values[..., -1].flatten().double()
        apart = self.w - self.w.mean(0)
        figures = {
            "consensus_error": float((apart * apart).sum(1).mean()),
            "mass": float(weight.sum() + under_way) / self.graph.nodes,
            "smallest_weight": float(weight.min()),
            "oldest_stamp": int((self.now - 1 - self.stamp).max(initial=0)),
            "oldest_model": int((self.now - 1 - self.made).max()),
            "messages": self.messages,
            "bytes": self.messages * self._size,
            "lost": self.lost,
            "guarded": self.guarded,
        }
        return figures if self.clip is None else figures | self.clip.figures(self.graph.nodes)

    def pack(self) -> Snapshot:
        """See `State.pack`; of the shares only those that somebody still has to hear."""
        shares, sent = self.shares.only(_awaited(self.stamp, self.now))
        arrays = {name: getattr(self, name) for name in ARRAYS} | {"sent": sent}
        arrays |= {name: getattr(self.weather, name) for name in WEATHER}
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        tensors |= {"mass": self.mass.clone(), "w": self.w, "shares": shares}
        for part in (self.coder, self.clip):
            tensors |= part.pack() if part is not None else {}
        plain = {name: getattr(self, name) for name in COUNTS} | {"graph": self.graph.checksum}
        return Snapshot(tensors, plain)

    @classmethod
    def unpack(
        cls, graph: Graph, faults: Faults, seed: int, snapshot: Snapshot, uploads: Uploads = PLAIN
    ) -> "PushSum":
        """What `pack` packed, on the same network, with the same uploads.

        Raises:
            DataError: it is another one.
        """
        if snapshot.plain["graph"] != graph.checksum:
            raise DataError("the network has other links than when this training began.")
        tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
        arrays = {name: tensors[name].numpy() for name in (*ARRAYS, *WEATHER, "sent")}
        asleep, failed, arriving = (arrays[name] for name in WEATHER)
        weather = Weather(graph, faults, seed, asleep, failed, arriving)
        mass, w, shares = (tensors[name] for name in ("mass", "w", "shares"))
        stamp, newest, owed, steps, made = (arrays[name] for name in ARRAYS)
        now, messages, lost, guarded = (snapshot.plain[name] for name in COUNTS)
        sums = Shares.of(_awaited(stamp, now), shares, arrays["sent"], room=max(len(shares), 1))
        compression, radius = uploads.compression, _radius(uploads)
        coder = None if compression is None else Coder.unpack(compression, tensors)
        clip = None if radius is None else Clip.unpack(radius, tensors)
        counts = (now, messages, lost, guarded)
        return cls(
            graph, weather, mass, w, sums, stamp, newest, owed, steps, made, *counts, coder=coder, clip=clip
        )

    @property
    def _size(self) -> int:
        """Bytes of a message."""
        if self.coder is not None:
            return self.coder.size
        return self.mass.shape[1] * self.mass.element_size() + STAMP

    def _share(self, awake: Bools) -> None:
        """Split x and y evenly between oneself and all links, and remember what was sent."""
        parts = np.where(awake, self.graph.out_degree + 1, 1)
        self.mass /= torch.from_numpy(parts).to(self.mass.dtype)[:, None]
        sent = self.mass if self.coder is None else self.coder.share(self.now, self.mass, awake)
        self.shares = self.shares.add(self.now, _awaited(self.stamp, self.now), sent, awake)

    def _hear(self, awake: Bools) -> None:
        """Add what is new in the newest sums that have arrived."""
        news = awake[self.graph.target] & (self.newest > self.stamp)
        upto = np.where(news, self.newest, self.stamp)
        if self.clip is None:
            self.mass += self.shares.heard(self.graph, self.stamp, upto)
        elif news.any():
            links = np.flatnonzero(news)
            target = torch.from_numpy(self.graph.target[links])
            heard = self.shares.heard_apart(self.graph, links, self.stamp, upto)
            self.mass.index_add_(0, target, self.clip.take(heard, self.w[target]))
        self._check(self.now - upto[news], self.now - upto)
        self.stamp = upto

    def _check(self, used: Ints, unheard: Ints) -> None:
        """What is used is at most Γe rounds old, what is not heard younger than Γs; as promised."""
        faults = self.weather.faults
        if used.max(initial=0) > faults.effective_delay or unheard.max(initial=0) >= faults.silence:
            raise RuntimeError(f"round {self.now}: a message is older than {faults} allow.")

    def _under_way(self) -> Tensor:
        """(H · n,) on how many links each share is under way: sent after κ, though it may be lost."""
        return self.shares.copies(self.graph, self.stamp, np.full_like(self.stamp, self.now - 1))


def _awaited(stamp: Ints, now: int) -> Ints:
    """Past rounds whose shares somebody has still to hear."""
    return np.arange(stamp.min(initial=now - 1) + 1, now)


def _radius(uploads: Uploads) -> float | None:
    """R of the clipping on links; None: there is none."""
    return None if uploads.defence is None else uploads.defence.clip
