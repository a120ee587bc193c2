"""Users who each pull towards a centre of their own: their updates are known without learning."""

import torch
from torch import Tensor

from federated.algorithms import Row
from federated.clients import LocalSGD
from federated.events import Finished, Merged
from federated.objectives import Vanilla
from federated.schedules.alone import Local
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.tasks.quadratics import Quadratics
from federated.training import Training

SEED, USERS, SIZE = 5, 8, 4


def centres(users: int = USERS) -> Tensor:
    return torch.randn(users, SIZE, generator=torch.Generator().manual_seed(1)) * 2


def task(centre: Tensor) -> Quadratics:
    """One step with lr = 1 from w goes to the user's centre: an update is w − centre."""
    users = len(centre)
    return Quadratics(torch.eye(SIZE).expand(users, -1, -1), centre, torch.zeros(users, 1, SIZE))


def row(schedule: Arrivals | Cohort | Local, **uploads: object) -> Row:
    return Row(Vanilla(), schedule, "", LocalSGD(lr=1.0, local_steps=1), **uploads)  # type: ignore[arg-type]


def learned(how: Row, centre: Tensor, updates: int) -> tuple[Tensor, list[Merged]]:
    *events, end = Training(task(centre), how, SEED, updates, evaluations=0).events()
    assert isinstance(end, Finished)
    return end.learned, [event for event in events if isinstance(event, Merged)]


def shortened(updates: Tensor, norm: float) -> Tensor:
    lengths = updates.norm(dim=1, keepdim=True)
    return torch.where(lengths > norm, updates * norm / lengths, updates)
