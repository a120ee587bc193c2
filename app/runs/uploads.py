"""What becomes of updates on their way into the model: sections that a run has if it asks for them."""

from collections.abc import Container, Sequence
from dataclasses import fields, replace

from app.runs.checks import ConfigError
from federated.algorithms import Row
from federated.compression import Compression
from federated.engines import SIMULATE
from federated.hostile import Attack
from federated.keeping import BEST
from federated.privacy.guarantee import Privacy
from federated.schedules.cohort import Cohort
from federated.server.rules import Defence
from federated.server.uploads import UploadError

OPTIONAL: dict[str, type] = {
    "privacy": Privacy,
    "attack": Attack,
    "defence": Defence,
    "compression": Compression,
}
"""Sections that a run has if one of their hyper-parameters is given."""


def with_uploads(row: Row, keep: str, engine: str, overrides: Container[str]) -> Row:
    """The algorithm, with what privacy needs of it: equal weights, and over real messages real noise.

    Args:
        row: the algorithm.
        keep: the model that is kept.
        engine: where it runs.
        overrides: names of the hyper-parameters that were given.

    Raises:
        ConfigError: what is asked for does not go with the algorithm, the engine, or the model that is kept.
    """
    asked = [name for name in OPTIONAL if getattr(row, name) is not None]
    if asked and row.growing is not None:
        raise ConfigError(f"{asked[0]} is for updates of networks, and trees have none.")
    try:
        _ = row.uploads
    except UploadError as error:
        raise ConfigError(str(error)) from error
    _require_engine(row, engine, asked)
    if row.attack is not None and not _given("attack", "share", overrides):
        raise ConfigError("attack needs share: write share=0.1 for a tenth of the users.")
    _require_read(row, asked)
    return row if row.privacy is None else _private(row, row.privacy, keep, engine, overrides)


def _require_engine(row: Row, engine: str, asked: Sequence[str]) -> None:
    known = {SIMULATE: tuple(OPTIONAL), "flower": ("privacy", "defence")}.get(engine, ())
    for name in asked:
        if name not in known:
            raise ConfigError(f"{name} is simulated only: leave out {name}, or the engine {engine}.")
    if engine != SIMULATE and row.privacy is not None and row.privacy.quantile is not None:
        raise ConfigError(
            f"privacy.quantile needs users who know today's bound, and on the engine {engine} they know the "
            "first one: leave it out."
        )


ANY = frozenset[str]()
"""Anything but None."""

READ_BY: dict[str, dict[str, tuple[str, frozenset[str]]]] = {
    "privacy": {
        "leaves": ("noise", frozenset({"tree"})),
        "band": ("noise", frozenset({"banded"})),
        "clip_lr": ("quantile", ANY),
        "bit_noise": ("quantile", ANY),
    },
    "attack": {
        "scale": ("kind", frozenset({"sign-flip", "scaled"})),
        "tau": ("kind", frozenset({"ipm", "alie"})),
        "sigma": ("kind", frozenset({"gaussian"})),
    },
    "defence": {
        "clip": ("rule", frozenset({"clip"})),
        "nu": ("rule", frozenset({"geometric-median"})),
        "iterations": ("rule", frozenset({"geometric-median"})),
        "tau": ("rule", frozenset({"centred-clipping"})),
        "L": ("rule", frozenset({"centred-clipping"})),
        "buffers": ("rule", frozenset({"basgd"})),
    },
    "compression": {"bucket": ("bits", frozenset({"4", "8"}))},
}
"""Hyper-parameters that are read only for some values of another one, by section. Rules are joined by +."""


def _require_read(row: Row, asked: Sequence[str]) -> None:
    """Refuse what would change nothing: whoever sets it believes that it does."""
    for section in asked:
        own = getattr(row, section)
        changed = {one.name for one in fields(own) if getattr(own, one.name) != one.default}
        for name, (other, values) in READ_BY[section].items():
            value = getattr(own, other)
            told = "nothing" if value is None else value
            read = value is not None if values is ANY else not values.isdisjoint(str(value).split("+"))
            if name in changed and not read:
                raise ConfigError(f"{section}.{name} has no meaning where {other} = {told}: leave it out.")


def _private(row: Row, privacy: Privacy, keep: str, engine: str, overrides: Container[str]) -> Row:
    if keep == BEST:
        raise ConfigError(
            "keep = best would choose the model by users' validation slates, which the promised epsilon does "
            "not cover: leave it out, and the last model is kept."
        )
    if engine != SIMULATE and privacy.randomness == "keyed":
        if _given("privacy", "randomness", overrides):
            raise ConfigError(
                f"randomness = keyed could be subtracted by whoever knows the seed: on the engine {engine} "
                "noise is the operating system's."
            )
        row = replace(row, privacy=replace(privacy, randomness="system"))
    if isinstance(row.schedule, Cohort) and row.schedule.shares == "samples":
        if _given("schedule", "shares", overrides):
            raise ConfigError(
                "shares = samples weighs users by what they hold, and privacy needs equal weights: set "
                "shares = equal."
            )
        return replace(row, schedule=replace(row.schedule, shares="equal"))
    return row


def _given(section: str, name: str, overrides: Container[str]) -> bool:
    """Whether a hyper-parameter was given, with its section or without."""
    return name in overrides or f"{section}.{name}" in overrides
