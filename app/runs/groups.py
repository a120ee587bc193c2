"""What a group of users needs to learn on another engine: their own slates, and the settings of the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from app.runs.directory import GROUPS, RunError, open_started
from app.runs.settings import Settings
from app.runs.teaching import teaching
from data.feature_sets import Data, open_data
from data.schema import Dataset, column
from federated.clients import Clients
from federated.engines import Ray, require_engine
from federated.engines.ray.environment import prepare
from federated.network.graphs import Ints
from federated.schedules import Schedule
from federated.schedules.gossip import Gossip
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import learned
from ranking.slates import pad_front
from ranking.sources import source_of


@dataclass(frozen=True)
class Group:
    """Finds some users' data by way of a run directory; implements `Recipe`.

    Attributes:
        run: the directory, whose config says where the dataset lies, on every machine the same.
    """

    run: Path

    def __call__(self, users: Ints) -> Clients:
        """See `Recipe`; only the slates of these users are built.

        Raises:
            DataError, RunError: the data or the run cannot be read, or it is other data.
        """
        started = open_started(self.run)
        data = open_data(started.data)
        if data.fingerprint != started.fingerprint:
            raise RunError(
                f"{started.data} holds {data.fingerprint} on this machine: copy the dataset to it."
            )
        settings = started.settings
        source = source_of(_without_others(data, users))
        slates = source.slates("train")
        slates = slates.subset(torch.from_numpy(np.flatnonzero(np.isin(slates.user.numpy(), users))))
        rows = teaching(slates, source.users, users.tolist())
        held = torch.bincount(slates.user[rows], minlength=len(source.users))
        network = settings.network(len(source.feature_names), source.texts or ())
        task = RankingTask(network, settings.loss, slates, slates, rows, pad_front(held.cumsum(0)))
        row = settings.row
        return Clients(learned(task, row.policy), row.objective, row.local, settings.seed)


def _without_others(data: Data, users: Ints) -> Data:
    """The data without the slates of other users, if it has texts; then what is left is soon computed."""
    if not isinstance(data, Dataset):
        return data
    whose = column(data.events, "user_id")[column(data.slates, "event_id")]
    return replace(data, slates=data.slates.filter(pa.array(np.isin(whose, users))))


@contextmanager
def scheduled(settings: Settings, out: Path) -> Iterator[Schedule[Any]]:
    """The schedule of a run on its engine, which is there until this ends.

    Raises:
        MissingEngineError: it is not installed.
        ClusterError: it does not answer.
    """
    schedule = settings.row.schedule
    if not isinstance(settings.engine, Ray) or not isinstance(schedule, Gossip):
        yield schedule
        return
    require_engine("ray")
    prepare(settings.engine.address)
    from federated.engines.ray.schedule import OnRay  # only who uses it needs Ray

    on_ray = OnRay(schedule, settings.engine, Group(out.resolve()), settings.updates, out / GROUPS)
    with on_ray.connected():
        yield on_ray
