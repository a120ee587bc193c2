"""Tasks whose hostile users have turned their labels round, and learn from that in earnest."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from federated.tasks import Task
from federated.uploads import UploadError


@runtime_checkable
class Labelled(Protocol):
    """A task with labels that can be turned round."""

    def flipped(self, users: Tensor) -> Task:
        """The same, with the labels of some users (U,) bool turned round in what they learn from."""
        ...


def flipped(task: Task, users: Tensor) -> Task:
    """See `Labelled.flipped`.

    Raises:
        UploadError: the task has no labels.
    """
    if not isinstance(task, Labelled):
        raise UploadError(
            "label-flip needs labels, and users learn from something else here: choose another attack."
        )
    return task.flipped(users)
