"""What the app was opened on, and what is there now: runs and datasets by name, and the service of a run.

A name is all that comes from a browser; it is looked up in a list that is made here.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.reports.evidence.gathering import BROKEN
from app.reports.pages.blocks import visible
from app.runs.directory import CONFIG, SUMMARY, open_started
from app.suggestions.suggester import Suggester, of_run
from app.web.server import VARIABLE
from data.storage import MANIFEST
from ranking.persistence import INDEX

RUNS, SEARCHES = "runs", "searches"
"""Where, in the folder of the app, new runs and imported logs lie."""


class AppError(Exception):
    """Something that a visitor asked for cannot be had; the message is a sentence for them."""


@dataclass(frozen=True)
class Opened:
    """What `persarank app` was called with.

    Attributes:
        folder: the app's own, in which new runs and imported logs are written.
        named: the runs that were named, in their order.
        demo: whether these are the demo's.
    """

    folder: Path
    named: tuple[Path, ...]
    demo: bool


def opened() -> Opened:
    """What `persarank app` was called with; without it, the working directory.

    Raises:
        AppError: the variable of the environment is not as `serve` sets it.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return Opened(Path.cwd(), (), False)
    try:
        told = json.loads(given)
        return Opened(Path(told["folder"]), tuple(map(Path, told["runs"])), bool(told["demo"]))
    except (ValueError, KeyError, TypeError) as error:
        raise AppError(f"{VARIABLE} is damaged: start the app with `persarank app`.") from error


def runs() -> dict[str, Path]:
    """Every run that has a model, by its name: those that were named, then those in the app's folder."""
    app = opened()
    found = [*app.named, *_in(app.folder / RUNS)]
    return _named((run for run in found if (run / SUMMARY).is_file()), app.folder)


def datasets() -> dict[str, Path]:
    """Every dataset that is there, by its name: those of the runs, then those that were imported."""
    app = opened()
    found = [data for run in runs().values() if (data := _data_of(run))] + _in(app.folder / SEARCHES)
    return _named((data for data in found if (data / MANIFEST).is_file()), app.folder)


def service(name: str) -> Suggester:
    """The service of the run of this name, which all visitors share: it keeps nothing of any of them.

    Raises:
        AppError: there is no such run, or it cannot be read.
    """
    run = run_named(name)
    try:
        return _service(run, checksum(run))
    except BROKEN as error:
        raise AppError(sentence(error)) from error


def run_named(name: str) -> Path:
    """The directory of the run of this name.

    Raises:
        AppError: there is no such run.
    """
    found = runs().get(name)
    if found is None:
        raise AppError("There is no run of that name: choose one from the list.")
    return found


def checksum(run: Path) -> str:
    """A short text that changes whenever the run's settings, its model or its summary do."""
    files = [run / name for name in (CONFIG, SUMMARY, INDEX)]
    content = [file.read_bytes() if file.is_file() else b"" for file in files]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in content)).hexdigest()[:16]


def sentence(error: BaseException) -> str:
    """What is wrong, for people; a file that cannot be read is named."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'}: {error.strerror}."
    return str(error)


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def _service(run: Path, checksum: str) -> Suggester:
    """Loaded anew whenever ``checksum`` changes."""
    return of_run(run)


def _data_of(run: Path) -> Path | None:
    """Where a run's data lies, if that can be read."""
    try:
        return open_started(run).data
    except BROKEN:
        return None


def _in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none if it is not there."""
    try:
        return sorted(place for place in folder.iterdir() if place.is_dir())
    except OSError:
        return []


def _named(places: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Each place once, under a name: relative to the folder, or else as much of its end as is unique."""
    unlike: dict[str, Path] = {}
    for place in places:
        unlike.setdefault(os.path.realpath(place), place)
    found: dict[str, Path] = {}
    for place in unlike.values():
        name = next(name for name in _names(place, folder) if name not in found)
        found[name] = place
    return found


def _names(place: Path, folder: Path) -> Iterable[str]:
    """Names for a place, the shortest first, without end."""
    whole = place.absolute()
    if whole != folder and whole.is_relative_to(folder):
        yield visible(whole.relative_to(folder).as_posix())
    else:
        parts = whole.parts
        yield from (visible("/".join(parts[-length:])) for length in range(1, len(parts)))
    number = 1
    while True:
        number += 1
        yield f"{visible(str(whole))} ({number})"
