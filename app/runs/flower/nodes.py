"""A server's dealings with its nodes beside updates: welcoming, judging, and users' own models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.runs.flower.counting import Public
from app.runs.flower.sums import MetricSums
from app.runs.settings import Settings
from data.progress import Tell
from data.schema import DataError
from federated.engines.fleet import Fleet
from federated.engines.messages import Content
from federated.engines.places import Place, Places
from federated.engines.serving import BEGIN, HOPELESS, HopelessError
from federated.personal import Choice, Sums, chosen

PREPARING, JUDGING = "getting ready", "judging"
"""What is shown while it lasts."""


FIGURES = ("loss", "nmrr")
"""Of a validation."""

KINDS: tuple[tuple[str, type[np.generic]], ...] = (("sums", np.float64), ("finite", np.bool_))
"""What is told of losses by candidate."""


class Told(NamedTuple):
    """What a node has answered, and how many users it has."""

    users: int
    content: Content


@dataclass
class Nodes:
    """Implements `serving.Host`.

    Attributes:
        settings: of the run.
        fleet: what carries the orders.
        public: what is public.
        tell: is told how far it is.
        features: F, once a node has said so.
        ready: the nodes that are, with their number of users, by the names of their places: who takes a
            place replaces who was there.
    """

    settings: Settings
    fleet: Fleet
    public: Public
    tell: Tell
    features: int | None = None
    ready: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def training(self) -> str:
        """The name of this training on the nodes."""
        return self.public.training

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
        if not (0 < len(name) <= 64 and 1 <= users <= 10**7 and features >= 1):
            raise ValueError("no introduction")
        if self.features not in (None, features):
            raise ValueError("a node with other data")
        return name, users

    def took(self, place: Place, answer: Content) -> None:
        """See `Host.took`."""
        assert place.node is not None, "somebody has taken it"
        self.features = answer.plain["features"]
        self.ready[place.name] = (place.node, place.users)

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
                place = places.settle(*self.known(node, answer), node)
                if place is None:
                    raise ValueError("its place has other users")
                self.took(place, answer)
        if not places.known:
            raise DataError("no node could get ready for the training: their logs say why.")
        return places

    def judge(self, w: Tensor) -> dict[str, float]:
        """Validation loss and NMRR of a model (P,), averaged over the users of all nodes that answer.

        Raises:
            FloatingPointError: the model's scores are not finite at a node.
            DataError: nobody has anything to judge by.
            HopelessError: no node has answered, however often they were asked.
        """
        content = Content(self.about, {"w": w.numpy()})
        for _ in range(HOPELESS):
            answers = [found for found in map(self._judged, self._ask("judge", content)) if found]
            if users := sum(some for some, _ in answers):
                return {n: sum(sums[n] for _, sums in answers) / users for n in FIGURES}
            if answers:
                raise DataError("nobody has validation slates: train with --evaluations 0.")
            self.fleet.rest()
        raise HopelessError("no node judges the model: the nodes' own logs say why.")

    def _judged(self, told: Told) -> tuple[int, dict[str, float]] | None:
        """How many users a node's figures are of, and their sums; None where they cannot be true."""
        with self.fleet.checked():
            users, sums = told.content.plain["users"], told.content.plain["sums"]
            if users and sums is None:
                raise FloatingPointError("the model's scores are no longer finite")
            found = {name: float(sums[name]) if users else 0.0 for name in FIGURES}
            if type(users) is not int or not 0 <= users <= told.users or not 0 <= found["nmrr"] <= users:
                raise ValueError("no validation figures")
            if not math.isfinite(found["loss"]):
                raise ValueError("no validation figures")
            return users, found
        return None

    def choose(self, w: Tensor) -> tuple[Choice, float | None]:
        """How far own models go, and their mean gain, which is None where nobody has anything to judge by."""
        strength = self.settings.row.objective.strength
        size = 1 + max(1, len(strength.candidates))
        content = Content(self.about, {"w": w.numpy()})
        self.tell(JUDGING, 0, 2)
        parts = []
        for told in self._ask("rehearse", content):
            with self.fleet.checked():
                if told.content.plain["users"] != 0:
                    parts.append(_sums(told, size))
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

    def _ask(self, kind: str, content: Content) -> list[Told]:
        """What those nodes answer that are there and ready."""
        ready = dict(self.ready.values())
        there = [node for node in self.fleet.nodes() if node in ready]
        answers = self.fleet.ask(kind, dict.fromkeys(there, content))
        return [Told(ready[node], answer) for node, answer in answers.items()]


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
    def of(cls, answers: list[Told], fleet: Fleet) -> "Finish":
        """From the answers of nodes; what cannot be true is left out."""
        lost, parts = 0, []
        kept: list[int] = []
        for users, content in answers:
            with fleet.checked():
                plain = content.plain
                splits = {n: MetricSums.unpack(plain["splits"][n], users) for n in ("validation", "test")}
                counts = [plain["lost"], *([] if plain["kept"] is None else [plain["kept"]])]
                if not all(type(number) is int and 0 <= number <= users for number in counts):
                    raise ValueError("no numbers of users")
                lost, kept = lost + counts[0], kept + counts[1:]
                parts.append(splits)
        together_ = {n: MetricSums.together(part[n] for part in parts) for n in ("validation", "test")}
        return cls(len(parts), lost, sum(kept) if kept else None, together_)


def _sums(told: Told, size: int) -> Sums:
    """What a node tells of its users' losses.

    Raises:
        ValueError: it is something else.
    """
    users = told.content.plain["users"]
    if type(users) is not int or not 1 <= users <= told.users:
        raise ValueError("no number of users")
    sums, finite = (told.content.array(name, kind, size) for name, kind in KINDS)
    products = told.content.array("products", np.float64, size, size)
    if not (np.isfinite(sums).all() and np.isfinite(products).all()):
        raise ValueError("no sums")
    return Sums(users, *(torch.from_numpy(values.copy()) for values in (sums, products, finite)))
