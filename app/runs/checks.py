"""Names and numbers that a person has given, checked: what is wrong is said with what would do."""

import difflib
from collections.abc import Iterable
from typing import Any

from app.runs.hyperparameters import written


class ConfigError(Exception):
    """A setting that does not exist or cannot be; the message names it and says what would do."""


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number within bounds; ConfigError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name} = {written(value)}: it must be a whole number from {least} to {most}.")
    return value


def require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError, with the nearest known one, if a name is not known."""
    for name in given:
        known_name(what, name, known)


def known_name(what: str, name: Any, known: Iterable[str]) -> str:
    """A name that is known; ConfigError, with the nearest known one, if it is not."""
    if not isinstance(name, str) or name not in set(known):
        raise ConfigError(f"unknown {what} {name!r}{nearest(str(name), known)}")
    return str(name)


def nearest(name: str, known: Iterable[str], told: Iterable[str] | None = None) -> str:
    """The nearest known name; where none is near, all that are ``told``, or else all that are known."""
    options = list(known)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(told or options)}."
