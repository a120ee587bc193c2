"""`persarank tune`: settings chosen by successive halving on validation slates, judged once on test slates.

::

    tune.json     what is searched: whoever calls again with anything else is refused
    candidates/   the settings of every candidate
    runs/         the runs that are still in the race, see `app.runs.directory`
    rungs.json    what came out of every rung until now
    result.json   the winner, and what it is worth
    best.toml     its settings, for `train --config`

Whatever ends it, the same call goes on: runs from their checkpoints, and rungs after the last finished one.
A candidate is judged by its users' own models, as a training that ended here would give them to the users.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, TypeVar

from app.experiments.children import ChildError, Command, run_all
from app.experiments.race import Race
from app.experiments.winner import told_of, worth
from app.experiments.workspace import RESULT, rest, save
from app.runs.directory import CHECKPOINTS, SUMMARY, RunError, discard, encoded, open_run, workplace
from app.runs.verdict import NOT_FINITE, OWN
from data.files import write_bytes
from data.folders import BusyError, TakenError, require_free
from data.progress import Tell, silent
from data.schema import DataError
from data.storage import read_manifest
from federated import checkpoint

ASKED, RUNGS, BEST = "tune.json", "rungs.json", "best.toml"
Content = TypeVar("Content", dict[str, Any], list[dict[str, Any]])

IN_A_RUNG: tuple[tuple[str, type], ...] = (
    ("updates", dict),
    ("validation_nmrr", dict),
    ("out", dict),
    ("goes_on", list),
)
IN_A_RESULT = ("candidates", "seeds", "rungs", "winner", "test", "verdict")
"""What files of ours hold, by which damaged ones are known."""

LOST_OR_WORTHLESS = (4, 6)
"""Exit codes of `train` that are no failure here: a candidate has diverged, or is no better than chance."""


class Runner(Protocol):
    """Trains; see `children.run_all`."""

    def __call__(
        self,
        commands: Sequence[Command],
        tell: Callable[[str], None],
        *,
        forgiven: Collection[int],
        look: Callable[[], None],
    ) -> dict[int, ChildError]:
        """Run every command."""
        ...


def tune(
    out: Path,
    race: Race,
    asked: Mapping[str, Any],
    tell: Callable[[str], None],
    progress: Tell = silent,
    run: Runner = run_all,
) -> dict[str, Any]:
    """Find the best candidate, or go on with that.

    Args:
        out: a directory, new or of the same search.
        race: who takes part.
        asked: what decides about ``race``: whoever goes on must ask for the same.
        tell: is told what comes out of every rung.
        progress: is told how far a rung is, in client updates.
        run: trains.

    Returns:
        What is in result.json.

    Raises:
        RunError: ``out`` holds something else, or is broken.
        DataError: nobody has validation slates.
        FloatingPointError: all candidates have diverged.
        ChildError: a training failed otherwise.
    """
    if not (out / ASKED).is_file():
        try:
            require_free(out)
        except (TakenError, BusyError) as error:
            raise RunError(f"{error}: choose another --out.") from error
    with workplace(out):
        _require_same(out, {"data": read_manifest(race.data)["fingerprint"], **asked})
        if (out / RESULT).is_file():
            return _finished(out / RESULT)
        for number, candidate in enumerate(race.candidates):
            write_bytes(_config(out, number), encoded(candidate.settings.to_toml({})))
        rungs = _rungs(out, race, tell, progress, run)
        result = _result(out, race, rungs, progress)
        save(out, result)
        return result


def _rungs(
    out: Path, race: Race, tell: Callable[[str], None], progress: Tell, run: Runner
) -> list[dict[str, Any]]:
    """What comes out of every rung; those that are remembered are not run again."""
    rungs = _remembered(out / RUNGS, race) if (out / RUNGS).is_file() else []
    for number in race.plan.rungs:
        running = rungs[number - 1]["goes_on"] if number else list(range(len(race.candidates)))
        if number == len(rungs):
            rungs.append(Rung(out, race, number, running).result(tell, progress, run))
            write_bytes(out / RUNGS, (json.dumps(rungs, indent=1, allow_nan=False) + "\n").encode())
            tell(_sentence(race, number, rungs[-1]))
        for candidate in set(running) - set(rungs[number]["goes_on"]):
            for seed in race.seeds:
                _forget(run_of(out, candidate, seed))
    return rungs


def _result(out: Path, race: Race, rungs: list[dict[str, Any]], progress: Tell) -> dict[str, Any]:
    """The winner of the last rung, its settings as a file, and what it is worth on test slates."""
    last = rungs[-1]["goes_on"]
    best = last[0]
    settings = replace(race.candidates[best].settings, seed=race.seeds[0])
    write_bytes(out / BEST, encoded(settings.to_toml({})))
    theirs, defaults = ([run_of(out, candidate, seed) for seed in race.seeds] for candidate in (best, 0))
    test = worth(race.data, theirs, defaults if best and 0 in last else [], progress)
    return {
        "candidates": [candidate.changed for candidate in race.candidates],
        "seeds": list(race.seeds),
        "rungs": rungs,
        "winner": best,
        "test": test,
        "verdict": told_of(best, test),
    }


@dataclass(frozen=True)
class Rung:
    """One rung: all who are still in the race are trained up to the same part of a full training."""

    out: Path
    race: Race
    number: int
    running: Sequence[int]

    def result(self, tell: Callable[[str], None], progress: Tell, run: Runner) -> dict[str, Any]:
        """Train, and say how good each is, who is out of the race and why, and who goes on, best first."""
        lost = self._train(tell, progress, run)
        figures: dict[int, list[float]] = {}
        out: dict[str, str] = {}
        for candidate in self.running:
            judged = [self._judge(candidate, seed, lost.get((candidate, seed))) for seed in self.race.seeds]
            figures[candidate] = [figure for figure in judged if isinstance(figure, float)]
            why = [word for word in judged if isinstance(word, str)]
            if why:
                out[str(candidate)] = why[0]
                del figures[candidate]
        if not figures:
            raise FloatingPointError(f"no candidate is left. {out[str(self.running[0])]}")
        order = sorted(figures, key=lambda candidate: (-fmean(figures[candidate]), candidate))
        return {
            "updates": {str(c): self.race.target(c, self.number) for c in self.running},
            "validation_nmrr": {str(c): figures[c] for c in order},
            "out": out,
            "goes_on": self._going_on(order),
        }

    def _train(self, tell: Callable[[str], None], progress: Tell, run: Runner) -> dict[tuple[int, int], str]:
        """Train whom this rung still lacks; who has failed, candidate and seed, and its last words."""
        runs = [(candidate, seed) for candidate in self.running for seed in self.race.seeds]
        needed = {key: command for key in runs if (command := self._missing(*key))}
        name = f"rung {self.number + 1} of {len(self.race.plan.rungs)}"
        total = sum(self.race.target(c, self.number) - self.race.target(c, self.number - 1) for c, _ in runs)

        def look() -> None:
            progress(name, sum(self._done(*key) for key in runs), total)

        progress(name, 0, total)
        failed = run(list(needed.values()), tell, forgiven=LOST_OR_WORTHLESS, look=look)
        progress(name, total, total)
        return {list(needed)[number]: error.words for number, error in failed.items()}

    def _going_on(self, order: list[int]) -> list[int]:
        """The best challengers and the defaults; of the last rung all."""
        if self.number == self.race.plan.halvings:
            return order
        places = self.race.plan.places(len(self.race.candidates) - 1, self.number + 1)
        taken = [candidate for candidate in order if candidate][:places]
        return [candidate for candidate in order if candidate in (0, *taken)]

    def _missing(self, candidate: int, seed: int) -> list[str] | None:
        """The command that a run still needs; None: it is there."""
        place, settings = run_of(self.out, candidate, seed), self.race.settings(candidate, seed)
        until = [] if settings.fitted else [f"--until={self.race.target(candidate, self.number)}"]
        try:
            require_free(place)
        except TakenError:
            command = rest(place, self.race.data, settings)
            there = command is None or self._summary(candidate, seed) is not None
            return None if there or not command else [*command, f"--data={self.race.data}", *until]
        where = [f"--data={self.race.data}", f"--out={place}", f"--config={_config(self.out, candidate)}"]
        return ["train", "--json", *where, f"--seed={seed}", *until]

    def _summary(self, candidate: int, seed: int) -> dict[str, Any] | None:
        """The summary of a run that is there where this rung ends; None: it is not there yet.

        Raises:
            RunError: it is already further, so that it cannot be judged beside the others.
        """
        place, target = run_of(self.out, candidate, seed), self.race.target(candidate, self.number)
        if not (place / SUMMARY).is_file():
            return None
        run = open_run(place)
        reached = run.summary["updates"]
        in_a_merge = max(self.race.users, getattr(run.settings.row.schedule, "buffer", 1))
        if target and reached >= target + in_a_merge:
            raise RunError(f"{place} has been trained further than this rung: remove it to train it anew.")
        return run.summary if reached >= target else None

    def _judge(self, candidate: int, seed: int, lost: str | None) -> float | str:
        """The NMRR of a run on validation slates, or why its candidate is out of the race."""
        summary = self._summary(candidate, seed)
        if summary is None:
            if lost is None:
                place = run_of(self.out, candidate, seed)
                raise RunError(f"{place} has ended before its time: remove it to train it anew.")
            return lost
        for warning in summary["warnings"]:
            if (warning["kind"], warning["ranking"]) == (NOT_FINITE, OWN):
                return str(warning["message"])
        if OWN not in summary["validation_nmrr"]:
            raise DataError(f"{self.race.data}: no user has validation slates, by which to choose.")
        return float(summary["validation_nmrr"][OWN])

    def _done(self, candidate: int, seed: int) -> int:
        """Client updates of a run in this rung so far, as far as they are saved."""
        place = run_of(self.out, candidate, seed)
        before, target = (self.race.target(candidate, number) for number in (self.number - 1, self.number))
        reached = checkpoint.latest(place / CHECKPOINTS)
        if reached is None:  # nothing is saved yet, or nothing but the model any more
            reached = target if (place / SUMMARY).is_file() else before
        return min(max(reached - before, 0), target - before)


def run_of(out: Path, candidate: int, seed: int) -> Path:
    """Where a run of a candidate lies."""
    return out / "runs" / f"candidate-{candidate}-seed-{seed}"


def _forget(run: Path) -> None:
    """Remove the run of a candidate that is out of the race: many users' own models take much room."""
    discard(run)
    with suppress(OSError):
        run.rmdir()


def _config(out: Path, candidate: int) -> Path:
    return out / "candidates" / f"{candidate}.toml"


def _require_same(out: Path, asked: Mapping[str, Any]) -> None:
    """Remember what is asked for, or refuse to go on with something else.

    Raises:
        RunError: it is something else.
    """
    if not (out / ASKED).is_file():
        write_bytes(out / ASKED, (json.dumps(asked, indent=1) + "\n").encode())
    before, now = _read(out / ASKED, {}), json.loads(json.dumps(asked))
    other = [name for name in now if before.get(name) != now[name]]
    if other:
        raise RunError(
            f"{out} holds a search with other {' and '.join(other)}: choose another --out, or go on with "
            "the arguments that it was begun with, in their order."
        )


def _read(path: Path, like: Content) -> Content:
    """What a file of ours holds.

    Raises:
        RunError: it is damaged.
    """
    try:
        content: Content = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunError(f"{path} is damaged: choose another --out.") from error
    if type(content) is not type(like):
        raise RunError(f"{path} is damaged: choose another --out.")
    return content


def _remembered(path: Path, race: Race) -> list[dict[str, Any]]:
    """The rungs that are finished.

    Raises:
        RunError: they are not rungs of this race, so that runs might be taken for those of candidates that
            are out of it.
    """
    rungs = _read(path, [])
    running = set(range(len(race.candidates)))
    for rung in rungs:
        good = isinstance(rung, dict) and all(isinstance(rung.get(name), kind) for name, kind in IN_A_RUNG)
        if not good or not rung["goes_on"] or not running.issuperset(rung["goes_on"]):
            raise RunError(f"{path} is damaged: choose another --out.")
        running = set(rung["goes_on"])
    return rungs


def _finished(path: Path) -> dict[str, Any]:
    """What a search has found.

    Raises:
        RunError: it is damaged.
    """
    result = _read(path, {})
    if not all(name in result for name in IN_A_RESULT):
        raise RunError(f"{path} is damaged: choose another --out.")
    return result


def _sentence(race: Race, number: int, rung: Mapping[str, Any]) -> str:
    """What came out of a rung, for people."""

    def figure(candidate: int) -> str:
        return f"{fmean(rung['validation_nmrr'][str(candidate)]):.4f}"

    best, *_ = order = [int(candidate) for candidate in rung["validation_nmrr"]]
    told = f"rung {number + 1} of {len(race.plan.rungs)}: "
    told += f"best is {race.candidates[best].label} with NMRR {figure(best)} on validation slates"
    told += f"; the defaults {figure(0)}" if best and 0 in order else ""
    if number < race.plan.halvings:
        told += f"; {len(rung['goes_on'])} of {len(rung['updates'])} go on"
    lost = [f"Out of the race: {race.candidates[int(c)].label}: {w}" for c, w in rung["out"].items()]
    return " ".join([f"{told}.", *lost])
