"""Run directories: plain files that say how a ranker was trained, how that went and what came out.

::

    config.toml         every setting, and which data
    metrics.jsonl       one line for each merge and evaluation, on virtual time: equal seeds, equal bytes
    checkpoints/        the newest two, until the run is finished; see `federated.checkpoint`
    summary.json        what `train --json` prints; without it there is no model yet
    model.json          the model's files and their checksums
    model.safetensors   the parameters (tree rankers: a directory model/ instead)
    report.json         the test figures, per user too; written by `evaluate`
"""

import fcntl
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runs.settings import ConfigError, Settings, parse_overrides, read_toml, resolve
from data.files import PARTIAL, write_bytes
from data.schema import DataError, Dataset
from ranking.features import feature_names
from ranking.history import PublicStatistics
from ranking.models import Model
from ranking.persistence import load

CONFIG, METRICS, SUMMARY, REPORT = "config.toml", "metrics.jsonl", "summary.json", "report.json"
CHECKPOINTS = "checkpoints"


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

    def model(self, dataset: Dataset, public: PublicStatistics) -> Model:
        """The trained model, for the data it was trained on.

        Raises:
            RunError: ``dataset`` is other data.
            ModelError: a model file is not as it was written.
        """
        self.require(dataset.fingerprint)
        network = None
        if not self.settings.fitted:
            network = self.settings.network(len(feature_names(public)), public.texts)
        return load(self.directory, self.settings.ranker_name, network, dataset.users.num_rows)


def create(directory: Path, settings: Settings, data: Path, dataset: Dataset) -> None:
    """Start a run directory by writing its config.

    Raises:
        RunError: something is there already; it is left alone.
    """
    if (directory / CONFIG).is_file() and not (directory / SUMMARY).is_file():
        raise RunError(
            f"{directory} exists and holds an unfinished run: choose another --out, or go on with: "
            f"persarank resume {directory}"
        )
    if directory.exists() and (
        not directory.is_dir() or any(p.suffix != PARTIAL for p in directory.iterdir())
    ):
        raise RunError(f"{directory} exists and is not empty: choose another --out.")
    directory.mkdir(parents=True, exist_ok=True)
    source = {"path": str(data.resolve()), "fingerprint": dataset.fingerprint}
    write_bytes(directory / CONFIG, settings.to_toml({"data": source}).encode())


def open_started(directory: Path) -> Started:
    """Read what a run was started with.

    Raises:
        RunError: it is no run directory, or its config is damaged.
    """
    if not (directory / CONFIG).is_file():
        raise RunError(f"{directory} is not a run directory: it has no {CONFIG}.")
    try:
        given, overrides = read_toml(directory / CONFIG)
        settings = resolve(given, overrides, begun=True)
        source = tomllib.loads((directory / CONFIG).read_text())["data"]
        return Started(directory, settings, Path(source["path"]), source["fingerprint"])
    except (ConfigError, ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{directory} is a broken run directory: {error}") from error


def open_run(directory: Path) -> Run:
    """Read a run directory that has a model.

    Raises:
        RunError: as in `open_started`, or there is no model yet.
    """
    started = open_started(directory)
    if not (directory / SUMMARY).is_file():
        raise RunError(f"{directory} is not finished: it has no {SUMMARY}; persarank resume {directory}")
    try:
        summary = json.loads((directory / SUMMARY).read_text())
        told = {name: summary[name] for name in ("algorithm", "ranker", "loss", "seed")}
    except (ValueError, OSError, LookupError, TypeError) as error:
        raise RunError(f"{directory} is a broken run directory: {error}") from error
    settings = started.settings
    ours = (settings.label, settings.ranker_name, settings.loss, settings.seed)
    if tuple(told.values()) != ours:
        raise RunError(
            f"{directory} is a broken run directory: its {SUMMARY} is of another run than {CONFIG}."
        )
    return Run(directory, started.settings, started.data, started.fingerprint, summary)


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
        RunError: another process is training this run.
    """
    with (directory / CONFIG).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"{directory} is being trained by another process.") from error
        yield


def settings_from(config: Path | None, given: dict[str, Any], pairs: list[str]) -> Settings:
    """Settings from a TOML file, the command's own options and ``--set`` pairs; later ones win."""
    from_file, overrides = read_toml(config) if config else ({}, {})
    chosen = {**from_file, **{name: value for name, value in given.items() if value is not None}}
    return resolve(chosen, {**overrides, **parse_overrides(pairs)})
