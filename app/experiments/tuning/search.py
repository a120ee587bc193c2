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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from app.experiments.children import run_all
from app.experiments.tuning.race import Race
from app.experiments.tuning.rung import Rung, Runner, config_of, run_of
from app.experiments.tuning.winner import told_of, worth
from app.experiments.workspace import RESULT, save
from app.runs.directory import RunError, discard, encoded, workplace
from data.files import write_bytes
from data.folders import BusyError, TakenError, require_free
from data.progress import Tell, silent
from data.storage import read_manifest

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
            write_bytes(config_of(out, number), encoded(candidate.settings.to_toml({})))
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


def _forget(run: Path) -> None:
    """Remove the run of a candidate that is out of the race: many users' own models take much room."""
    discard(run)
    with suppress(OSError):
        run.rmdir()


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
