"""Where the prepared demo lies, and whether it is whole. Imports little: a second start is quick."""

import os
from pathlib import Path

RUNS = ("fedavg", "persa-fl-me")
DATA = "data"
REPORT = "report.json"
VERSION = "1"
"""Part of the directory's name; raise it when prepared files of an older version would mislead."""


def home() -> Path:
    """Where the prepared demo lives: $PERSARANK_HOME, or else below the user's cache directory."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PERSARANK_HOME") or Path(cache) / "persarank") / f"demo-{VERSION}"


def ready(directory: Path) -> bool:
    """Whether everything is prepared."""
    return all((directory / name / REPORT).is_file() for name in RUNS)
