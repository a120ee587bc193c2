"""Whoever goes on from a checkpoint sees what an uninterrupted training would have seen, bit for bit."""

import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.randomness import generator
from data.schema import DataError
from federated import checkpoint
from federated.algorithms import ALGORITHMS, Row
from federated.clients import LocalSGD
from federated.compression import Compression
from federated.events import Event, Finished, Merged
from federated.hostile import Attack
from federated.objectives import MAML, MoreauEnvelope, Vanilla
from federated.patience import Interrupted, Patience, Unbounded
from federated.privacy.guarantee import Privacy
from federated.schedules import Schedule
from federated.schedules.arrivals import Arrivals
from federated.schedules.cohort import Cohort
from federated.schedules.gossip import Gossip
from federated.server.rules import Defence
from federated.state import Snapshot
from federated.tasks.ranking import RankingTask
from federated.tasks.ranking_policy import PlackettLuce, learned
from federated.training import Training

SEED, UPDATES, EVALUATIONS, MOMENTS = 3, 60, 7, 3

SCHEDULES: dict[str, Schedule] = {
    "idle": Arrivals(idle_time=1.0),
    "idle and away": Arrivals(idle_time=0.5, online_time=2, offline_time=3, buffer=3),
    "away": Arrivals(online_time=3, offline_time=3),
    "cohort and away": Cohort(cohort=3, online_time=3, offline_time=3),
    "paces": Arrivals(delay_law="log-normal", concurrency=8),
    "mixing": Arrivals(concurrency=6, merge="model", server_lr=0.5, weighting="hinge", late=1),
    "mixing a buffer": Arrivals(concurrency=8, merge="model", server_lr=0.5, buffer=3),
    "not too stale": Arrivals(concurrency=6, max_staleness=5),
    "not too stale, a buffer": Arrivals(concurrency=8, max_staleness=2, buffer=3, weighting="polynomial"),
    "not too large": Arrivals(concurrency=6, max_update_norm=1.975, buffer=2),
    "not too large, a cohort": Cohort(cohort=6, max_update_norm=1.975),
    "momentum": Arrivals(concurrency=6, server_optimiser="momentum"),
    "yogi, a buffer": Arrivals(concurrency=8, buffer=3, server_lr=0.02, server_optimiser="yogi"),
    "adam, a cohort": Cohort(cohort=3, server_lr=0.02, server_optimiser="adam"),
    "a bad network": Gossip(wake_within=4, max_delay=5, max_failures=4, graph="scale-free", degree=2),
    "a network of sleepers": Gossip(wake_within=3, asleep_too=True, step_sizes="1/t", graph="ring"),
    "not too large, a network": Gossip(wake_within=2, max_update_norm=1.975, least_weight=0.3),
}
MEMRL = ALGORITHMS["memrl"]
VARIANTS = {name: Row(Vanilla(), schedule, "") for name, schedule in SCHEDULES.items()}
VARIANTS["in order"] = Row(Vanilla(), Arrivals(), "", LocalSGD(sampling="in-order"))
VARIANTS["moreau, idle"] = Row(MoreauEnvelope(), Arrivals(idle_time=1.0, buffer=2), "")
VARIANTS["maml, mixing"] = Row(MAML(0.05, 2), Arrivals(merge="model", server_lr=0.5), "")
VARIANTS["memrl, arrivals"] = Row(MEMRL.objective, Arrivals(buffer=2), "", policy=PlackettLuce(rankings=3))
VARIANTS["memrl, a bad network"] = Row(MEMRL.objective, SCHEDULES["a bad network"], "", policy=MEMRL.policy)
VARIANTS["maml paid by rankings"] = Row(MAML(0.002), Cohort(cohort=5), "", policy=PlackettLuce(rankings=2))
PRIVACY = Privacy(epsilon=5.0, delta=0.01, clip=0.5)
MEDIAN = Defence("nnm+median")
ADAPTIVE, TREE, BAND = (
    replace(PRIVACY, epsilon=20.0, quantile=0.5),
    replace(PRIVACY, noise="tree"),
    replace(PRIVACY, noise="banded"),
)
UPLOADS: dict[str, tuple[Schedule, dict[str, Any]]] = {
    "private": (Cohort(cohort=4, shares="equal"), {"privacy": PRIVACY}),
    "private, a buffer": (Arrivals(concurrency=6, buffer=3), {"privacy": ADAPTIVE}),
    "private, trees": (Arrivals(concurrency=2, buffer=1), {"privacy": replace(TREE, participations=30)}),
    "private, a band": (Arrivals(concurrency=4, server_lr=0.1), {"privacy": BAND}),
    "hostile, a cohort": (Cohort(cohort=5), {"attack": Attack("alie", 0.25), "defence": MEDIAN}),
    "hostile, a buffer": (Arrivals(buffer=4), {"attack": Attack("gaussian", 0.25), "defence": MEDIAN}),
    "hostile, from before": (Cohort(cohort=5), {"defence": Defence("centred-clipping")}),
    "hostile, flipping": (Arrivals(buffer=2), {"attack": Attack("label-flip", 0.25)}),
    "hostile, basgd": (Arrivals(concurrency=3), {"defence": Defence("basgd", buffers=3)}),
    "small": (Arrivals(concurrency=4), {"compression": Compression(bits=4)}),
    "small, a cohort": (Cohort(cohort=4), {"compression": Compression(bits=8, top_k=0.1)}),
    "all at once": (
        Arrivals(concurrency=6, buffer=3),
        {"privacy": PRIVACY, "compression": Compression(top_k=0.1), "attack": Attack("ipm", 0.25)},
    ),
}
VARIANTS |= {name: Row(Vanilla(), schedule, "", **uploads) for name, (schedule, uploads) in UPLOADS.items()}
BAD = Row(Vanilla(), SCHEDULES["a bad network"], "")
VARIANTS["few bytes, a bad network"] = replace(BAD, compression=Compression(bits=8, bucket=10))
VARIANTS["clipped, a bad network"] = replace(
    BAD, attack=Attack("gaussian", 0.25), defence=Defence("clip", clip=0.3)
)
VARIANTS["few bytes, lies, clipped"] = Row(
    Vanilla(),
    Gossip(),
    "",
    attack=Attack("sign-flip", 0.25),
    defence=Defence("clip", clip=0.1),
    compression=Compression(bits=4),
)
VARIANTS["flipped labels, a network"] = Row(Vanilla(), Gossip(), "", attack=Attack("label-flip", 0.25))
ROWS = ALGORITHMS | VARIANTS


def training(task: RankingTask, row: Row, patience: Patience | None = None) -> Training:
    return Training(learned(task, row.policy), row, SEED, UPDATES, EVALUATIONS, patience=patience)


def told(events: list[Event]) -> list[Event]:
    """All but the end, which holds tensors and a wall time."""
    return [event for event in events if not isinstance(event, Finished)]


def assert_same(resumed: list[Event], whole: list[Event]) -> None:
    assert told(resumed) == told(whole)
    a, b = resumed[-1], whole[-1]
    assert isinstance(a, Finished)
    assert isinstance(b, Finished)
    assert a.updates == b.updates
    for x, y in ((a.common, b.common), (a.personal, b.personal)):
        assert (x is None) == (y is None)
        assert x is None or y is None or torch.equal(x, y)


@pytest.mark.parametrize("name", ROWS)
def test_an_unpacked_training_ends_with_the_same_bits(name: str, board: RankingTask, tmp_path: Path) -> None:
    """Packed at random moments, through the disk; and packing does not disturb the one who packs."""
    whole = list(training(board, ROWS[name]).events())
    drawn = generator(SEED, "moment", zlib.crc32(name.encode()))
    moments = set(drawn.choice(len(whole) - 1, MOMENTS, replace=False).tolist())
    packing, seen = training(board, ROWS[name]), []
    packed: dict[int, Path] = {0: checkpoint.save(tmp_path / "0", 0, packing.pack())}
    for event in packing.events():
        seen.append(event)
        begun = len(seen) > min(moments, default=len(whole))
        if begun and not isinstance(event, Finished):  # after that nothing comes
            moments.discard(min(moments))
            updates = event.updates
            packed[len(seen)] = checkpoint.save(tmp_path / str(len(seen)), updates, packing.pack())
    assert_same(seen, whole)
    assert len(packed) > 2
    for place, path in packed.items():
        snapshot, problems = checkpoint.load(path.parent)
        assert snapshot is not None
        assert problems == []
        other = training(board, ROWS[name])
        other.unpack(snapshot)
        assert_same(list(other.events()), whole[place:])


@pytest.mark.parametrize("name", ["persa-fl-me-buffered", "local", "pfedme", "not too stale, a buffer"])
def test_resuming_after_every_event_changes_nothing(name: str, board: RankingTask, tmp_path: Path) -> None:
    """Each event comes from a training that was unpacked for it alone."""
    whole = list(training(board, ROWS[name]).events())
    now, seen = training(board, ROWS[name]), []
    while not (seen and isinstance(seen[-1], Finished)):
        seen.append(next(now.events()))
        checkpoint.save(tmp_path, len(seen), now.pack())
        snapshot, _ = checkpoint.load(tmp_path)
        assert snapshot is not None
        now = training(board, ROWS[name])
        now.unpack(snapshot)
    assert_same(seen, whole)
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("not too")])
def test_variants_that_are_here_to_refuse_do_and_merge_the_rest(name: str, board: RankingTask) -> None:
    merges = [event for event in training(board, VARIANTS[name]).events() if isinstance(event, Merged)]
    refused = [reason for merge in merges for reason in merge.refused]
    assert set(refused) == {"too stale" if "stale" in name else "norm over bound"}
    assert len(refused) >= 3
    assert sum(len(merge.users) for merge in merges) >= 20


class Tired(Unbounded):
    """Ends the work when it is asked for the n-th time."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


@pytest.mark.parametrize("name", ROWS)
def test_who_is_interrupted_inside_an_update_goes_on_before_it(board: RankingTask, name: str) -> None:
    """Packed there and unpacked: the same merges, evaluations and models as otherwise."""
    asked = Tired(10_000)
    whole = list(training(board, ROWS[name], asked).events())
    most = 10_000 - asked.left
    for moment in [1, int(generator(SEED, "tired", zlib.crc32(name.encode())).integers(1, most))]:
        now = training(board, ROWS[name], Tired(moment))
        packed: list[Snapshot] = []
        seen: list[Event] = []
        with suppress(Interrupted):  # where users' own models were being found
            for event in now.events(trained=lambda now=now, to=packed: to.append(now.pack())):
                seen.append(event)
        on = training(board, ROWS[name])
        on.unpack(packed[0])
        assert_same([*told(seen), *on.events()], whole)


@pytest.mark.parametrize("name", ["fedavg", "persa-fl-me"])
def test_a_training_whose_last_evaluation_is_interrupted_is_complete(board: RankingTask, name: str) -> None:
    """It is judged before its users' own models are found, since nobody goes on from there."""
    tired = Tired(0)
    whole = list(training(board, ROWS[name]).events())
    task = replace(board, tell=lambda phase, done, total: tired())
    seen: list[Event] = []
    for event in training(task, ROWS[name]).events():
        seen.append(event)
        if isinstance(event, Merged) and event.updates >= UPDATES:
            tired.left = 1
    assert tired.left < 0
    assert_same(seen, whole)


def test_another_seed_is_another_training(board: RankingTask, tmp_path: Path) -> None:
    """What is packed leaves the rest to the keyed draws, and these do matter."""
    row = ALGORITHMS["persa-fl"]
    first = training(board, row)
    events = first.events()
    for _ in range(11):
        next(events)
    checkpoint.save(tmp_path, 11, first.pack())
    snapshot, _ = checkpoint.load(tmp_path)
    assert snapshot is not None
    other = Training(board, row, SEED + 1, UPDATES, EVALUATIONS)
    other.unpack(snapshot)
    *_, mine = events
    *_, theirs = other.events()
    assert isinstance(mine, Finished)
    assert isinstance(theirs, Finished)
    assert mine.common is not None
    assert theirs.common is not None
    assert not torch.equal(mine.common, theirs.common)


def test_a_network_with_other_links_is_not_gone_on_with(board: RankingTask, tmp_path: Path) -> None:
    edges = tmp_path / "edges.txt"
    row = Row(Vanilla(), Gossip(graph="file", edge_list=str(edges)), "")
    links = [(user, (user + 1) % 8) for user in range(8)]
    edges.write_text("\n".join(f"{a} {b}" for a, b in links))
    packed = training(board, row).pack()
    training(board, row).unpack(packed)
    edges.write_text("\n".join(f"{b} {a}" for a, b in links))
    with pytest.raises(DataError, match="other links"):
        training(board, row).unpack(packed)
