"""What a node does for a server: it tells counts, computes updates, and judges; its users' data stays here.

Each order is answered by a process of its own, so that all that lasts is in the node's folder.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.runs.flower.home import Home, Kept
from app.runs.flower.sums import MetricSums
from app.runs.verdict import COMMON, OWN, RANDOM, by_chance
from data.randomness import generator
from data.storage import read
from federated.clients import Clients
from federated.engines.messages import ORDER, Content
from federated.personal import Rehearsals, told
from federated.server.intake import clipped
from ranking.metrics import slate_metrics
from ranking.models import NeuralModel
from ranking.public_tables import PublicTables
from ranking.slates import StoredSlates
from ranking.telling import Node, source

JUDGED = 2000
"""Slates judged at once."""


class Order:
    """One order and the folder in which it is answered.

    Args:
        content: what was sent.
        config: how the node is configured: ``data``, its dataset, and ``home``, its own folder.
    """

    def __init__(self, content: Content, config: Mapping[str, Any]) -> None:
        self.content, self._config = content, config
        self.home = Home(Path(str(config["home"])))

    def marks(self) -> Content:
        """See `telling.Node.marks`; and the node's name."""
        marks = self._teller.marks()
        return Content({"name": self.home.name}, {"hashes": marks.hashes, "tellers": marks.tellers})

    def names(self) -> Content:
        """See `telling.Node.named`."""
        named = self._teller.named(self.content.arrays["passed"])
        return Content({}, {"named": np.frombuffer(named.to_bytes(), np.uint8)})

    def begin(self) -> Content:
        """Get ready for a training; who comes back to it is ready already."""
        plain, tables = self.content.plain, self.content.arrays["tables"].tobytes()
        told, kept = self.home.name in plain["told"], self._kept
        if not kept.ready:
            dataset = read(Path(str(self._config["data"])))
            kept.prepare(str(plain["settings"]), source(dataset, PublicTables.from_bytes(tables), told))
        about = kept.about
        return Content({"name": self.home.name, "users": len(about.users), "features": about.features})

    def updates(self) -> Content:
        """Updates of some users at the model that was sent."""
        users, counters = (_whole(self.content.plain[name]) for name in ("users", "counters"))
        w = self._w.expand(len(users), -1)
        deltas = self._clients.deltas(users, counters, w)
        if (privacy := self._settings.row.privacy) is not None:
            deltas = clipped(deltas, privacy.clip)
        samples = self._clients.samples[torch.tensor(users)]
        return Content({}, {"deltas": deltas.numpy(), "samples": samples.numpy().astype(np.int64)})

    def judge(self) -> Content:
        """Validation figures of the model that was sent, as sums over users."""
        slates = self._kept.slates("validation")
        users = len(slates.user.unique())
        if not users:
            return Content({"users": 0, "sums": {}})
        try:
            figures = self._clients.task.evaluate(self._w)
        except FloatingPointError:
            return Content({"users": users, "sums": None})
        return Content({"users": users, "sums": {n: figures[n] * users for n in ("loss", "nmrr")}})

    def rehearse(self) -> Content:
        """See `personal.told`."""
        sums = told(self._clients, self._w)
        if sums is None or not sums.users:
            return Content({"users": 0})
        arrays = {"sums": sums.sums, "products": sums.products, "finite": sums.finite}
        return Content({"users": sums.users}, {name: tensor.numpy() for name, tensor in arrays.items()})

    def finish(self) -> Content:
        """Make and keep users' own models, and tell how good they are and the common one is.

        Without a ``strength`` there are none.
        """
        plain, w = self.content.plain, self._w
        own, kept, lost = None, None, 0
        if plain["strength"] is not None:
            own, kept = self._own(float(plain["strength"]), plain["mean_gain"])
            lost = int((~torch.isfinite(own)).any(1).sum())
        if own is not None and not lost:
            self._kept.keep_own(own)
        model = NeuralModel(self._kept.network(self._settings), w, None if lost else own)
        splits = {name: _judged(model, self._kept.slates(name)).pack() for name in ("validation", "test")}
        if plain["over"]:
            self._kept.forget_slates()
        return Content({"lost": lost, "kept": None if kept is None else int(kept.sum()), "splits": splits})

    def _own(self, strength: float, mean_gain: float | None) -> tuple[Tensor, Tensor | None]:
        """Own models (U, P), and who keeps the common one (U,), if anybody is looked at."""
        clients, w = self._clients, self._w
        own = clients.personalise(w, strength=strength)
        rehearsal = clients.task.rehearsal() if clients.local.keep_common else None
        if rehearsal is None or mean_gain is None:
            return own, None
        kept = Rehearsals(clients, w, rehearsal).kept(strength, mean_gain)
        own[kept] = w.expand(len(own), -1)[kept]
        return own, kept

    @cached_property
    def _teller(self) -> Node:
        return Node(read(Path(str(self._config["data"]))), self.home.key)

    @cached_property
    def _kept(self) -> Kept:
        return self.home.training(str(self.content.plain["training"]))

    @cached_property
    def _settings(self) -> Any:
        return self._kept.settings

    @cached_property
    def _clients(self) -> Clients:
        """This node's users; their draws are keyed by the node's name, so that no two nodes draw the same."""
        settings = self._settings
        name = int(hashlib.sha256(self.home.name.encode()).hexdigest()[:8], 16)
        seed = int(generator(settings.seed, "node", name).integers(2**32))
        return Clients(self._kept.task(settings), settings.row.objective, settings.row.local, seed)

    @property
    def _w(self) -> Tensor:
        return torch.from_numpy(np.array(self.content.arrays["w"], np.float32))


ORDERS = (
    Order.marks,
    Order.names,
    Order.begin,
    Order.updates,
    Order.judge,
    Order.rehearse,
    Order.finish,
)
WORK = {order.__name__: order for order in ORDERS}
"""Orders by the names of their kinds."""


def work(kind: str, content: Content, config: Mapping[str, Any]) -> Content:
    """Answer an order.

    Raises:
        KeyError: of a kind that no node knows.
    """
    answer = WORK[kind](Order(content, config))
    return Content({**answer.plain, ORDER: content.plain[ORDER]}, answer.arrays)


def _judged(model: NeuralModel, slates: StoredSlates) -> MetricSums:
    """How good the rankings of a split are."""
    if not len(slates):
        return MetricSums()
    scorers = {RANDOM: by_chance, COMMON: model.global_scores, OWN: model.personal_scores}
    parts: dict[str, list[dict[str, Tensor]]] = {by: [] for by in scorers}
    for some in slates.chunks(JUDGED):
        for by, scores in scorers.items():
            found = scores(some)
            assert found is not None, "there is a common model"
            parts[by].append(slate_metrics(found, some))
    metrics = {
        by: {name: torch.cat([part[name] for part in of]) for name in of[0]} for by, of in parts.items()
    }
    return MetricSums.of(metrics, slates.user)


def _whole(values: Any) -> list[int]:
    """Whole numbers of a message."""
    return [int(value) for value in values]
