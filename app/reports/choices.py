"""What there is to choose from: the grid, algorithms, objectives, schedules, rankers, and their settings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.reports.tables import plain
from federated.algorithms import ALGORITHMS, OBJECTIVES, SCHEDULES
from federated.clients import LocalSGD
from ranking.rankers import RANKERS


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
        "objectives": _parts(OBJECTIVES),
        "schedules": _parts(SCHEDULES),
        "local": dataclasses.asdict(LocalSGD()),
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
    grid = Table(
        title="The grid: --algorithm NAME, or any cell by --objective and --schedule", show_lines=True
    )
    grid.add_column("objective", no_wrap=True)
    for schedule in SCHEDULES:
        grid.add_column(schedule, overflow="fold")
    for objective, cells in result["grid"].items():
        grid.add_row(objective, *("\n".join(names) or "·" for names in cells.values()))
    algorithms = _table("Algorithms", "--algorithm", "source", "own defaults")
    for row in result["algorithms"]:
        algorithms.add_row(row["name"], row["source"], Text(_own_defaults(row, result)))
    objectives = _table("Objectives", "--objective", "--set")
    schedules = _table("Schedules", "--schedule", "--set")
    for table, parts in ((objectives, result["objectives"]), (schedules, result["schedules"])):
        for part in parts:
            table.add_row(part["name"], Text(_settings(part["settings"])))
    clients = _table("Clients", "", "--set")
    clients.add_row("all", Text(_settings(result["local"])))
    rankers = _table("Rankers", "--ranker", "what", "--set")
    for row in result["rankers"]:
        what = f"{row['summary']}\n--loss {', '.join(row['losses'])}"
        rankers.add_row(row["name"], what, Text(_settings(row["settings"]["ranker"])))
    console.print(grid, algorithms, objectives, schedules, clients, rankers)


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


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, show_lines=True)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, overflow="fold")
    return table


def _settings(values: dict[str, Any]) -> str:
    """All settings of a part; a dash is a default that depends on the data, such as 1/n, or is not used."""
    return ", ".join(f"{name}={plain(value)}" for name, value in values.items()) or "–"
