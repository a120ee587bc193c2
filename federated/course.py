"""The course of a training without its work: who computes when, and what is merged, on virtual time.

It depends on the schedule, the seed and how many users there are, but not on what is learned: so it is that
of the training itself, unless updates are refused there for what they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import Tensor

from federated.algorithms import Row
from federated.clients import LocalSGD
from federated.events import Event
from federated.objectives import Vanilla
from federated.tasks.idle import Idle
from federated.training import Training


def course(
    row: Row, seed: int, updates: int, samples: Tensor, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """The merges of a training, in order; and its end, with one parameter for everyone, or one for each user.

    Args:
        row: the algorithm.
        seed: of the run.
        updates: client updates that have to arrive.
        samples: (U,) that users hold.
        stop: asked after every merge; once true, there are no more.

    Raises:
        DataError: a file that the schedule reads is not what it must be.
        FloatingPointError: a user would never learn, see `Gossip`.
    """
    local = LocalSGD(local_steps=1, batch_size=1, sampling="in-order")
    idle = replace(row, objective=Vanilla(), local=local)
    return Training(Idle(samples), idle, seed, updates, evaluations=0).events(stop)
