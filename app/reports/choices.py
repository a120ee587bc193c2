"""What there is to choose from: the grid, algorithms, presets, objectives, schedules, rankers, settings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from app.reports.layout import draw
from app.reports.tables import plain
from app.runs.presets import PRESETS
from app.runs.uploads import OPTIONAL
from federated.algorithms import ALGORITHMS, FITTED, OBJECTIVES, SCHEDULES
from federated.clients import LocalSGD
from federated.engines import ENGINES
from federated.hostile import ATTACKS
from federated.server.rules import RULES
from ranking.rankers import RANKERS, TREES

OPTIONS = {"privacy": "privacy", "attack": "attack", "defence": "defence", "compression": "compress"}
"""Options of `persarank train` by the section that their words belong to."""


def table_of_everything() -> dict[str, Any]:
    """The grid, and all that it is made of, as `list --json` prints them."""
    grid: dict[str, dict[str, list[str]]] = {o: {s: [] for s in SCHEDULES} for o in OBJECTIVES}
    for name, row in ALGORITHMS.items():
        objective, schedule = row.cell
        grid[objective][schedule].append(name)
    return {
        "grid": grid,
        "algorithms": [
            {
                "name": name,
                "objective": row.cell[0],
                "schedule": row.cell[1],
                "source": row.source,
                "updates": row.updates,
                "settings": {
                    part: dataclasses.asdict(settings)
                    for part in ("objective", "schedule", "local", "policy")
                    if (settings := getattr(row, part)) is not None
                },
            }
            for name, row in ALGORITHMS.items()
        ],
        "fitted": [
            {
                "name": name,
                "rankers": [ranker for ranker, trees in TREES.items() if name in trees.ALGORITHMS],
                "source": row.source,
                "settings": {"growing": dataclasses.asdict(row.growing)} if row.growing else {},
            }
            for name, row in FITTED.items()
        ],
        "presets": [
            {"name": name, "source": preset.source, "settings": {**preset.given, **preset.sets}}
            for name, preset in PRESETS.items()
        ],
        "objectives": _parts(OBJECTIVES),
        "schedules": _parts(SCHEDULES),
        "local": dataclasses.asdict(LocalSGD()),
        "engines": _parts(ENGINES),
        "attacks": [{"name": name, **about._asdict()} for name, about in ATTACKS.items()],
        "defences": [
            {"name": name, "about": rule.about, "source": rule.source} for name, rule in RULES.items()
        ],
        "uploads": {
            name: sorted(f.name for f in dataclasses.fields(kind)) for name, kind in OPTIONAL.items()
        },
        "rankers": [
            {
                "name": name,
                "losses": list(row.losses),
                "summary": row.summary,
                "settings": {"ranker": dataclasses.asdict(row.ranker)},
            }
            for name, row in RANKERS.items()
        ],
    }


def tables(result: dict[str, Any], console: Console) -> None:
    """The grid, then the hyper-parameters of each axis, then where algorithms differ from those."""
    cells = [
        (objective, *("\n".join(names) or "·" for names in of.values()))
        for objective, of in result["grid"].items()
    ]
    title = "The grid: --algorithm NAME, or any cell by --objective and --schedule"
    draw(console, ("objective", *SCHEDULES), cells, title=title)
    algorithms = [(row["name"], row["source"], _own_defaults(row, result)) for row in result["algorithms"]]
    draw(console, ("--algorithm", "source", "own defaults"), algorithms, title="Algorithms")
    fitted = [
        (row["name"], ", ".join(row["rankers"]), row["source"], _settings(row["settings"].get("growing", {})))
        for row in result["fitted"]
    ]
    draw(console, ("--algorithm", "--ranker", "source", "--set"), fitted, title="Trees")
    presets = [(preset["name"], preset["source"], _named(preset["settings"])) for preset in result["presets"]]
    draw(console, ("--preset", "source", "settings"), presets, title="Presets")
    for title, option in (("Objectives", "--objective"), ("Schedules", "--schedule")):
        parts = [(part["name"], _settings(part["settings"])) for part in result[title.lower()]]
        draw(console, (option, "--set"), parts, title=title)
    draw(console, ("", "--set"), [("all", _settings(result["local"]))], title="Clients")
    engines = [(part["name"], _settings(part["settings"])) for part in result["engines"]]
    draw(console, ("--engine", "--set"), engines, title="Engines")
    for title, option in (("Attacks", "--attack"), ("Defences", "--defence")):
        known = [(one["name"], one["about"], one["source"]) for one in result[title.lower()]]
        draw(console, (option, "what", "source"), known, title=title)
    uploads = [(f"--{OPTIONS[name]}", ", ".join(keys)) for name, keys in result["uploads"].items()]
    draw(console, ("", "KEY=VALUE"), uploads, title="What becomes of users' updates")
    rankers = [
        (
            row["name"],
            f"{row['summary']}\n--loss {', '.join(row['losses'])}",
            _settings(row["settings"]["ranker"]),
        )
        for row in result["rankers"]
    ]
    draw(console, ("--ranker", "what", "--set"), rankers, title="Rankers")


def _parts(known: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "settings": dataclasses.asdict(part)} for name, part in known.items()]


def _own_defaults(row: dict[str, Any], result: dict[str, Any]) -> str:
    """What an algorithm sets otherwise than its objective, its schedule and the clients do by themselves."""
    usual = {part["name"]: part["settings"] for part in (*result["objectives"], *result["schedules"])}
    own = {"updates": row["updates"]}
    for part, default in (
        ("objective", usual[row["objective"]]),
        ("schedule", usual[row["schedule"]]),
        ("local", result["local"]),
        ("policy", {}),
    ):
        settings = row["settings"].get(part, {})
        own |= {name: v for name, v in settings.items() if name not in default or v != default[name]}
    return ", ".join(f"{name}={plain(value)}" for name, value in own.items())


def _named(values: dict[str, Any]) -> str:
    """Settings of a preset, without the sections that they belong to."""
    return _settings({name.rpartition(".")[2]: value for name, value in values.items()})


def _settings(values: dict[str, Any]) -> str:
    """All settings of a part; a dash is a default that depends on the data, such as 1/n, or is not used."""
    return ", ".join(f"{name}={plain(value)}" for name, value in values.items()) or "–"
