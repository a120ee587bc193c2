"""Where the prepared demo lies, and whether it is whole. Imports little: a second start is quick."""

import os
from pathlib import Path

from data.files import expanded

RUNS = ("fedavg", "persa-fl-ditto")
DATA = "data"
REPORT = "report.json"
VERSION = "3"
"""Part of the directory's name; raise it when prepared files of an older version would mislead."""


def home() -> Path:
    """Where the prepared demo lives: $PERSARANK_HOME, or else below the user's cache directory.

    Raises:
        ValueError: there is no such place.
    """
    given = os.environ.get("PERSARANK_HOME")
    return (_set("PERSARANK_HOME", given).absolute() if given else _cache() / "persarank") / f"demo-{VERSION}"


def _set(variable: str, value: str) -> Path:
    """The path that a variable of the environment holds."""
    try:
        return expanded(value)
    except ValueError as error:
        raise ValueError(f"{variable} is {error}") from error


def _cache() -> Path:
    """$XDG_CACHE_HOME, which by its specification counts only if it is absolute, or ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME")
    if given and (cache := _set("XDG_CACHE_HOME", given)).is_absolute():
        return cache
    try:
        return expanded("~/.cache")
    except ValueError as error:
        raise ValueError("there is no home directory: set PERSARANK_HOME to a folder.") from error


def ready(directory: Path) -> bool:
    """Whether everything is prepared."""
    return all((directory / name / REPORT).is_file() for name in RUNS)
