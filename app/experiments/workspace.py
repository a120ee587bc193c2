"""An experiment's directory: at which scale it is made, its data, and the runs that are still missing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.runs.directory import CONFIG, RunError, finished, workplace
from data.files import write_bytes
from data.simulator import simulate
from data.storage import MANIFEST, write

Given = ParamSpec("Given")
Made = TypeVar("Made")
RESULT, TABLE = "result.json", "table.md"


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
    ours = (json.dumps(asdict(scale)) + "\n").encode()
    there = out / "scale.json"
    if there.is_file() and there.read_bytes() != ours:
        raise RunError(f"{out} holds an experiment of another kind or scale: choose another --out.")
    write_bytes(there, ours)


def simulated(out: Path, users: int, seeds: Iterable[int], tell: Callable[[str], None]) -> dict[int, Path]:
    """Seed → directory of a simulated dataset, made if it is missing."""
    places = {seed: out / "data" / f"simulated-{seed}" for seed in seeds}
    for seed, place in places.items():
        if not (place / MANIFEST).is_file():
            write(simulate(users, seed), place)
            tell(f"simulated {place}")
    return places


def missing(place: Path, options: dict[str, Any], sets: dict[str, Any] | None = None) -> list[str] | None:
    """The command that a run in ``place`` still needs: train it, go on with it, or None.

    Args:
        options: of `persarank train`, without --out.
        sets: hyper-parameters.
    """
    if (place / CONFIG).is_file():
        return None if finished(place) else ["resume", str(place), "--json"]
    command = ["train", "--json", f"--out={place}", *(f"--{name}={value}" for name, value in options.items())]
    return command + [f"--set={name}={value}" for name, value in (sets or {}).items()]


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
