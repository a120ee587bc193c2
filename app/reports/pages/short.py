"""What a reader in a hurry should know: the verdict, whom it serves, and what is wrong."""

from typing import Any

from app.reports.evidence.people import CLEARLY
from app.reports.pages.blocks import Block, Heading, Points, change, count, figure, people, probability
from app.reports.pages.words import (
    AGAINST,
    SURE,
    YARDSTICKS,
    metric_name,
    missed,
    slates,
    standing,
)

JUDGED_BY = ("history", "popularity")
"""What a ranker has to beat to be worth training."""


def in_short(dataset: dict[str, Any], level: int) -> list[Block]:
    """Whether training was worth it; the best of several rankers; who gains; what is wrong."""
    metric = next(iter(dataset["between"]))
    groups = sorted(dataset["groups"], key=lambda group: -group["metrics"]["personal"][metric])
    points = [
        _verdict(dataset, than, metric) for than in JUDGED_BY if dataset["yardsticks"].get(than) is not None
    ]
    if len(groups) > 1:
        points += [_best(groups[0], metric), _lead(dataset, groups[0]["group"], groups[1]["group"], metric)]
    points += _chance(dataset, metric)
    points += _gainers(
        groups[0], slates(dataset), [run for run in dataset["runs"] if run["group"] == groups[0]["group"]]
    )
    points += [f"{missed(dataset)} No ranker can help there."] if dataset["missed"] else []
    return [Heading("In short", level), Points([("", point) for point in points]), *_warnings(dataset)]


def _verdict(dataset: dict[str, Any], than: str, metric: str) -> str:
    """Which rankers are better than a yardstick, user by user, and which are not."""
    found: dict[str, list[str]] = {}
    for pair in dataset["within"][metric]:
        if pair["against"] == than:
            found.setdefault(standing(pair), []).append(f"{pair['group']} ({change(pair['mean'])})")
    told = "; ".join(
        f"{how}: {', '.join(found[how])}"
        for how in ("better", "worse", "not told from chance", "exactly alike")
        if how in found
    )
    value = figure(dataset["yardsticks"][than][metric])
    return f"Against {AGAINST[than]}, which needs no training ({metric_name(metric)} {value}): {told}."


def _best(best: dict[str, Any], metric: str) -> str:
    """The ranker with the highest figure."""
    value = figure(best["metrics"]["personal"][metric])
    return (
        f"Of these rankers, {best['group']} ({best['label']}) has the highest {metric_name(metric)}: {value}."
    )


def _lead(dataset: dict[str, Any], best: str, next_best: str, metric: str) -> str:
    """Whether the best is surely better than the next."""
    (pair,) = (p for p in dataset["between"][metric] if {p["group"], p["against"]} == {best, next_best})
    sure = pair["p_holm"] is not None and pair["p_holm"] <= SURE
    told = "which is more than chance" if sure else "which may be chance"
    lead, p = figure(abs(pair["mean"])), probability(pair["p_holm"])
    return f"Next is {next_best}, {lead} behind, {told} (corrected p {p})."


def _chance(dataset: dict[str, Any], metric: str) -> list[str]:
    """That there is little to tell rankers apart by, if most pools are of one suggestion."""
    if 2 * dataset["single"] <= dataset["slates"]:
        return []
    told = f"{count(dataset['single'])} of {count(dataset['slates'])} {slates(dataset)}"
    random = figure(dataset["yardsticks"]["random"][metric])
    return [
        f"{told} had a single suggestion to choose from, which every ranker ranks alike: "
        f"{YARDSTICKS['random']} alone gives {random}."
    ]


def _gainers(best: dict[str, Any], what: str, runs: list[dict[str, Any]]) -> list[str]:
    """How many users gain by a model of their own, if there is a common one, too."""
    changes, letter = best["spread"]["changes"].get("global"), best["group"]
    if changes is None or not best["own_models"]:
        return []
    if all((run["own_models"] or {}).get("nobody") for run in runs):
        chosen = f"on validation {what} nobody was better off with a model of their own"
        return [f"With {letter}, everyone keeps the common model, since {chosen}."]
    if changes["identical"]:
        return [f"With {letter}, own models rank what was wanted exactly as the common model does."]
    if changes["better"] == changes["worse"] == 0:
        return [f"With {letter}, own models change nobody's NMRR by more than {CLEARLY}."]
    return [
        f"With {letter}, own models serve {people(changes['better'])} better than the common model, "
        f"{count(changes['same'])} about the same, and {count(changes['worse'])} worse."
    ]


def _warnings(dataset: dict[str, Any]) -> list[Block]:
    """What is wrong with runs, and what may be."""
    told = [
        (f"{heading}, {run['group']}, seed {run['seed']}", doubt["message"])
        for run in dataset["runs"]
        for heading, key in (("Warning", "warnings"), ("Note", "notes"))
        for doubt in run[key]
    ]
    return [Points(told)] if told else []
