"""A server's dealings with its nodes beside updates: counting, welcoming, judging, and users' own models."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.runs.directory import PUBLIC, RunError
from app.runs.flower.sums import MetricSums
from app.runs.settings import Settings
from data.files import write_bytes
from data.progress import Tell
from data.public_counts import Bounds
from data.schema import DataError
from federated.engines.fleet import Fleet
from federated.engines.messages import Content
from federated.engines.places import Places
from federated.engines.serving import BEGIN
from federated.personal import Choice, Sums, chosen
from ranking.public_tables import Marks, Named, PublicTables
from ranking.summing import passing, require_named, together

TABLES, TOLD = PUBLIC

WAITING, COUNTING, PREPARING, JUDGING = "waiting for nodes", "counting", "getting ready", "judging"
"""What is shown while it lasts."""


@dataclass
class Public:
    """What is public: the sums, and the names of the nodes that have told their part."""

    tables: PublicTables
    told: frozenset[str]

    def write(self, out: Path) -> None:
        """Into a run's directory."""
        write_bytes(out / TABLES, self.tables.to_bytes())
        write_bytes(out / TOLD, json.dumps(sorted(self.told)).encode())

    @classmethod
    def read(cls, out: Path) -> "Public":
        """What `write` wrote.

        Raises:
            RunError: it is not there, or damaged.
        """
        try:
            tables = PublicTables.from_bytes((out / TABLES).read_bytes())
            return cls(tables, frozenset(json.loads((out / TOLD).read_text())))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{out} is a broken run directory: {TABLES} or {TOLD} is damaged.") from error


@dataclass
class Nodes:
    """Implements `serving.Host`.

    Attributes:
        settings: of the run.
        fleet: what carries the orders.
        public: what is public.
        tell: is told how far it is.
        features: F, once a node has said so.
        ready: the nodes that are, by the names of their places: who takes a place replaces who was there.
    """

    settings: Settings
    fleet: Fleet
    public: Public
    tell: Tell
    features: int | None = None
    ready: dict[str, int] = field(default_factory=dict)

    @property
    def training(self) -> str:
        """A name for this training on the nodes: the same for equal settings and counts."""
        said = self._settings + self.public.tables.fingerprint
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    @property
    def about(self) -> Mapping[str, Any]:
        """See `Host.about`."""
        return {"training": self.training}

    @property
    def _settings(self) -> str:
        return self.settings.to_toml({})

    def welcome(self, node: int) -> Content:
        """See `Host.welcome`."""
        plain = {
            "training": self.training,
            "settings": self._settings,
            "told": sorted(self.public.told),
        }
        return Content(plain, {"tables": np.frombuffer(self.public.tables.to_bytes(), np.uint8)})

    def known(self, node: int, answer: Content) -> tuple[str, int]:
        """See `Host.known`."""
        plain = answer.plain
        name, users, features = plain.get("name"), plain.get("users"), plain.get("features")
        if not (isinstance(name, str) and type(users) is int and type(features) is int):
            raise ValueError("no introduction")
        if not (0 < len(name) <= 64 and 1 <= users <= 10**7 and self.features in (None, features)):
            raise ValueError("a node with other data")
        self.features = features
        self.ready[name] = node
        return name, users

    def settle(self, enough: int) -> Places:
        """Have all nodes that are there get ready, and wait for so many; the others come later.

        Raises:
            DataError: none could.
        """
        places = Places(self.settings.seed)
        there = self.fleet.nodes()
        self.tell(PREPARING, 0, 1)
        answers = self.fleet.ask(BEGIN, {node: self.welcome(node) for node in there}, enough)
        for node, answer in sorted(answers.items()):
            with self.fleet.checked():
                places.settle(*self.known(node, answer), node)
        if not places.known:
            raise DataError("no node could get ready for the training: their logs say why.")
        return places

    def judge(self, w: Tensor) -> dict[str, float]:
        """Validation loss and NMRR of a model (P,), averaged over the users of all nodes that answer.

        Raises:
            FloatingPointError: nobody's model can be judged any more.
        """
        content = Content(self.about, {"w": w.numpy()})
        users, sums = 0, {"loss": 0.0, "nmrr": 0.0}
        for answer in self._ask("judge", content):
            with self.fleet.checked():
                some = int(answer.plain["users"])
                found = {name: float(answer.plain["sums"][name]) if some else 0.0 for name in sums}
                if some < 0 or not all(np.isfinite(v) for v in found.values()) or found["nmrr"] > some:
                    raise ValueError("no validation figures")
                users += some
                sums = {name: sums[name] + found[name] for name in sums}
        if not users:
            raise FloatingPointError("no node could judge the model")
        return {name: value / users for name, value in sums.items()}

    def choose(self, w: Tensor) -> tuple[Choice, float | None]:
        """How far own models go, and their mean gain, which is None where nobody has anything to judge by."""
        strength = self.settings.row.objective.strength
        size = 1 + max(1, len(strength.candidates))
        content = Content(self.about, {"w": w.numpy()})
        self.tell(JUDGING, 0, 2)
        parts = []
        for answer in self._ask("rehearse", content):
            with self.fleet.checked():
                if answer.plain["users"] != 0:
                    parts.append(_sums(answer, size))
        if not parts:
            return Choice(strength.name, strength.usual), None
        every = sum(parts[1:], parts[0])
        if not strength.candidates:
            return Choice(strength.name, strength.usual), float(every.means[0] - every.means[1])
        asked = Sums(every.users, every.sums[1:], every.products[1:, 1:], every.finite[1:])
        choice = chosen(strength, asked)
        place = 1 + strength.candidates.index(choice.strength)
        return choice, float(every.means[0] - every.means[place])

    def finish(self, w: Tensor, choice: Choice | None, gain: float | None, over: bool) -> "Finish":
        """Have nodes make their users' own models, if there is a choice, and say how good all is."""
        none = choice is None or choice.nobody or math.isinf(choice.strength)
        strength = None if none or choice is None else choice.strength
        plain = {**self.about, "strength": strength, "mean_gain": gain, "over": over}
        self.tell(JUDGING, 1, 2)
        return Finish.of(self._ask("finish", Content(plain, {"w": w.numpy()})), self.fleet)

    def _ask(self, kind: str, content: Content) -> list[Content]:
        """What those nodes answer that are there and ready."""
        ready = set(self.ready.values())
        there = [node for node in self.fleet.nodes() if node in ready]
        return list(self.fleet.ask(kind, dict.fromkeys(there, content)).values())


@dataclass(frozen=True)
class Finish:
    """What nodes say at the end.

    Attributes:
        nodes: how many have answered.
        lost: how many own models are not finite.
        kept: how many users keep the common model; None where nobody was looked at.
        splits: how good the rankings of a split are.
    """

    nodes: int
    lost: int
    kept: int | None
    splits: Mapping[str, MetricSums]

    @classmethod
    def of(cls, answers: list[Content], fleet: Fleet) -> "Finish":
        """From the answers of nodes; what cannot be true is left out."""
        lost, kept, parts = 0, [], []
        for answer in answers:
            with fleet.checked():
                splits = {n: MetricSums.unpack(answer.plain["splits"][n]) for n in ("validation", "test")}
                lost += int(answer.plain["lost"])
                if answer.plain["kept"] is not None:
                    kept.append(int(answer.plain["kept"]))
                parts.append(splits)
        together_ = {n: MetricSums.together(part[n] for part in parts) for n in ("validation", "test")}
        return cls(len(parts), lost, sum(kept) if kept else None, together_)


def count(fleet: Fleet, bounds: Bounds, tell: Tell) -> Public:
    """Sum the public counts of all nodes that are there.

    Nodes first tell keyed hashes, then the names of what enough users of all of them tell of. Who answers
    wrongly, or not at all, is left out.
    """
    there = fleet.nodes()
    tell(COUNTING, 0, 2)
    marks: dict[int, Marks] = {}
    names: dict[int, str] = {}
    for node, answer in fleet.ask("marks", {node: Content() for node in there}).items():
        with fleet.checked():
            one = Marks(answer.arrays["hashes"], answer.arrays["tellers"])
            passing([one], 1)
            marks[node], names[node] = one, str(answer.plain["name"])
    passed = passing(list(marks.values()), bounds.users)
    tell(COUNTING, 1, 2)
    replies = {}
    for node, answer in fleet.ask("names", {node: Content({}, {"passed": passed}) for node in marks}).items():
        with fleet.checked():
            named = Named.from_bytes(answer.arrays["named"].tobytes(), bounds)
            require_named(named, marks[node], passed, bounds)
            replies[node] = (marks[node], named)
    tables = together(list(replies.values()), passed, bounds)
    return Public(tables, frozenset(names[node] for node in replies))


def _sums(answer: Content, size: int) -> Sums:
    """What a node tells of its users' losses.

    Raises:
        ValueError: it is something else; or it has no user who could tell.
    """
    users = int(answer.plain["users"])
    if users < 1:
        raise ValueError("nobody judges there")
    sums, finite = answer.array("sums", np.float64, size), answer.array("finite", np.bool_, size)
    products = answer.array("products", np.float64, size, size)
    if not (np.isfinite(sums).all() and np.isfinite(products).all()):
        raise ValueError("no sums")
    return Sums(users, *(torch.from_numpy(values.copy()) for values in (sums, products, finite)))
