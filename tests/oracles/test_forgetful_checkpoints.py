"""Checkpoints that forget a part of the state: for each, a test that stands elsewhere must fail."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from federated.schedules.alone import Turns
from federated.schedules.cohort import Rounds
from federated.schedules.flight import Flight
from federated.state import Snapshot
from federated.tasks.ranking import RankingTask
from federated.training import Training
from tests.contracts import test_resume

Patch = pytest.MonkeyPatch

FORGOTTEN: dict[str, tuple[type, str, Any, str]] = {
    "which turn it is": (Turns, "turn", 0, "local"),
    "which turn it is of the pool": (Turns, "turn", 0, "pooled"),
    "whose turn it is": (Flight, "roster.taken", 0, "persa-fl"),
    "who was passed over": (Flight, "roster.waiting", [], "persa-fl"),
    "until when users rest": (Flight, "roster.opening", [], "private, a band"),
    "who is under way, and since when": (Flight, "version", 0, "persa-fl-me"),
    "whose turn it is in a cohort": (Rounds, "roster.taken", 0, "fedavg"),
    "who was away when a cohort met": (Rounds, "roster.waiting", [], "cohort and away"),
    "what time it is": (Rounds, "time", 0.0, "fedavg"),
}


@pytest.mark.parametrize(("state", "name", "value", "row"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_checkpoint_that_forgets(
    state: type, name: str, value: Any, row: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    check, pack = test_resume.test_an_unpacked_training_ends_with_the_same_bits, state.pack
    check(row, board, tmp_path / "whole")

    def forgetful(self: Any) -> Snapshot:
        packed = pack(self)
        *inside, last = name.split(".")
        plain = deepcopy(packed.plain)
        part = plain[inside[0]] if inside else plain
        assert last in part, "else nothing is forgotten"
        part[last] = value
        return Snapshot(packed.tensors, plain)

    monkeypatch.setattr(state, "pack", forgetful)
    with pytest.raises(AssertionError, match=r"^(?!else nothing)"):
        check(row, board, tmp_path / "forgetful")


@pytest.mark.parametrize("what", ["the updates", "whose they are"])
def test_a_checkpoint_that_forgets_the_buffer(
    what: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    """It holds something only where updates are refused between two merges."""
    pack = Flight.pack

    def forgetful(self: Flight) -> Snapshot:
        packed = pack(self)
        if what == "whose they are":
            return Snapshot(packed.tensors, {**packed.plain, "held": []})
        return Snapshot({n: t for n, t in packed.tensors.items() if n != "buffer"}, packed.plain)

    monkeypatch.setattr(Flight, "pack", forgetful)
    with pytest.raises(AssertionError):
        test_resume.test_resuming_after_every_event_changes_nothing(
            "not too stale, a buffer", board, tmp_path
        )


@pytest.mark.parametrize("name", ["done", "version"])
def test_a_checkpoint_that_forgets_its_counts(
    name: str, board: RankingTask, tmp_path: Path, monkeypatch: Patch
) -> None:
    pack = Training.pack

    def forgetful(self: Training) -> Snapshot:
        packed = pack(self)
        return Snapshot(packed.tensors, {**packed.plain, "training": {**packed.plain["training"], name: 0}})

    monkeypatch.setattr(Training, "pack", forgetful)
    with pytest.raises(AssertionError):
        test_resume.test_an_unpacked_training_ends_with_the_same_bits("persa-fl", board, tmp_path)
