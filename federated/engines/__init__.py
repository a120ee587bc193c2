"""Where a training runs: on virtual time in one process, or over real messages. Here are only the settings.

Whoever wants an engine imports its folder, which is the only place that needs the engine's own package.
"""

from importlib.util import find_spec
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

Seconds = Annotated[float, Field(gt=0, le=1e6)]


class MissingEngineError(Exception):
    """The package of an engine is not installed, or nobody answers where it is said to run."""


@dataclass(frozen=True)
class Simulate:
    """All users in this process, on virtual time: nothing is ever sent."""


@dataclass(frozen=True)
class Flower:
    """Users behind the nodes of a Flower network, and a server that merges what arrives, in real time.

    Delays, presence and ``concurrency`` of the schedule have no meaning then: they are what they are.

    Attributes:
        nodes: nodes that must be there before searches are counted and training begins; others may come
            later. 0: as many as the network was started with, but at least one.
        batch_users: users, at most, whose updates a node computes for one message.
        deadline: seconds after which an answer is given up, and its place is taken by the next.
    """

    nodes: Annotated[int, Field(ge=0, le=100_000)] = 0
    batch_users: Annotated[int, Field(ge=1, le=100_000)] = 50
    deadline: Seconds = 600.0


@dataclass(frozen=True)
class Ray:
    """Users as nodes of a network without a server, some in each actor of a Ray cluster, in real time.

    Attributes:
        actors: groups that the users are dealt out to.
        address: of a cluster, as for `ray.init`; empty: one on this machine, for this training.
        wake_seconds: mean time between two wakings of a group.
        save_every: wakings of a group from one saving of its state to the next.
    """

    actors: Annotated[int, Field(ge=1, le=10_000)] = 8
    address: str = ""
    wake_seconds: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    save_every: Annotated[int, Field(ge=1, le=1_000_000)] = 1


Engine = Simulate | Flower | Ray

SIMULATE = "simulate"
"""The engine that is used where none is named."""

ENGINES: dict[str, Engine] = {SIMULATE: Simulate(), "flower": Flower(), "ray": Ray()}

PACKAGES = {"flower": "flwr", "ray": "ray"}
"""What an engine needs to be installed; its extra is named like the engine."""

SERVED = {"flower": ("cohort", "arrivals", "buffered"), "ray": ("gossip",)}
"""Schedules that run on an engine, by their names in SCHEDULES; on the simulator all do."""


def require_engine(name: str) -> None:
    """Raise MissingEngineError unless the package of an engine is installed."""
    package = PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise MissingEngineError(
            f"the engine {name} needs the package {package}: pip install 'persarank[{name}]'."
        )
