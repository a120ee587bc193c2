"""Where the prepared demo lies, and whether it is whole. Imports little: a second start is quick."""

import os
from pathlib import Path

from data.files import cache, named

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
    return (named("PERSARANK_HOME", given).absolute() if given else cache() / "persarank") / f"demo-{VERSION}"


def ready(directory: Path) -> bool:
    """Whether everything is prepared."""
    return all((directory / name / REPORT).is_file() for name in RUNS)
