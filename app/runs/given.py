"""Settings as they are given: in a TOML file, by a command's own options, and as ``--set`` pairs."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.runs.checks import ConfigError, require_known
from app.runs.presets import with_preset
from app.runs.settings import SECTIONS, Settings, resolve
from app.runs.uploads import OPTIONAL
from data.feature_sets import open_data
from data.files import read_text

SHORT = re.compile(r"[+-]?(\.\d+|\d+\.)(e[+-]?\d+)?", re.IGNORECASE)
"""Numbers that TOML does not know, but people write: .1 and 1."""

STEPWISE = ("updates", "evaluations", "keep", "checkpoint_every", "until")
"""Options that say how a training goes step by step."""


def settings_from(
    config: Path | None, given: Mapping[str, Any], pairs: Iterable[str], data: Path | None = None
) -> Settings:
    """Settings from a preset, a TOML file, the command's own options and ``--set`` pairs; later ones win.

    Raises:
        ConfigError: one of them is wrong.
        DataError: ``data``, on which a preset may depend, is no dataset.
    """
    return resolve(*given_from(config, given, pairs, data))


def given_from(
    config: Path | None, given: Mapping[str, Any], pairs: Iterable[str], data: Path | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same as (given, overrides) for `resolve`, without any preset's name. Errors as above."""
    from_file, overrides = read_toml(config) if config else ({}, {})
    chosen = {**from_file, **{name: value for name, value in given.items() if value is not None}}
    overrides |= parse_overrides(pairs)
    preset = chosen.pop("preset", None)
    if preset is None:
        return chosen, overrides

    def users() -> int:
        if data is None:
            raise ConfigError(f"the preset {preset} depends on the number of users: name the data.")
        return int(open_data(data).users.num_rows)

    return with_preset(preset, chosen, overrides, users)


def require_read(settings: Settings, given: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option of a command is given that a ranker fitted in one piece does not read.

    A config file may hold them all the same: that of a run does.
    """
    unread = [f"--{name.replace('_', '-')}" for name in STEPWISE if given.get(name) is not None]
    if settings.fitted and unread:
        why = f"{settings.ranker_name} is fitted in one piece, not update by update"
        raise ConfigError(f"{why}: leave out {', '.join(unread)}.")


def read_toml(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(given, overrides) for `resolve` from a TOML file: a table [run], and tables named like SECTIONS.

    Raises:
        ConfigError: the file cannot be read, or holds a table of another name.
    """
    try:
        content = tomllib.loads(read_text(file))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from error
    content.pop("data", None)  # a run's own config.toml names its data; another run brings its own
    require_known("table", content, ("run", *SECTIONS))
    for name, table in content.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {name} must be a table, written [{name}].")
    for name in OPTIONAL:
        if content.get(name) == {}:
            raise ConfigError(f"{file}: [{name}] is empty: say what it is to be, or leave it out.")
    overrides = {f"{s}.{key}": v for s in SECTIONS for key, v in content.get(s, {}).items()}
    return content.get("run", {}), overrides


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` pairs of ``--set``, values written as in TOML; a bare word is a string."""
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {pair!r}: write key=value, e.g. --set lam=3.")
        try:
            ((_, overrides[key.strip()]),) = tomllib.loads(f"v = {value}").items()
        except ValueError:  # no TOML, or more than a value, or a number of thousands of digits
            overrides[key.strip()] = float(value) if SHORT.fullmatch(value.strip()) else value
    return overrides
