"""What a training would do, as `persarank train --dry-run` prints it."""

from pathlib import Path
from typing import Any

import tomli_w
from rich.console import Console

from app.reports.layout import draw, say
from app.runs.directory import CONFIG
from app.runs.phases import TRAINING
from federated.clients import PERSONAL
from federated.tasks.ranking import VALIDATION

EXPECTED = (TRAINING, VALIDATION, PERSONAL)
"""Phases whose time is an estimate; all others have been gone through."""


def table(result: dict[str, Any], console: Console) -> None:
    """The config file, what would be done, and what it would cost."""
    say(console, f"This is a dry run: nothing is written. {Path(result['run']) / CONFIG} would be:")
    say(console, "")
    for line in tomli_w.dumps(result["settings"]).splitlines():
        say(console, f"    {line}")
    say(console, "")
    draw(console, ("", ""), [*_data(result["data"]), *_work(result)])
    seconds = result["seconds"]
    rows = [
        (phase, f"{'about ' if phase in EXPECTED else ''}{_duration(spent)}")
        for phase, spent in seconds.items()
    ]
    rows.append(("all", f"about {_duration(sum(seconds.values()))}"))
    draw(console, ("phase", "time"), rows, figures=True)
    say(console, _how(result))


def _data(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("data", f"{data['path']}, fingerprint {data['fingerprint']}"),
        ("users", f"{data['users']:,}"),
        ("slates to learn from", f"{data['training_slates']:,}"),
        ("slates for validation", f"{data['validation_slates']:,}"),
        ("features", f"{data['features']:,}"),
    ]


def _work(result: dict[str, Any]) -> list[tuple[str, str]]:
    course = result["course"]
    rows = [("updates", f"{result['updates']:,}")]
    if course is not None:
        stale = course["staleness"]
        rows += [
            ("merges", f"{course['merges']:,}"),
            ("staleness", f"mean {stale['mean']:.2f}, max {stale['max']}"),
            ("users in flight", f"{course['concurrency']:,}"),
            ("virtual time", f"{course['virtual_time']:,.1f}"),
        ]
    if result["parameters"] is not None:
        rows.append(("parameters of the network", f"{result['parameters']:,}"))
    return [*rows, ("memory, peak", f"about {result['memory_mib']:,} MiB")]


def _how(result: dict[str, Any]) -> str:
    """How the figures were made."""
    tried = "some updates, validations and own models were computed"
    if result["parameters"] is None:
        tried = "a few trees were fitted"
    before = ", ".join(phase for phase in result["seconds"] if phase not in EXPECTED)
    return (
        "Times are of this machine, as busy as it is now. What comes before training was done, and the "
        f"training does it again: {before}. For the rest {tried}, and their times multiplied."
    )


def _duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"
