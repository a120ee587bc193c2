"""An experiment's directory: at which scale it is made, its data, and the runs that are still missing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.runs import directory
from app.runs.directory import (
    CHECKPOINTS,
    RunError,
    finished,
    open_started,
    workplace,
)
from app.runs.settings import Settings, resolve
from data.files import write_bytes
from data.folders import TakenError, require_free
from data.log_import import PUBLISHED, ImportOptions, Releasing, import_log
from data.manifests import MANIFEST
from data.schema import Dataset
from data.simulator import STRENGTH, simulate
from data.storage import read_manifest, sha256, write
from federated import checkpoint
from ranking.persistence import checked

Given = ParamSpec("Given")
Made = TypeVar("Made")
RESULT = "result.json"


def alone(make: Callable[Concatenate[Path, Given], Made]) -> Callable[Concatenate[Path, Given], Made]:
    """Let an experiment hold its directory, its first argument, as long as it takes.

    It raises RunError if another process makes an experiment there.
    """

    @wraps(make)
    def holding(out: Path, /, *args: Given.args, **kwargs: Given.kwargs) -> Made:
        with workplace(out):
            return make(out, *args, **kwargs)

    return holding


def same_scale(out: Path, scale: Any) -> None:
    """Remember the scale of an experiment, a dataclass, or refuse to go on with one of another scale.

    Raises:
        RunError: ``out`` holds the experiment at another scale.
    """
    if not remembered(out / "scale.json", asdict(scale)):
        raise RunError(f"{out} holds an experiment of another kind or scale: choose another --out.")


def remembered(path: Path, ours: Any) -> bool:
    """Whether a file remembers this, and nothing else; if there is none yet, it does from now on."""
    content = (json.dumps(ours) + "\n").encode()
    if not path.is_file():
        write_bytes(path, content)
    return path.read_bytes() == content


def simulated(out: Path, users: int, seeds: Iterable[int], tell: Callable[[str], None]) -> dict[int, Path]:
    """Seed → directory of a simulated dataset, made if it is missing.

    Raises:
        RunError: there is another one.
    """
    places = {seed: out / "data" / f"simulated-{seed}" for seed in seeds}
    for seed, place in places.items():
        if not (place / MANIFEST).is_file():
            write(simulate(users, seed), place)
            tell(f"simulated {place}")
        if read_manifest(place).get("options") != {"users": users, "seed": seed, "strength": STRENGTH}:
            raise RunError(f"{place} holds other data than {users} users of seed {seed}: remove it.")
    return places


def imported(out: Path, name: str, log: Path, group: str | None, tell: Callable[[str], None]) -> Path:
    """The directory of a log's dataset, imported if it is missing, by the published protocol.

    Args:
        out: of the experiment.
        name: of the dataset.
        log: has the columns user, timestamp and query; quotes in a .tsv are ordinary characters.
        group: its column of groups, if it has one.
        tell: is told of it.

    Raises:
        RunError: the experiment was begun with another log.
        DataError: it is none.
    """
    if not remembered(out / "data" / f"{name}.json", sha256(log)):
        raise RunError(f"{out} holds the experiment on another log than {log}: choose another --out.")
    place = out / "data" / name
    if not (place / MANIFEST).is_file():
        write(published(log, group), place)
        tell(f"imported {place}")
    return place


def published(
    log: Path, group: str | None, options: ImportOptions = PUBLISHED, releasing: Releasing | None = None
) -> Dataset:
    """The dataset of a log, by the published protocol or one near it; see `imported` and `import_log`."""
    reading = replace(options.reading, quotes=".tsv" not in log.suffixes)
    return import_log(
        log, "user", "timestamp", "query", group, replace(options, reading=reading), releasing=releasing
    )


def missing(
    place: Path, data: Path, options: dict[str, Any], sets: dict[str, Any] | None = None
) -> list[str] | None:
    """The command that a run in ``place`` still needs: train it, go on with it, or None.

    Args:
        data: its dataset.
        options: of `persarank train`, without --out and --data.
        sets: hyper-parameters.

    Raises:
        RunError, ModelError: what is there is another run, cannot be gone on with, or not be judged.
    """
    try:
        require_free(place)
    except TakenError:
        return rest(place, data, resolve(options, sets or {}))
    pairs = {"data": data, **options}.items()
    command = ["train", "--json", f"--out={place}", *(f"--{name}={value}" for name, value in pairs)]
    return command + [
        f"--set={name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in (sets or {}).items()
    ]


def rest(place: Path, data: Path, settings: Settings) -> list[str] | None:
    """The command that a run, which is there and must have these settings, still needs. Errors as above."""
    run = open_started(place)
    if run.settings != settings:
        raise RunError(f"{place} holds a run with other settings than this experiment's: remove it.")
    run.require(read_manifest(data)["fingerprint"])
    if finished(place):
        checked(place, run.settings.ranker_name)
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
        return directory.read_metrics(run)
    except RunError as error:
        raise RunError(f"{error} Remove {run} to train it anew.") from error


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
