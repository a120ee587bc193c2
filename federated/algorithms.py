"""The table of algorithms: an objective × a schedule each. Every other cell of the grid runs too."""

from dataclasses import dataclass, field, replace
from typing import Any

from federated.clients import LocalSGD
from federated.compression import Compression
from federated.hostile import Attack
from federated.objectives import MAML, Ditto, MoreauEnvelope, Objective, Proximal, Reptile, Vanilla
from federated.privacy.guarantee import Privacy
from federated.schedules import Schedule
from federated.schedules.alone import Local, Pooled
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.gossip import Gossip
from federated.server.rules import Defence
from federated.server.uploads import Uploads
from federated.tasks.ranking_policy import PlackettLuce
from federated.trees import Growing


@dataclass(frozen=True)
class Row:
    """One algorithm with the defaults of its hyper-parameters; ``updates`` are client updates.

    Where there is a ``policy``, users learn from what is paid for rankings drawn by it, not from a loss.
    Where there is ``growing``, trees are grown together by sums, and nothing descends along a gradient.
    ``privacy`` and what follows it say what becomes of updates on their way, see `Uploads`.
    """

    objective: Objective
    schedule: Schedule[Any]
    source: str
    local: LocalSGD = field(default_factory=LocalSGD)
    updates: int = 8000
    policy: PlackettLuce | None = None
    growing: Growing | None = None
    privacy: Privacy | None = None
    attack: Attack | None = None
    defence: Defence | None = None
    compression: Compression | None = None

    @property
    def uploads(self) -> Uploads:
        """What becomes of updates on their way into the model.

        Raises:
            UploadError: what is asked for does not go with the schedule.
        """
        found = Uploads(self.privacy, self.attack, self.defence, self.compression)
        found.require(self.schedule)
        return found

    @property
    def cell(self) -> tuple[str, str]:
        """Where the algorithm stands in the grid: keys of OBJECTIVES and SCHEDULES."""
        objective = next(name for name, known in OBJECTIVES.items() if type(known) is type(self.objective))
        if isinstance(self.schedule, Arrivals):
            return objective, "arrivals" if self.schedule.buffer == 1 else "buffered"
        return objective, next(n for n, known in SCHEDULES.items() if type(known) is type(self.schedule))


OBJECTIVES: dict[str, Objective] = {
    "vanilla": Vanilla(),
    "maml": MAML(),
    "moreau": MoreauEnvelope(),
    "reptile": Reptile(),
    "prox": Proximal(),
    "ditto": Ditto(),
}

DEFAULT = "persa-fl-ditto"
"""What is trained if nothing is said: what validation found best on simulated users and real logs."""

_MAML_BOUND = 10.0
# Where a user's curvature exceeds 1/alpha, a step of MAML grows without bound. Norms are near 1; a single
# update of norm 32 once ended a run on real data.

_FEW_AT_A_TIME = Arrivals(concurrency=20, buffer=10, server_lr=0.5)

_LOSSY = Gossip(wake_within=3, max_delay=4, max_failures=3, least_weight=0.1)
_ONE_STEP = LocalSGD(lr=0.02, local_steps=1)

SCHEDULES: dict[str, Schedule[Any]] = {
    "local": Local(),
    "pooled": Pooled(),
    "cohort": Cohort(),
    "arrivals": Arrivals(),
    "buffered": _FEW_AT_A_TIME,
    "gossip": Gossip(),
}

ALGORITHMS: dict[str, Row] = {
    "local": Row(Vanilla(), Local(), "every user alone", LocalSGD(lr=0.02), 6000),
    "pooled": Row(Vanilla(), Pooled(), "all data on one machine", LocalSGD(lr=0.01), 4000),
    "fedavg": Row(Vanilla(), Cohort(), "McMahan 2017"),
    "fedavgm": Row(Vanilla(), Cohort(server_optimiser="momentum", server_lr=0.1), "Hsu 2019"),
    "fedadam": Row(Vanilla(), Cohort(server_optimiser="adam", server_lr=0.003), "Reddi 2021"),
    "fedprox": Row(Proximal(), Cohort(), "Li 2020"),
    "ditto": Row(Ditto(), Cohort(), "Li 2021"),
    "per-fedavg": Row(MAML(), Cohort(shares="equal", max_update_norm=_MAML_BOUND), "Fallah 2020"),
    "pfedme": Row(MoreauEnvelope(inner_steps=5), Cohort(shares="equal"), "Dinh 2020"),
    "reptile": Row(Reptile(), Cohort(shares="equal", server_lr=0.5), "Nichol 2018"),
    "fedasync": Row(
        Vanilla(), Arrivals(concurrency=20, server_lr=0.2, merge="model", weighting="polynomial"), "Xie 2019"
    ),
    "fedbuff": Row(Vanilla(), replace(_FEW_AT_A_TIME, weighting="polynomial"), "Nguyen 2022"),
    "persa-fl": Row(Vanilla(), Arrivals(), "Toghani 2022, option A"),
    "persa-fl-maml": Row(MAML(), Arrivals(max_update_norm=_MAML_BOUND), "Toghani 2022, option B"),
    "persa-fl-me": Row(MoreauEnvelope(), Arrivals(), "Toghani 2022, option C"),
    "persa-fl-ditto": Row(
        Ditto(),
        Arrivals(concurrency=20, buffer=10, server_lr=0.006, server_optimiser="adam"),
        "Toghani 2022, option A; own models as in Li 2021",
        LocalSGD(local_steps=2, batch_size=20),
    ),
    "persa-fl-maml-buffered": Row(
        MAML(), replace(_FEW_AT_A_TIME, max_update_norm=_MAML_BOUND), "Toghani 2022, option B, buffered"
    ),
    "persa-fl-me-buffered": Row(MoreauEnvelope(), _FEW_AT_A_TIME, "Toghani 2022, option C, buffered"),
    "push-sum": Row(Vanilla(), Gossip(), "Nedić 2016", _ONE_STEP, 80_000),
    "rasgp": Row(Vanilla(), _LOSSY, "Spiridonoff 2020", _ONE_STEP, 40_000),
    "pars-push": Row(
        MAML(alpha=0.01, maml_steps=5),
        replace(_LOSSY, max_update_norm=1.0),
        "Toghani 2022, PARS-Push",
        _ONE_STEP,
        30_000,
    ),
    "pars-push-me": Row(
        MoreauEnvelope(), _LOSSY, "PARS-Push with Moreau envelopes (this project)", _ONE_STEP, 30_000
    ),
    "memrl": Row(
        MoreauEnvelope(lam=5, inner_lr=0.05, personal_steps=25, inner_batches="fresh"),
        Cohort(shares="equal"),
        "Toghani 2023",
        updates=4000,
        policy=PlackettLuce(),
    ),
}

FITTED: dict[str, Row] = {
    "local": ALGORITHMS["local"],
    "pooled": ALGORITHMS["pooled"],
    "federated": Row(Vanilla(), Cohort(), "Breiman 2001, grown by sums (this project)", growing=Growing()),
}
"""How rankers that are fitted (trees) are; each of them says by which of these it can be."""
