"""What the command line prints for people: the same figures as --json, as tables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from federated.algorithms import ALGORITHMS, OBJECTIVES, SCHEDULES
from federated.clients import LocalSGD
from ranking.rankers import RANKERS

COLUMNS = {
    "nmrr": "NMRR",
    "accuracy@10": "acc@10",
    "plain_accuracy@10": "plain",
    "mrr@10": "MRR@10",
    "success@1": "S@1",
    "success@10": "S@10",
    "p10_user_nmrr": "p10",
}


def card(result: dict[str, Any], console: Console) -> None:
    """A dataset's validity card."""
    table = Table(show_header=False, title="Validity card")
    for name, value in result.items():
        told = _plain(value)
        if name == "left_out":
            told = "\n".join(f"{count} {reason}" for reason, count in value.items()) or "–"
        table.add_row(name.replace("_", " "), Text(told))
    console.print(table)


def summary(result: dict[str, Any], console: Console) -> None:
    """How a training went."""
    stale = result["staleness"]
    console.print(
        f"Trained {result['algorithm']} × {result['ranker']} × {result['loss']}, seed {result['seed']}: "
        f"{result['updates']} updates in {result['seconds']:.1f} s ({result['updates_per_second']:.0f}/s); "
        f"staleness mean {stale['mean']:.2f}, max {stale['max']}, with {result['concurrency']} in flight."
    )
    for why, times in result["refused"].items():
        console.print(f"{times} updates were refused: {why}.")
    if result.get("network"):
        console.print(Text(_network(result["network"], result["virtual_time"])))
    console.print(Text(f"Judge it with: persarank evaluate {result['run']}"))


def _network(network: dict[str, float], rounds: float) -> str:
    """What a network without a server carried."""
    told = f"In {rounds:.0f} rounds {network['messages']:,.0f} messages, {network['bytes'] / 1e9:.2f} GB, "
    told += f"of which {network['lost']:,.0f} were lost; mass {network['mass']:.6f} of 1 is there. "
    told += f"Consensus error {network['consensus_error']:.3g}; "
    told += f"smallest weight {network['smallest_weight']:.2g}; "
    return told + f"nodes waited {network['guarded']:,.0f} times because theirs was tiny."


def evaluation(result: dict[str, Any], console: Console) -> None:
    """One table a run, then the paired differences of runs."""
    for run in result["runs"]:
        title = f"{run['algorithm']} × {run['ranker']} × {run['loss']}, seed {run['seed']} · {run['split']}: "
        title += f"{run['slates']} slates of {_share(run['users'], run['all_users'])} users, "
        title += f"{run['missed']} missed"
        title += "" if run["finished"] else ", of an unfinished run"
        title += ", every user ranked by the next one's model" if run["permuted"] else ""
        table = Table(title=Text(title))
        table.add_column("ranking", no_wrap=True)
        for heading in COLUMNS.values():
            table.add_column(heading, justify="right", no_wrap=True)
        for ranking, metrics in run["metrics"].items():
            if metrics is not None:
                table.add_row(ranking, *(f"{metrics[name]:.4f}" for name in COLUMNS))
        console.print(table)
        for name, difference in run["personal_minus_global"].items():
            if difference is not None:
                console.print(f"personal − global, {name}: {_interval(difference)}")
    for difference in result["differences"]:
        closed = difference.get("gap_closed")
        gap = "" if closed is None else f"; {closed:.0%} of the gap to the oracle closed"
        line = f"{difference['run']} − {difference['against']}, personal nmrr: "
        console.print(Text(line + _interval(difference["nmrr"]) + gap))


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
    return ", ".join(f"{name}={_plain(value)}" for name, value in own.items())


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, show_lines=True)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, overflow="fold")
    return table


def _settings(values: dict[str, Any]) -> str:
    """All settings of a part; a dash is a default that depends on the data, such as 1/n, or is not used."""
    return ", ".join(f"{name}={_plain(value)}" for name, value in values.items()) or "–"


def _share(part: int, whole: int) -> str:
    """So many, or so many of all."""
    return str(whole) if part == whole else f"{part} of {whole}"


def _interval(difference: dict[str, float]) -> str:
    return f"{difference['mean']:+.4f} (95 % {difference['low']:+.4f} to {difference['high']:+.4f})"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items()) or "–"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(part) for part in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)
