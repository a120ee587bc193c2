"""The tables and the figure of `reproduce ranking`."""

from typing import Any

from app.experiments.figures import Interval
from app.experiments.ranking_cells import DEFAULTS, JUDGED, YARDSTICKS, Cell
from app.experiments.written import NONE, difference, table


def markdown(result: dict[str, Any]) -> str:
    """The result as tables: the talk's, one for each dataset and criterion, and today's defaults."""
    parts = []
    for name, figures in result.items():
        parts += [_table(f"{name}, {told}", figures["talk"], metric) for metric, told in JUDGED.items()]
    return "\n\n".join([*parts, "Today's defaults, NMRR of own models:", _beside(result)]) + "\n"


def _table(title: str, rows: list[dict[str, Any]], metric: str) -> str:
    cells = {(row["algorithm"], row["ranker"], row["loss"]): row[metric]["mean"] for row in rows}
    columns = list(dict.fromkeys((ranker, loss) for _, ranker, loss in cells))
    lines = []
    for algorithm in dict.fromkeys(algorithm for algorithm, *_ in cells):
        figures = [cells.get((algorithm, *column)) for column in columns]
        lines.append([f"`{algorithm}`", *(NONE if f is None else f"{f:.3f}" for f in figures)])
    return table([title, *(" ".join(column) for column in columns)], lines)


def _beside(result: dict[str, Any]) -> str:
    """Yardsticks and defaults, a column for each dataset."""
    lines = []
    for name in YARDSTICKS:
        known = [figures["yardsticks"].get(name) for figures in result.values()]
        if any(known):
            lines.append([name, *(f"{one['nmrr']:.3f}" if one else NONE for one in known)])
    for cell in DEFAULTS:
        rows = [_of(figures["defaults"], cell) for figures in result.values()]
        lines.append([" × ".join(f"`{part}`" for part in cell), *map(_default, rows)])
    return table(["ranking", *result], lines)


def _of(rows: list[dict[str, Any]], cell: Cell) -> dict[str, Any]:
    return next(row for row in rows if (row["algorithm"], row["ranker"], row["loss"]) == cell)


def _default(row: dict[str, Any]) -> str:
    ahead = row["default_minus"]
    told = f"{row['nmrr']['mean']:.3f}"
    if ahead["low"] == ahead["high"] == 0:
        return told
    return f"{told}; the default {difference(ahead)}"


def intervals(figures: dict[str, Any]) -> list[Interval]:
    """The talk's table for the figure."""
    return [
        Interval(row["algorithm"], f"{row['ranker']}, {row['loss']}", **row["nmrr"])
        for row in figures["talk"]
    ]
