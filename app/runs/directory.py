"""Run directories: plain files that say how a ranker was trained, how that went and what came out.

::

    config.toml         every setting, and which data
    metrics.jsonl       one line for each merge and evaluation, on virtual time: equal seeds, equal bytes
    checkpoints/        the newest two, until the run is finished; see `federated.checkpoint`
    groups/             what the actors of a Ray engine go on from, until the run is finished
    summary.json        what `train --json` prints; without it there is no model yet
    model.json          the model's files and their checksums
    model.safetensors   the parameters (tree rankers: a directory model/ instead)
    report.json         the test figures, per user too; written by `evaluate`
    public.arrow, .json where users' data is elsewhere: what is public of it, and who told so
    .persarank.lock     while a process works here; see `data.folders`
"""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runs import records
from app.runs.checks import ConfigError
from app.runs.given import read_toml
from app.runs.settings import Settings, resolve
from app.runs.shell import command
from data.files import PARTIAL, expanded, read_text, write_bytes
from data.folders import BusyError, FolderError, TakenError, filling, held, remove, require_fillable
from data.schema import DataError
from federated import checkpoint
from ranking.features import VERSION
from ranking.models import Model
from ranking.persistence import INDEX, NEURAL, load
from ranking.rankers.trees import ModelError
from ranking.sources import Source

CONFIG, METRICS, SUMMARY, REPORT = "config.toml", "metrics.jsonl", "summary.json", "report.json"
CHECKPOINTS, SLATES, GROUPS = "checkpoints", "slates", "groups"
PUBLIC = ("public.arrow", "public.json")
"""Where users' data is elsewhere: what they make public together, and which nodes have told of it."""

NAMES = (CONFIG, METRICS, SUMMARY, REPORT, *PUBLIC, INDEX, NEURAL, "model/common.*", "model/user-[0-9]*")
WRITTEN = (*NAMES, *(name + PARTIAL for name in NAMES), f"{SLATES}/*/features")
"""Patterns of what a run may have written, but for its checkpoints."""


class RunError(Exception):
    """A run directory that is not one, or is broken."""


@dataclass(frozen=True)
class Started:
    """A run that has been started: its settings, and the data that it learns from."""

    directory: Path
    settings: Settings
    data: Path
    fingerprint: str

    def source(self, data: Path | None) -> Path:
        """Where its data is: ``data`` if given, else where it was.

        Raises:
            RunError: it is no longer there.
        """
        if data is None and not self.data.is_dir():
            raise RunError(f"{self.directory}: its data {self.data} is gone; name it with --data.")
        return data or self.data

    def require(self, fingerprint: str) -> None:
        """Raise RunError unless this is the fingerprint of the data that the run learned from."""
        if fingerprint != self.fingerprint:
            raise RunError(
                f"{self.directory} was trained on data {self.fingerprint}, this is {fingerprint}: "
                "its personal models belong to other users."
            )

    def require_files(self) -> None:
        """Raise RunError unless the files that its settings name hold what they held when it began."""
        try:
            self.settings.require_files()
        except DataError as error:
            raise RunError(f"{self.directory}: {error}") from error


@dataclass(frozen=True)
class Run(Started):
    """A run with a model: a finished one, or one that was interrupted and saved."""

    summary: dict[str, Any]

    def model(self, source: Source) -> Model:
        """The trained model, for slates of the data it was trained on.

        Raises:
            RunError: another process is writing the model, or ``source`` is of other data.
            ModelError: a model file is not as it was written.
        """
        self.require(source.fingerprint)
        network = None
        if not self.settings.fitted:
            network = self.settings.network(len(source.feature_names), source.texts or ())
        try:
            return load(self.directory, self.settings.ranker_name, network, len(source.users))
        except ModelError:
            with suppress(OSError), locked(self.directory):
                pass  # else the model is just being replaced by another process, which is said
            raise


@contextmanager
def created(directory: Path, settings: Settings, data: Path, fingerprint: str) -> Iterator[None]:
    """Start a run directory by writing its config, and hold it. It disappears again if it is left empty.

    Raises:
        RunError: something is there already, or another process works there; it is left alone.
        DataError: the data lies at a place that cannot be noted down.
    """
    with _told(directory), filling(directory):
        write_config(directory, settings, data, fingerprint)
        yield


def require_room(directory: Path) -> None:
    """Raise what `created` would raise, RunError or OSError, if no run can be made there; nothing is made."""
    with _told(directory):
        require_fillable(directory)


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    """Say in a sentence why a folder cannot become a run."""
    try:
        yield
    except TakenError as error:
        raise RunError(_taken(directory)) from error
    except FolderError as error:
        raise RunError(f"{error}: choose another --out.") from error


def write_config(directory: Path, settings: Settings, data: Path, fingerprint: str) -> None:
    """Write down what a run does, and with which data; errors as of `config`."""
    write_bytes(directory / CONFIG, config(settings, data, fingerprint))


def config(settings: Settings, data: Path, fingerprint: str) -> bytes:
    """What a run does, and with which data, as the file of its directory says it.

    Raises:
        DataError: the data lies at a place that cannot be noted down.
    """
    source = {"path": str(data.resolve()), "fingerprint": fingerprint, "features": VERSION}
    return encoded(settings.to_toml({"data": source}))


def encoded(config: str) -> bytes:
    """Settings as the bytes of a file.

    Raises:
        DataError: a path among them cannot be written.
    """
    try:
        return config.encode()
    except UnicodeEncodeError as error:
        raise DataError("the path of the data, or of a file named in the settings, is not UTF-8.") from error


def _taken(directory: Path) -> str:
    """What is in the way of a new run."""
    if (directory / CONFIG).is_file() and not _finished(directory):
        return (
            f"{directory} exists and holds an unfinished run: choose another --out, or go on with: "
            + command("resume", directory)
        )
    what = "; it holds a finished run" if (directory / CONFIG).is_file() else ""
    return f"{directory} exists and is not empty: choose another --out{what}."


def _finished(directory: Path) -> bool:
    try:
        return finished(directory) is not None
    except RunError:  # a broken one, which cannot be resumed
        return True


def open_started(directory: Path) -> Started:
    """Read what a run was started with.

    Raises:
        RunError: it is no run directory, its config is damaged, or it learns from features that are no more.
    """
    if not (directory / CONFIG).is_file():
        raise _no_run(directory)
    try:
        given, overrides = read_toml(directory / CONFIG)
        settings = resolve(given, overrides, begun=True)
        source = tomllib.loads(read_text(directory / CONFIG))["data"]
        if source.get("features", 1) != VERSION:
            raise RunError(
                f"{directory} is of another version of PersaRank, which computed other features: train it "
                "anew, with another --out."
            )
        return Started(directory, settings, expanded(source["path"]), source["fingerprint"])
    except (ConfigError, ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{directory} is a broken run directory: {error}") from error


def open_run(directory: Path) -> Run:
    """Read a run directory that has a model.

    Raises:
        RunError: as in `open_started`, or there is no model yet.
    """
    started = open_started(directory)
    if not (directory / SUMMARY).is_file():
        raise RunError(
            f"{directory} is not finished: it has no {SUMMARY}; go on with: {command('resume', directory)}"
        )
    try:
        summary = records.summary((directory / SUMMARY).read_bytes())
    except OSError as error:
        raise RunError(f"{directory} is a broken run directory: {error}") from error
    except ValueError as error:
        raise RunError(f"{directory} is a broken run directory: {SUMMARY} is damaged: {error}.") from error
    told = [summary[name] for name in ("algorithm", "ranker", "loss", "seed")]
    settings = started.settings
    if told != [settings.label, settings.ranker_name, settings.loss, settings.seed]:
        raise RunError(
            f"{directory} is a broken run directory: its {SUMMARY} is of another run than {CONFIG}."
        )
    return Run(directory, started.settings, started.data, started.fingerprint, summary)


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The merges and evaluations of a run, one a line of its metrics file.

    Raises:
        RunError: it is missing or damaged.
    """
    file = directory / METRICS
    try:
        return records.events(file.read_bytes())
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{file} is damaged in {error}.") from error


def finished(directory: Path) -> dict[str, Any] | None:
    """The summary of a run that has nothing left to do, else None."""
    if not (directory / SUMMARY).is_file():
        return None
    summary = open_run(directory).summary
    return summary if summary.get("finished", True) else None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a run for oneself. The lock ends with the process, however that ends.

    Raises:
        RunError: another process is training this run, or has just removed it.
    """
    try:
        with held(directory):
            if not (directory / CONFIG).is_file():
                raise _no_run(directory)
            yield
    except BusyError as error:
        raise RunError(f"{directory} is being trained by another process.") from error
    except FileNotFoundError as error:
        raise _no_run(directory) from error


def _no_run(directory: Path) -> RunError:
    return RunError(f"{directory} is not a run directory: it has no {CONFIG}.")


@contextmanager
def workplace(directory: Path) -> Iterator[None]:
    """Make a directory of several runs, or take one, and hold it for oneself.

    Raises:
        RunError: another process works there, or it cannot be made.
    """
    try:
        with filling(directory, anew=False):
            yield
    except FolderError as error:
        raise RunError(f"{error}.") from error


def discard(directory: Path) -> None:
    """Remove what a run has written, and nothing else."""
    clear(directory)
    remove(directory, WRITTEN)


def clear(directory: Path) -> None:
    """Remove what a run could go on from."""
    checkpoint.clear(directory / CHECKPOINTS)
    groups = directory / GROUPS
    if groups.is_dir():
        for group in groups.iterdir():
            checkpoint.clear(group)
        with suppress(OSError):
            groups.rmdir()
