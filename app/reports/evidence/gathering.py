"""Judges all runs that can be judged, and names those that cannot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.runs.directory import RunError, open_run
from app.runs.evaluation import Ground, Judged, judge, prepare
from data.files import what_is_wrong
from data.progress import Tell, silent
from data.schema import DataError
from data.storage import read_manifest
from ranking.metrics import CUTOFF
from ranking.rankers.trees import ModelError

BROKEN = (RunError, ModelError, DataError, FloatingPointError, OSError)
"""What is wrong with one run, and no reason not to report the others."""


@dataclass
class Gathered:
    """Runs that were judged, in the order they were named, and why others were not."""

    judged: list[Judged] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def datasets(self) -> list[list[Judged]]:
        """The runs dataset by dataset, in the order in which these first occur."""
        by: dict[str, list[Judged]] = {}
        for judged in self.judged:
            by.setdefault(judged.run.fingerprint, []).append(judged)
        return list(by.values())


def gather(
    directories: Sequence[Path],
    data: Sequence[Path] = (),
    split: str = "test",
    tell: Tell = silent,
    warn: Callable[[str], None] = lambda sentence: None,
    cutoff: int = CUTOFF,
) -> Gathered:
    """Judge runs on one split, each on the data it learned from.

    Args:
        directories: of the runs.
        data: datasets that have moved; a run takes the one it learned from, or looks where that was.
        split: train, validation or test.
        tell: is told how far the work is.
        warn: is told of every run that is left out.
        cutoff: of the metrics.

    Raises:
        DataError: one of ``data`` is no dataset.
        RunError: no run is left.
    """
    moved = {read_manifest(place)["fingerprint"]: place for place in data}
    grounds: dict[str, Ground] = {}
    found = Gathered()
    seen: set[Path] = set()
    for directory in directories:
        try:
            if directory.resolve() in seen:
                raise RunError(f"{directory} was named before, and counts once.")
            seen.add(directory.resolve())
            run = open_run(directory)
            if run.fingerprint not in grounds:
                source = run.source(moved.get(run.fingerprint))
                run.require(read_manifest(source)["fingerprint"])  # before anything is made of it
                grounds[run.fingerprint] = prepare(source, split, tell, cutoff)
            ground = grounds[run.fingerprint]
            found.judged.append(judge(run, ground, split, tell=tell))
        except BROKEN as error:
            why = what_is_wrong(error)
            found.left_out.append({"run": str(directory), "why": why})
            named = why.startswith(tuple(f"{directory}{sign}" for sign in " :/"))
            warn(f"left out: {why}" if named else f"left out: {directory}: {why}")
    if not found.judged:
        raise RunError("none of the runs can be judged, so there is nothing to report.")
    return found
