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
from data.files import what_is_wrong
from data.manifests import MANIFEST
from data.storage import read_manifest
from ranking.persistence import INDEX

RUNS, SEARCHES = "runs", "searches"
"""Where, in the folder of the app, new runs and imported logs lie."""

DEMO = "demo"
"""How the names of the demo's runs and of its data begin."""


class AppError(Exception):
    """Something that a visitor asked for cannot be had; the message is a sentence for them."""


@dataclass(frozen=True)
class Opened:
    """What `persarank app` was called with.

    Attributes:
        folder: the app's own, in which new runs and imported logs are written.
        named: the runs that were named, in their order.
        demo: the runs of the demo, if it was opened.
        moved: datasets that lie elsewhere than when runs learned from them.
    """

    folder: Path
    named: tuple[Path, ...] = ()
    demo: tuple[Path, ...] = ()
    moved: tuple[Path, ...] = ()


def opened() -> Opened:
    """What `persarank app` was called with; without it, the working directory.

    Raises:
        AppError: the variable of the environment is not as `serve` sets it.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return Opened(Path.cwd())
    try:
        told = json.loads(given)
        shown, moved = tuple(map(Path, told["runs"])), tuple(map(Path, told["moved"]))
        named, demo = ((), shown) if told["demo"] else (shown, ())
        return Opened(Path(told["folder"]), named, demo, moved)
    except (ValueError, KeyError, TypeError) as error:
        raise AppError(f"{VARIABLE} is damaged: start the app with `persarank app`.") from error


def runs() -> dict[str, Path]:
    """Every run that has a model, by its name: those that were named, those in the folder, the demo's."""
    app = opened()
    found = [run for run in (*app.named, *_in(app.folder / RUNS), *app.demo) if (run / SUMMARY).is_file()]
    return _named(found, app.demo, app.folder)


def datasets() -> dict[str, Path]:
    """Every dataset that is there, by its name: those of runs, those that were imported, the demo's."""
    app = opened()
    of_runs = [data for run in runs().values() if (data := _data_of(run))]
    found = [data for data in (*of_runs, *_in(app.folder / SEARCHES)) if (data / MANIFEST).is_file()]
    return _named(found, [data for run in app.demo if (data := _data_of(run))], app.folder)


def moved_data(run: Path) -> Path | None:
    """Where the data of a run is now, if the app was told that it has moved.

    Raises:
        RunError, DataError: the run cannot be read, or what was moved is no dataset any more.
    """
    places = {read_manifest(place)["fingerprint"]: place for place in opened().moved}
    return places.get(open_started(run).fingerprint) if places else None


def service(name: str) -> Suggester:
    """The service of the run of this name, which all visitors share: it keeps nothing of any of them.

    Raises:
        AppError: there is no such run, or it cannot be read.
    """
    run = run_named(name)
    try:
        return _service(run, moved_data(run), checksum(run))
    except BROKEN as error:
        raise AppError(what_is_wrong(error)) from error


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


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def _service(run: Path, data: Path | None, checksum: str) -> Suggester:
    """Loaded anew whenever ``checksum`` changes."""
    return of_run(run, data)


def _data_of(run: Path) -> Path | None:
    """Where a run's data lies, if that can be read."""
    try:
        return moved_data(run) or open_started(run).data
    except BROKEN:
        return None


def _in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none if it is not there."""
    try:
        return sorted(place for place in folder.iterdir() if place.is_dir())
    except OSError:
        return []


def _named(places: Iterable[Path], demo: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Each place once, under a name of its own; those of the demo come last, whichever they are."""
    unlike: dict[str, Path] = {}
    for place in places:
        unlike.setdefault(os.path.realpath(place), place)
    last = set(map(os.path.realpath, demo))
    found: dict[str, Path] = {}
    for real in sorted(unlike, key=last.__contains__):
        place = unlike[real]
        names = _names(place, folder, prepared=real in last)
        found[next(name for name in names if name not in found)] = place
    return found


def _names(place: Path, folder: Path, prepared: bool) -> Iterable[str]:
    """Names for a place, the shortest first, without end: relative to the folder, or as much of its end."""
    whole = place.absolute()
    if prepared:
        yield f"{DEMO}/{visible(whole.name)}"
    elif whole != folder and whole.is_relative_to(folder):
        yield visible(whole.relative_to(folder).as_posix())
    else:
        parts = whole.parts
        yield from (visible("/".join(parts[-length:])) for length in range(1, len(parts)))
    number = 1
    while True:
        number += 1
        yield f"{visible(str(whole))} ({number})"
