"""What the demo shows: prepared data, a global and a personal run on it, and their figures per user."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.runs.directory import REPORT, RunError, open_run
from app.suggestions.demo import DATA, RUNS
from app.suggestions.suggester import Suggester
from data.schema import DataError
from data.storage import read
from ranking.models import NeuralModel
from ranking.rankers.trees import ModelError
from ranking.sources import Log


class ShowcaseError(Exception):
    """The prepared demo is missing or damaged; the message says what to run."""


@dataclass(frozen=True)
class Showcase:
    """A suggester, and for each of its users their held-out figures, by name: (personal, global)."""

    suggester: Suggester
    scores: list[dict[str, Any]]
    checksum: str


def version(directory: Path) -> str:
    """A short text that changes whenever the prepared files do."""
    stamps = [path.stat().st_mtime_ns for name in RUNS if (path := directory / name / REPORT).is_file()]
    return "-".join(map(str, stamps))


def open_showcase(directory: Path) -> Showcase:
    """Load a prepared demo.

    Raises:
        ShowcaseError: it is missing or damaged.
    """
    advice = "Run `persarank demo --prepare-only` and reload this page."
    if not all((directory / name / REPORT).is_file() for name in RUNS):
        raise ShowcaseError(f"The demo is not prepared yet. {advice}")
    try:
        dataset = read(directory / DATA)
        log = Log(dataset)
        common, personal = (open_run(directory / name).model(log) for name in RUNS)
        assert isinstance(common, NeuralModel), "the demo trains networks"
        assert isinstance(personal, NeuralModel), "the demo trains networks"
        own = torch.stack([personal.of(user) for user in range(len(log.users))])
        suggester = Suggester(log, NeuralModel(common.network, common.common, own))
        scores = _scores(directory, suggester.users, dataset.fingerprint)
    except (DataError, RunError, ModelError, ValueError, KeyError, OSError) as error:
        raise ShowcaseError(
            f"The prepared demo is damaged ({error}). Delete {directory}. {advice}"
        ) from error
    return Showcase(suggester, scores, version(directory))


def _scores(directory: Path, users: list[str], fingerprint: str) -> list[dict[str, Any]]:
    common, personal = (_report(directory / name / REPORT, fingerprint) for name in RUNS)
    return [
        {
            "slates": personal[user]["slates"],
            **{
                name: (figure, common[user]["global"][name])
                for name, figure in personal[user]["personal"].items()
                if name in common[user]["global"]  # else the two were judged at different cut-offs
            },
        }
        for user in users
    ]


def _report(path: Path, fingerprint: str) -> dict[str, Any]:
    """Every user's figures by name, from a report on this data."""
    report = json.loads(path.read_text())
    if report["result"].get("fingerprint", fingerprint) != fingerprint:  # older reports do not tell
        raise ValueError(f"{path} is a report on other data")
    return {row["user"]: row for row in report["users"]}
