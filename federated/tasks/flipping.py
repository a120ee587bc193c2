"""Tasks whose hostile users have turned their labels round, and learn from that in earnest."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from federated.tasks import Task


@runtime_checkable
class Labelled(Protocol):
    """A task with labels that can be turned round."""

    def flipped(self, users: Tensor) -> Task:
        """The same, with the labels of some users (U,) bool turned round in what they learn from."""
        ...
