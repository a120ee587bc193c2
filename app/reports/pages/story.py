"""The story of a report, in the order in which a reader asks: from the figures to blocks."""

from typing import Any

from app.reports.pages.blocks import Block, Heading, Points, Table, Text, count, people
from app.reports.pages.quality import differences, quality
from app.reports.pages.short import in_short
from app.reports.pages.training import data, training
from app.reports.pages.users import gains, hardest, spread
from app.reports.pages.words import slates
from app.reports.tables import plain


def story(figures: dict[str, Any]) -> list[Block]:
    """Everything that `report` tells, of one dataset after the other."""
    datasets = figures["datasets"]
    several = len(datasets) > 1
    blocks: list[Block] = [Heading("How good are these rankers?", 1), Text(_about(figures))]
    if figures["left_out"]:
        blocks.append(Table("Left out of this report", ("run", "why"), _left_out(figures), words=2))
    for number, dataset in enumerate(datasets, start=1):
        if several:
            what = f"{dataset['kind']} data" if dataset["kind"] else "data"
            blocks.append(Heading(f"Dataset {number}: {what} {dataset['fingerprint']}", 2))
        level = 3 if several else 2
        blocks += [*in_short(dataset, level), *_compared(dataset, level)]
        for section in (quality, differences, spread, hardest, gains, training, data):
            blocks += section(dataset, level)
    return [*blocks, *_method(figures)]


JUDGED_ON = {
    "train": "{what} that the models were trained on, so that this says nothing of new ones",
    "validation": "{what} that no model was trained on, but by which it was chosen which one is kept",
    "test": "{what} that no model was trained on or chosen by",
}


def _about(figures: dict[str, Any]) -> str:
    """What this is, for somebody who sees it for the first time."""
    number = sum(len(dataset["runs"]) for dataset in figures["datasets"])
    of_data = [f"{count(d['slates'])} {slates(d)} of {people(d['users'])}" for d in figures["datasets"]]
    what, split = _what(figures), figures["split"]
    first = "In each, something had been typed, some" if what == "searches" else "In each, some"
    told = (
        f"This page compares rankers of suggestions. {_number(number, 'training run')} "
        f"{'was' if number == 1 else 'were'} judged on {JUDGED_ON[split].format(what=what)} (the {split} "
        f"part of the data): {'; '.join(of_data)}. {first} suggestions could be offered, "
        "and it is known which of them the user wanted. Runs that differ in nothing but their "
        "random seed are one ranker, named by a letter, whose figures are averages over seeds."
    )
    if len(figures["datasets"]) > 1:
        told += " Rankers of different data are never compared with each other."
    return told


def _what(figures: dict[str, Any]) -> str:
    """What was ranked for, if any of the data are a log, and if none are."""
    return next((slates(d) for d in figures["datasets"] if d["log"]), "queries")


def _number(number: int, what: str) -> str:
    return f"{count(number)} {what}" if number == 1 else f"{count(number)} {what}s"


def _left_out(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [(left["run"], left["why"]) for left in figures["left_out"]]


def _compared(dataset: dict[str, Any], level: int) -> list[Block]:
    """Which rankers there are, and in which settings they differ."""
    rankers = [
        (g["group"], g["label"], ", ".join(map(str, g["seeds"])), ", ".join(g["runs"]))
        for g in dataset["groups"]
    ]
    blocks: list[Block] = [
        Heading("What is compared?", level),
        Table(
            "The rankers: algorithm × model × loss", ("letter", "ranker", "seeds", "runs"), rankers, words=4
        ),
    ]
    letters = [group["group"] for group in dataset["groups"]]
    for kind, caption, folded in (
        ("differing", "Settings that differ; a dash is a setting that the ranker does not have", False),
        ("partly", "Settings that only some rankers have, and in which these agree", True),
        ("shared", "Settings that are the same in all", True),
    ):
        rows = [
            (name, *(plain(values.get(letter)) for letter in letters))
            for name, values in dataset["settings"][kind].items()
        ]
        if rows:
            words = 1 + len(letters)
            blocks.append(Table(caption, ("setting", *letters), rows, words=words, folded=folded))
    return blocks


def _method(figures: dict[str, Any]) -> list[Block]:
    """How the figures were made."""
    resamples = count(figures["method"]["resamples"])
    return [
        Heading("How were these figures made?", 2),
        Points(
            [
                (
                    "Averages",
                    f"are taken over a user's {_what(figures)} first, then over users, so that everyone "
                    "counts the same. Rankers with several seeds are averaged over these, one by one.",
                ),
                (
                    "Intervals",
                    f"are 95 % percentile bootstraps: users are drawn with replacement {resamples} times. An "
                    "interval is that of one comparison, without correction. Seeds are averaged, not drawn: "
                    "intervals say what other users would change, not what other seeds would.",
                ),
                (
                    "p",
                    "is that of a two-sided randomisation test: the signs of users' differences are "
                    f"flipped at random {resamples} times (all ways, where there are fewer). Holm's "
                    "correction is for all comparisons in one table. p and interval are made differently, "
                    "and can disagree at the edge.",
                ),
                (
                    "The same figures",
                    "are in `persarank report --json`, and those of runs are the ones of `persarank "
                    "evaluate --json`.",
                ),
            ]
        ),
    ]
