"""What a run on a Flower network learns: the server's part of `learning.learn`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.runs.directory import METRICS
from app.runs.flower.counting import Public, count
from app.runs.flower.nodes import Finish, Nodes
from app.runs.following import Marked, Watch, follow
from app.runs.journal import Tally
from app.runs.learning import NMRR, Learned, own_models
from app.runs.phases import Phases
from app.runs.settings import Settings
from app.runs.stop import Patience, Stop
from app.runs.verdict import COMMON, OWN
from data.files import write_bytes
from data.public_counts import Bounds
from federated.engines import Flower
from federated.engines.fleet import Fleet
from federated.engines.messages import Post
from federated.engines.places import Places
from federated.engines.serving import Served
from federated.events import Finished
from federated.keeping import BEST
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.state import Snapshot
from federated.tasks.idle import Idle
from federated.tasks.ranking import initial
from federated.training import Training
from ranking.models import NeuralModel
from ranking.rankers.network import Network

WAITING = "waiting for nodes"
"""What is shown while it lasts."""


class OnFlower:
    """Learns on the nodes behind a post; calling it is like calling `learning.learn`.

    Args:
        post: reaches the nodes.
        nodes: that must be there before anything is counted.
        bounds: of what becomes public.
    """

    def __init__(self, post: Post, nodes: int, bounds: Bounds) -> None:
        self._post, self._awaited, self._bounds = post, nodes, bounds

    def __call__(
        self,
        settings: Settings,
        dataset: Marked,
        out: Path,
        watch: Watch,
        phases: Phases,
        stop: Stop,
        snapshot: Snapshot | None,
        until: int | None = None,
    ) -> Learned:
        """See `learning.learn`."""
        engine, patience = settings.engine, Patience(stop, phases)
        assert isinstance(engine, Flower), "settings of another engine"
        with stop.at_once():  # nothing has been learned yet
            fleet = Fleet(self._post, engine.deadline, patience)
            number = max(1, engine.nodes or self._awaited)
            self._wait(fleet, number, phases)
            nodes = Nodes(settings, fleet, self._public(fleet, out, phases, snapshot), phases.tell)
            places = nodes.settle(1 if snapshot else number)
            begun = snapshot is not None
            training, network = _training(settings, engine, nodes, places, patience, begun)
            if snapshot:
                training.unpack(snapshot)
            else:
                write_bytes(out / METRICS, b"")
        event, tally = follow(
            training, settings, dataset, out, watch, phases, patience, stop, snapshot, until
        )
        learned = _finished(settings, nodes, network, event, tally)
        return replace(learned, uploads=training.told_of_uploads)

    def _wait(self, fleet: Fleet, number: int, phases: Phases) -> None:
        """Until so many nodes are there."""
        while len(fleet.nodes()) < number:
            phases.tell(WAITING, len(fleet.nodes()), number)
            fleet.hear()

    def _public(self, fleet: Fleet, out: Path, phases: Phases, snapshot: Snapshot | None) -> Public:
        """What is public: counted once for a run."""
        if snapshot:
            return Public.read(out)
        public = count(fleet, self._bounds, phases.tell)
        public.write(out)
        return public


def _training(
    settings: Settings, engine: Flower, nodes: Nodes, places: Places, patience: Patience, begun: bool
) -> tuple[Training, Network]:
    """The server's side of a training, and the network that is trained."""
    assert nodes.features is not None, "whoever has settled has said so"
    network = settings.network(nodes.features, ())
    start = initial(network, settings.loss, settings.seed)
    task = Idle(torch.ones(places.users, dtype=torch.int64), start, nodes.judge)
    rule = settings.row.schedule
    assert isinstance(rule, Arrivals | Cohort), "settings that this engine serves"
    schedule = Served(rule, nodes.fleet, places, nodes, engine.batch_users)
    training = Training(
        task,
        replace(settings.row, schedule=schedule),
        settings.seed,
        settings.updates,
        settings.evaluations,
        patience.tell,
        patience,
        NMRR if settings.keep == BEST else None,
        find_own=False,
        begun=begun,
    )
    return training, network


def _finished(settings: Settings, nodes: Nodes, network: Network, event: Finished, tally: Tally) -> Learned:
    """What came of a training, as far as nodes tell: their users' own models stay there."""
    over = tally.updates >= settings.updates
    choice, gain = nodes.choose(event.learned) if settings.personal else (None, None)
    end = nodes.finish(event.learned, choice, gain, over)
    tally.network = (tally.network or {}) | nodes.fleet.figures()
    own = own_models(choice)
    if own is not None:
        own["kept_common"] = end.kept
    validation = end.splits["validation"]
    return Learned(
        model=NeuralModel(network, event.learned, None),
        tally=tally,
        seconds=event.seconds,
        nmrr={by: metrics["nmrr"] for by, metrics in validation.means().items()},
        doubts=validation.doubts(),
        diverged=end.lost,
        best=event.best,
        own_models=own,
        nodes=_described(nodes, end),
    )


def _described(nodes: Nodes, end: Finish) -> dict[str, Any]:
    """What the summary tells of the nodes."""
    return {
        "nodes": end.nodes,
        "public": {"things": nodes.public.tables.table.num_rows, "nodes": len(nodes.public.told)},
        **{
            split: {
                "users": sums.users,
                "slates": sums.slates,
                "metrics": sums.means(),
                "personal_minus_global": sums.difference(OWN, COMMON),
            }
            for split, sums in end.splits.items()
        },
    }
