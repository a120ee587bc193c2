"""The table of algorithms: an objective × a schedule each. Every other cell of the grid runs too."""

from dataclasses import dataclass, field

from federated.clients import LocalSGD
from federated.objectives import MAML, MoreauEnvelope, Objective, Vanilla
from federated.schedules import Schedule
from federated.schedules.alone import Local, Pooled
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort


@dataclass(frozen=True)
class Row:
    """One algorithm with the defaults of its hyper-parameters; ``updates`` are client updates."""

    objective: Objective
    schedule: Schedule
    source: str
    local: LocalSGD = field(default_factory=LocalSGD)
    updates: int = 8000


ALGORITHMS: dict[str, Row] = {
    "local": Row(Vanilla(), Local(), "every user alone", updates=6000),
    "pooled": Row(Vanilla(), Pooled(), "all data on one machine", updates=4000),
    "fedavg": Row(Vanilla(), Cohort(), "McMahan 2017"),
    "persa-fl": Row(Vanilla(), Arrivals(), "Toghani 2022, option A"),
    "persa-fl-maml": Row(MAML(), Arrivals(), "Toghani 2022, option B"),
    "persa-fl-me": Row(MoreauEnvelope(), Arrivals(), "Toghani 2022, option C"),
}
