"""Every setting of a run: from the tables' defaults, a TOML file and ``--set``, checked as a whole."""

import dataclasses
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import tomli_w
from pydantic import ValidationError

from app.runs.checks import ConfigError, known_name, nearest, require_known, whole
from app.runs.hyperparameters import defaults_of, exactly, section_of, told, values_of, what_is_wrong
from app.runs.uploads import OPTIONAL, with_uploads
from data.files import expanded
from data.pinned import pin, read_pinned
from federated.algorithms import ALGORITHMS, DEFAULT, FITTED, OBJECTIVES, SCHEDULES, Row
from federated.engines import ENGINES, SERVED, SIMULATE, Engine
from federated.keeping import BEST, LAST
from federated.schedules.alone import Local
from ranking.rankers import RANKERS, TREES, Ranker
from ranking.rankers.forest import Trees
from ranking.rankers.network import Network

SECTIONS = ("ranker", "objective", "schedule", "local", "policy", "growing", *OPTIONAL, "engine")
ROW = SECTIONS[1:-1]
"""Those that an algorithm brings with it."""

PAID = "nmrr"
"""What stands in the place of a loss where rankings are paid for."""

PATHS = ("delay_trace", "edge_list")
"""Hyper-parameters that name files."""

GIVEN = (
    "algorithm",
    "objective",
    "schedule",
    "ranker",
    "loss",
    "seed",
    "updates",
    "evaluations",
    "keep",
    "checkpoint_every",
    "engine",
)
"""What the table [run] of a config file may hold."""


@runtime_checkable
class _Trained(Protocol):
    """A ranker that is trained by gradients."""

    def network(self, features: int, texts: Sequence[str]) -> Network: ...


@dataclass(frozen=True)
class Settings:
    """A run, completely specified but for its data."""

    algorithm: str
    ranker_name: str
    loss: str
    seed: int
    updates: int
    evaluations: int
    keep: str
    checkpoint_every: int
    ranker: Ranker | Trees
    row: Row
    cell: tuple[str, str] | None = None
    """(objective, schedule) where they were chosen apart from an algorithm."""
    engine_name: str = SIMULATE
    engine: Engine = ENGINES[SIMULATE]

    @property
    def label(self) -> str:
        """The algorithm's name, or the cell of the grid."""
        return " × ".join(self.cell) if self.cell else self.algorithm

    @property
    def fitted(self) -> bool:
        """Whether the ranker is fitted (trees) instead of trained by gradients."""
        return self.ranker_name in TREES

    @property
    def personal(self) -> bool:
        """Whether users are to have models of their own, not copies of one."""
        local = isinstance(self.row.schedule, Local)
        return local or self.row.objective.personal or self.row.growing is not None

    @property
    def personal_settings(self) -> tuple[str, ...]:
        """The hyper-parameters that only the finding of own models reads."""
        objective = self.row.objective
        return (*objective.personal_settings, "personal_samples", "keep_common") if objective.personal else ()

    def network(self, features: int, texts: Sequence[str]) -> Network:
        """What is trained, for so many features and these queries; a ranker that is fitted has none."""
        assert isinstance(self.ranker, _Trained), f"{self.ranker_name} is fitted"
        return self.ranker.network(features, texts)

    def sections(self) -> dict[str, dict[str, Any]]:
        """All hyper-parameters that matter to this run, by section."""
        return {name: values_of(part) for name, part in self.parts().items()}

    def parts(self) -> dict[str, Any]:
        """What holds the hyper-parameters that matter to this run, by section."""
        row = {name: getattr(self.row, name) for name in (("growing",) if self.fitted else ROW)}
        engine = {} if self.engine_name == SIMULATE else {"engine": self.engine}
        return {"ranker": self.ranker} | {n: part for n, part in row.items() if part is not None} | engine

    def require_files(self) -> None:
        """Raise DataError unless every file that is named holds what it held."""
        for path in (values[name] for values in self.sections().values() for name in PATHS if name in values):
            read_pinned(path, "the file")

    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Hyper-parameters that are not at their defaults: name → (value, default)."""
        choices = {"algorithm": self.algorithm, "ranker": self.ranker_name, "engine": self.engine_name}
        choices |= dict(zip(("objective", "schedule"), self.cell or (), strict=False))
        defaults = resolve(choices, {}).sections()
        defaults |= {name: defaults_of(kind) for name, kind in OPTIONAL.items()}
        return {
            f"{section}.{name}" if section in OPTIONAL else name: (value, defaults.get(section, {}).get(name))
            for section, values in self.sections().items()
            for name, value in values.items()
            if value != defaults.get(section, {}).get(name)
        }

    def changes(self) -> str:
        """A sentence that names them, to follow another; empty where there are none."""
        changed = [
            f"{name} = {told(value)} (default {told(default)})"
            for name, (value, default) in self.changed().items()
        ]
        return f" Not at their defaults: {', '.join(changed)}." if changed else ""

    def personalised(self, overrides: Mapping[str, Any]) -> "Settings":
        """The same training, with other settings for the finding of own models.

        Raises:
            ConfigError: one of ``overrides`` matters to training itself, or is out of bounds.
        """
        known = self.personal_settings
        for key in overrides:
            if key.rpartition(".")[2] not in known:
                allowed = f"; only {', '.join(known)} can be" if known else ""
                raise ConfigError(f"{key} cannot be changed while a training goes on{allowed}.")
        return _override(self, overrides, begun=True)

    def to_toml(self, extra: Mapping[str, Any], without: Container[str] = ()) -> str:
        """The settings as a TOML file that `read_toml` reads back.

        Args:
            extra: becomes further tables.
            without: hyper-parameters that are left out.
        """
        head: dict[str, Any] = {"algorithm": self.algorithm, "ranker": self.ranker_name, "loss": self.loss}
        if self.cell:
            head |= dict(zip(("objective", "schedule"), self.cell, strict=True))
        head |= {"seed": self.seed, "updates": self.updates, "evaluations": self.evaluations}
        head |= {"keep": self.keep, "checkpoint_every": self.checkpoint_every}
        if self.engine_name != SIMULATE:
            head["engine"] = self.engine_name
        sections = {
            section: {name: value for name, value in values.items() if name not in without}
            for section, values in self.sections().items()
        }
        return tomli_w.dumps({"run": head, **sections, **extra})


def resolve(given: Mapping[str, Any], overrides: Mapping[str, Any], begun: bool = False) -> Settings:
    """Settings from the defaults of algorithm and ranker.

    Args:
        given: values by the names in GIVEN; None or absent is the default.
        overrides: hyper-parameters by name, e.g. ``lam``, or with their section: ``objective.lam``.
        begun: these are of a run that has begun: what its files held then is told, or not known.

    Raises:
        ConfigError: an unknown name (with the nearest known one) or a value out of bounds.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    require_known("setting", chosen, GIVEN)
    algorithm = known_name("algorithm", chosen.get("algorithm", DEFAULT), ALGORITHMS | FITTED)
    row, cell = _cell((ALGORITHMS | FITTED)[algorithm], chosen.get("objective"), chosen.get("schedule"))
    ranker_name = known_name("ranker", chosen.get("ranker", "mlp"), RANKERS)
    losses = RANKERS[ranker_name].losses if row.policy is None else (PAID,)
    of = ranker_name if row.policy is None else algorithm
    loss = known_name(f"loss of {of}", chosen.get("loss", losses[0]), losses)
    _require_fit(ranker_name, algorithm, cell)
    engine = known_name("engine", chosen.get("engine", SIMULATE), ENGINES)
    _require_served(engine, row, ranker_name)
    updates = whole("updates", chosen.get("updates", row.updates), 1, 10**9)
    often = max(500, updates // 16)
    plain = Settings(
        algorithm=algorithm,
        ranker_name=ranker_name,
        loss=loss,
        seed=whole("seed", chosen.get("seed", 0), 0, 2**32 - 1),
        updates=updates,
        evaluations=whole("evaluations", chosen.get("evaluations", 20), 0, 10**6),
        keep=known_name("model to keep", chosen.get("keep", BEST), (LAST, BEST)),
        checkpoint_every=whole("checkpoint_every", chosen.get("checkpoint_every", often), 1, 10**9),
        ranker=ranker_of(row, ranker_name),
        row=row,
        cell=cell,
        engine_name=engine,
        engine=ENGINES[engine],
    )
    settings = _override(plain, overrides, begun)
    if settings.row.privacy is not None and "keep" not in chosen:
        settings = dataclasses.replace(settings, keep=LAST)
    row = with_uploads(settings.row, settings.keep, engine, overrides)
    settings = dataclasses.replace(settings, row=row)
    if row.privacy is not None and row.privacy.randomness == "system":  # else a kill would undo merges seen
        settings = dataclasses.replace(settings, checkpoint_every=1)
    buffer = getattr(settings.row.schedule, "buffer", 1)
    if buffer > settings.updates:
        raise ConfigError(
            f"schedule.buffer = {buffer} is more than updates = {settings.updates}: nothing would be merged."
        )
    return settings


def ranker_of(row: Row, name: str) -> Ranker | Trees:
    """The ranker of a name at its defaults; of a forest that users grow together, what every forest has."""
    return Trees() if row.growing else RANKERS[name].ranker


def _require_fit(ranker: str, algorithm: str, cell: tuple[str, str] | None) -> None:
    """Raise ConfigError unless the ranker can be learned by the algorithm."""
    if ranker in TREES and (cell or algorithm not in TREES[ranker].ALGORITHMS):
        *others, last = TREES[ranker].ALGORITHMS
        raise ConfigError(
            f"{ranker} is fitted, not trained by gradients, so it can be {', '.join(others)} or {last} but "
            f"not {' × '.join(cell) if cell else algorithm}: choose one of those, or the ranker mlp."
        )
    if ranker not in TREES and algorithm not in ALGORITHMS:
        able = " or ".join(name for name, trees in TREES.items() if algorithm in trees.ALGORITHMS)
        raise ConfigError(f"{algorithm} grows trees, and {ranker} has none: choose the ranker {able}.")


def _require_served(engine: str, row: Row, ranker: str) -> None:
    """Raise ConfigError unless the engine can run the algorithm."""
    served = SERVED.get(engine)
    if served is None:
        return
    schedule = row.cell[1]
    if ranker in TREES or schedule not in served:
        what = f"the ranker {ranker}" if ranker in TREES else f"the schedule {schedule}"
        raise ConfigError(
            f"the engine {engine} does not run {what}: it trains networks by the schedules "
            f"{', '.join(served)}."
        )


def _cell(row: Row, objective: Any, schedule: Any) -> tuple[Row, tuple[str, str] | None]:
    """The row with one or both axes exchanged, and the names of both where anything was exchanged."""
    if objective is None and schedule is None:
        return row, None
    cell = (
        known_name("objective", row.cell[0] if objective is None else objective, OBJECTIVES),
        known_name("schedule", row.cell[1] if schedule is None else schedule, SCHEDULES),
    )
    exchanged = dataclasses.replace(
        row,
        objective=row.objective if cell[0] == row.cell[0] else OBJECTIVES[cell[0]],
        schedule=row.schedule if cell[1] == row.cell[1] else SCHEDULES[cell[1]],
    )
    return exchanged, cell


def _override(settings: Settings, overrides: Mapping[str, Any], begun: bool) -> Settings:
    parts = settings.parts()
    kinds = {section: type(part) for section, part in parts.items()} | (
        OPTIONAL if not settings.fitted else {}
    )
    owner = {
        f.name: section
        for section, kind in kinds.items()
        for f in dataclasses.fields(kind)
        if section not in OPTIONAL
    }
    names = [*owner, *(f"{s}.{f.name}" for s, kind in kinds.items() for f in dataclasses.fields(kind))]
    changes: dict[str, dict[str, Any]] = {}
    for key, value in overrides.items():
        if key not in names:
            instead = nearest(key, names, told=owner)
            raise ConfigError(f"unknown setting {key!r} for {settings.label}{instead}")
        name = key.rpartition(".")[2]
        if name in PATHS and isinstance(value, str) and not begun:
            value = pin(_absolute(key, value))  # a run may be resumed from elsewhere, but with this file only
        changes.setdefault(section_of(key) or owner[name], {})[name] = value
    for section, values in changes.items():  # together, since some settings only make sense together
        before = values_of(parts[section]) if section in parts else {}
        try:
            parts[section] = exactly(kinds[section], before | values)
        except ValidationError as error:
            raise ConfigError(what_is_wrong(section, values, error)) from error
    ranker, engine = parts.pop("ranker"), parts.pop("engine", settings.engine)
    row = dataclasses.replace(settings.row, **parts)
    return dataclasses.replace(settings, ranker=ranker, engine=engine, row=row)


def _absolute(key: str, path: str) -> str:
    try:
        return os.path.abspath(expanded(path))
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error
