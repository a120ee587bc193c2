"""The experiments that `persarank reproduce` knows; adding one is adding a row and a file."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.experiments.account import Experiment


@dataclass(frozen=True)
class Row:
    """Where an experiment is, so that nothing is imported that is not made.

    Attributes:
        summary: what it is, for the list of commands.
        place: the module of this folder, and the name in it.
        inputs: the options that it reads files from.
    """

    summary: str
    place: tuple[str, str]
    inputs: tuple[str, ...] = ()

    def experiment(self) -> "Experiment":
        """The experiment itself."""
        module, name = self.place
        found: Experiment = getattr(import_module(f"app.experiments.{module}"), name)
        return found


EXPERIMENTS = {
    "ranking": Row(
        "the talk's table of rankers, losses and algorithms", ("ranking", "EXPERIMENT"), ("shell", "packages")
    ),
    "staleness": Row("how stale updates are, and what that costs", ("staleness", "EXPERIMENT")),
    "persa-fl": Row("all algorithms with a server", ("grid", "EXPERIMENT"), ("shell",)),
    "pars-push": Row("the network without a server", ("pars_push", "EXPERIMENT"), ("points",)),
    "memrl": Row("navigation, and rankings learned from what they are paid", ("memrl", "EXPERIMENT")),
    "privacy": Row("what differential privacy costs, by epsilon", ("privacy", "EXPERIMENT"), ("shell",)),
    "robustness": Row("hostile users, and defences against them", ("robustness", "EXPERIMENT")),
    "bytes": Row("what fewer bits of updates cost", ("bytes_up", "EXPERIMENT")),
    "membership": Row("whether models tell who was there", ("membership", "EXPERIMENT")),
    "mnist": Row("digits, of which users see different ones", ("images", "MNIST"), ("images",)),
    "cifar10": Row("small photographs, likewise", ("images", "CIFAR10"), ("images",)),
}
