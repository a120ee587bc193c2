"""Run directories: plain files that say how a ranker was trained, how that went and what came out.

::

    config.toml         every setting, and which data
    metrics.jsonl       one line for each merge and evaluation, on virtual time: equal seeds, equal bytes
    summary.json        what `train --json` prints; its presence says that the run is finished
    model.json          the model's files and their checksums
    model.safetensors   the parameters (tree rankers: a directory model/ instead)
    report.json         the test figures, per user too; written by `evaluate`
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import ConfigError, Settings, parse_overrides, read_toml, resolve
from data.schema import Dataset
from ranking.features import feature_names
from ranking.history import PublicStatistics
from ranking.models import Model
from ranking.persistence import load, write_bytes

CONFIG, METRICS, SUMMARY, REPORT = "config.toml", "metrics.jsonl", "summary.json", "report.json"


class RunError(Exception):
    """A run directory that is not one, or is broken."""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    directory: Path
    settings: Settings
    data: Path
    fingerprint: str
    summary: dict[str, Any]

    def model(self, dataset: Dataset, public: PublicStatistics) -> Model:
        """The trained model, for the data it was trained on.

        Raises:
            RunError: ``dataset`` is other data.
            ModelError: a model file is not as it was written.
        """
        if dataset.fingerprint != self.fingerprint:
            raise RunError(
                f"{self.directory} was trained on data {self.fingerprint}, this is {dataset.fingerprint}: "
                "its personal models belong to other users."
            )
        network = None
        if not self.settings.fitted:
            network = self.settings.ranker.network(len(feature_names(public)), public.texts)
        return load(self.directory, self.settings.ranker_name, network, dataset.users.num_rows)


def create(directory: Path, settings: Settings, data: Path, dataset: Dataset) -> None:
    """Start a run directory by writing its config.

    Raises:
        RunError: something is there already; it is left alone.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RunError(f"{directory} exists and is not empty: choose another --out.")
    directory.mkdir(parents=True, exist_ok=True)
    source = {"path": str(data.resolve()), "fingerprint": dataset.fingerprint}
    write_bytes(directory / CONFIG, settings.to_toml({"data": source}).encode())


def open_run(directory: Path) -> Run:
    """Read a run directory.

    Raises:
        RunError: it is no run directory, or not finished, or its files are damaged.
    """
    if not (directory / CONFIG).is_file():
        raise RunError(f"{directory} is not a run directory: it has no {CONFIG}.")
    if not (directory / SUMMARY).is_file():
        raise RunError(f"{directory} is not finished: it has no {SUMMARY}; train it anew.")
    try:
        given, overrides = read_toml(directory / CONFIG)
        settings = resolve(given, overrides)
        source = tomllib.loads((directory / CONFIG).read_text())["data"]
        summary = json.loads((directory / SUMMARY).read_text())
        return Run(directory, settings, Path(source["path"]), source["fingerprint"], summary)
    except (ConfigError, ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{directory} is a broken run directory: {error}") from error


def settings_from(config: Path | None, given: dict[str, Any], pairs: list[str]) -> Settings:
    """Settings from a TOML file, the command's own options and ``--set`` pairs; later ones win."""
    from_file, overrides = read_toml(config) if config else ({}, {})
    chosen = {**from_file, **{name: value for name, value in given.items() if value is not None}}
    return resolve(chosen, {**overrides, **parse_overrides(pairs)})
