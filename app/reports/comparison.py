"""What `compare` prints for people: groups of runs from best to worst, beside a baseline."""

from typing import Any

from rich.console import Console

from app.reports.layout import draw, say
from app.reports.pages.blocks import change, figure, probability
from app.reports.pages.words import ORACLE, YARDSTICKS, metric_name, verdict
from app.reports.tables import plain


def tables(result: dict[str, Any], console: Console) -> None:
    """A ranking for each dataset, and the settings that differ."""
    for dataset in result["datasets"]:
        _ranking(dataset, result["by"], console)
        letters = [row["group"] for row in dataset["ranking"]]
        rows = [
            (name, *(plain(values.get(letter)) for letter in letters))
            for name, values in dataset["settings"].items()
        ]
        if rows:
            draw(console, ("setting", *letters), rows, title="Settings that differ")
    for left in result["left_out"]:
        say(console, f"Left out: {left['run']}: {left['why']}")


def _ranking(dataset: dict[str, Any], by: str, console: Console) -> None:
    """Groups and yardsticks, the best first."""
    title = f"Data {dataset['fingerprint']}: {dataset['slates']} searches of {dataset['users']} users, "
    title += f"{dataset['missed']} missed; by {metric_name(by)} of users' own rankings, averaged over users"
    rows = [
        (
            row["metrics"][by],
            row["group"] + (" (baseline)" if row["baseline"] else ""),
            row["label"],
            ", ".join(map(str, row["seeds"])),
            row["difference"][by],
        )
        for row in dataset["ranking"]
    ]
    rows += [
        (dataset["yardsticks"][name][by], name, told, "", None)
        for name, told in {**YARDSTICKS, "oracle": ORACLE}.items()
        if dataset["yardsticks"].get(name) is not None
    ]
    rows.sort(key=lambda row: -row[0])
    told = [
        (letter, label, seeds, figure(value), *_told(difference))
        for value, letter, label, seeds, difference in rows
    ]
    headings = ("", "ranker", "seeds", metric_name(by), "− baseline", "95 %", "p, Holm", "more than chance?")
    draw(console, headings, told, title=title)
    for row in dataset["ranking"]:
        say(console, f"{row['group']}: {', '.join(row['runs'])}")


def _told(difference: dict[str, Any] | None) -> tuple[str, str, str, str]:
    """A difference to the baseline, which itself has none."""
    if difference is None:
        return ("", "", "", "")
    between = (
        "one user"
        if difference["low"] is None
        else " to ".join(change(difference[e]) for e in ("low", "high"))
    )
    return change(difference["mean"]), between, probability(difference["p_holm"]), verdict(difference)
