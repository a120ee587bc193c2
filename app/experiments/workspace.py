"""An experiment's directory: at which scale it is made, its data, and the runs that are still missing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.runs.directory import CHECKPOINTS, METRICS, RunError, finished, open_started
from data.files import PARTIAL, write_bytes
from data.simulator import simulate
from data.storage import fingerprint, write
from federated import checkpoint
from ranking.persistence import checked

RESULT, TABLE = "result.json", "table.md"


def same_scale(out: Path, scale: Any) -> None:
    """Remember the scale of an experiment, a dataclass, or refuse to go on with one of another scale.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
    """
    ours = (json.dumps(asdict(scale)) + "\n").encode()
    there = out / "scale.json"
    if there.is_file() and there.read_bytes() != ours:
        raise RunError(f"{out} holds an experiment of another kind or scale: choose another --out.")
    write_bytes(there, ours)


def simulated(out: Path, users: int, seeds: Iterable[int], tell: Callable[[str], None]) -> dict[int, Path]:
    """Seed → directory of a simulated dataset, made if it is missing."""
    places = {seed: out / "data" / f"simulated-{seed}" for seed in seeds}
    for seed, place in places.items():
        if not (place / "manifest.json").is_file():
            write(simulate(users, seed), place)
            tell(f"simulated {place}")
    return places


def missing(
    place: Path, data: Path, options: dict[str, Any], sets: dict[str, Any] | None = None
) -> list[str] | None:
    """The command that a run in ``place`` still needs: train it, go on with it, or None.

    Args:
        data: its dataset.
        options: of `persarank train`, without --out and --data.
        sets: hyper-parameters.

    Raises:
        RunError, ModelError: what is there cannot be gone on with, or not be judged.
    """
    if not place.exists() or (place.is_dir() and all(p.suffix == PARTIAL for p in place.iterdir())):
        given = {"data": data, **options}
        command = [
            "train",
            "--json",
            f"--out={place}",
            *(f"--{name}={value}" for name, value in given.items()),
        ]
        return command + [f"--set={name}={value}" for name, value in (sets or {}).items()]
    started = open_started(place)
    if started.fingerprint != fingerprint(data):
        raise RunError(f"{place} was trained on other data than {data}: remove one of them.")
    if finished(place):
        checked(place, started.settings.ranker_name)
        read_metrics(place)
        return None
    try:
        checkpoint.load(place / CHECKPOINTS)
    except checkpoint.CheckpointError as error:
        raise RunError(f"{error} Remove {place} to train it anew.") from error
    return ["resume", str(place), "--json"]


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics file.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return [json.loads(line) for line in (run / METRICS).read_bytes().splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{run / METRICS} is missing or damaged: remove {run} to train it anew.") from error


def once(path: Path, key: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` gives, kept in a file until the key is another one or the file is damaged."""
    made: dict[str, Any]
    try:
        kept = json.loads(path.read_bytes())
        if kept["key"] == key:
            made = kept["made"]
            return made
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        pass  # there is none
    made = make()
    write_bytes(path, json.dumps({"key": key, "made": made}).encode())
    return made


def save(out: Path, result: dict[str, Any]) -> None:
    """Write the result."""
    write_bytes(out / RESULT, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
