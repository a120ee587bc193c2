"""The page Compare: runs side by side, how surely they differ, and for whom."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from app.reports.pages.blocks import Chart, Table, Text, change, count, figure, people, probability
from app.reports.pages.quality import bars
from app.reports.pages.training import training
from app.reports.pages.users import distribution
from app.reports.pages.words import ORACLE, YARDSTICKS, metric_name, missed, slates, verdict
from app.reports.tables import plain
from app.web.drawing import draw_chart, draw_table
from app.web.gains import who_gains
from app.web.judging import JudgedRuns, beside, judge_runs
from app.web.literal import literal
from app.web.opened import opened, runs

FEW = 8
"""So many runs are compared unless others are chosen."""


def chosen(known: dict[str, Path]) -> dict[str, Path]:
    """The runs that a visitor wants compared; at first those that were named, or the newest of their own."""
    app = opened()
    named, demo = ({place.absolute() for place in places} for places in (app.named, app.demo))
    first = [name for name, place in known.items() if place.absolute() in named]
    if not first:
        own = [name for name, place in known.items() if place.absolute() not in demo] or list(known)
        newest = sorted(own, key=lambda name: known[name].stat().st_mtime, reverse=True)[:FEW]
        first = [name for name in own if name in newest]
    wanted = st.multiselect("Runs", list(known), default=first, key="compared")
    more = len(known) - len(wanted)
    if more > 0:
        st.caption(f"{more} more can be chosen.")
    return {name: known[name] for name in wanted if name in known}


def ranking(dataset: dict[str, Any], metric: str, base: str, differences: dict[str, Any]) -> None:
    """Rankers and yardsticks from best to worst, each beside the baseline."""
    name = metric_name(metric)
    rows: list[tuple[float, tuple[str, ...]]] = []
    for group in dataset["groups"]:
        letter, own, common = group["group"], group["metrics"]["personal"], group["metrics"]["global"]
        cells = (
            f"{letter}: {group['label']}" + (" (baseline)" if letter == base else ""),
            figure(own[metric]),
            interval(*group["intervals"]["personal"][metric]),
            "–" if common is None else figure(common[metric]),
            *difference(differences.get(letter)),
        )
        rows.append((own[metric], cells))
    for yardstick, told in {**YARDSTICKS, "oracle": ORACLE}.items():
        values = dataset["yardsticks"].get(yardstick)
        if values is not None:
            rows.append((values[metric], (told, figure(values[metric]), *[""] * 6)))
    rows.sort(key=lambda row: -row[0])
    ends = ("− baseline", "95 %", "p, corrected", "more than chance?")
    headings = ("ranker", name, "95 %", "common model", *ends)
    caption = f"{name} of users with their own models, or the common one where a ranker makes none"
    draw_table(Table(caption, headings, [cells for _, cells in rows]))


def difference(pair: dict[str, Any] | None) -> tuple[str, ...]:
    """How far a ranker is from the baseline, which itself is nowhere."""
    if pair is None:
        return ("",) * 4
    return (
        change(pair["mean"]),
        interval(pair["low"], pair["high"], change),
        probability(pair["p_holm"]),
        verdict(pair),
    )


def interval(low: float | None, high: float | None, told: Callable[[float | None], str] = figure) -> str:
    """From where to where; one user has no interval."""
    return "one user" if low is None or high is None else f"{told(low)} to {told(high)}"


def differing(dataset: dict[str, Any]) -> None:
    """Only the settings that differ."""
    letters = [group["group"] for group in dataset["groups"]]
    rows = [
        (name, *(plain(values.get(letter)) for letter in letters))
        for name, values in dataset["settings"]["differing"].items()
    ]
    if rows:
        draw_table(Table("Settings that differ", ("setting", *letters), rows, words=1 + len(letters)))


def draw(dataset: dict[str, Any], found: JudgedRuns, names: dict[str, str]) -> None:
    """All that is known of the runs on one dataset."""
    mark = dataset["fingerprint"]
    metrics = {metric_name(name): name for name in dataset["between"]}
    letters = {f"{group['group']}: {group['label']}": group["group"] for group in dataset["groups"]}
    left, right, _ = st.columns([1, 2, 1])
    of_metric = left.selectbox("Measure", list(metrics), key=f"metric-{mark}")
    of_base = right.selectbox("Baseline", list(letters), key=f"base-{mark}")
    metric = metrics.get(of_metric, next(iter(metrics.values())))
    base = letters.get(of_base, next(iter(letters.values())))
    ranking(dataset, metric, base, beside(found.own[mark][metric], base))
    st.caption(
        f"{count(dataset['slates'])} {slates(dataset)} of {people(dataset['users'])}. "
        + literal(missed(dataset))
        + " Intervals are bootstraps over users; p is corrected (after Holm) for the number of rankers."
    )
    draw_chart(bars(dataset, metric))
    differing(dataset)
    st.header("Who gains, and who loses?", anchor=False)
    who_gains(dataset, names)
    draw_chart(distribution(dataset))
    st.header("How did training go?", anchor=False)
    called = [run | {"run": names.get(run["run"], run["run"])} for run in dataset["runs"]]
    for block in training(dataset | {"runs": called}, 3)[1:]:
        if isinstance(block, Chart):
            draw_chart(block)
        elif isinstance(block, Table):
            draw_table(block)
        elif isinstance(block, Text):
            st.markdown(literal(block.text))


def in_names(told: str, names: dict[str, str]) -> str:
    """A sentence with the names that the page has instead of whole paths."""
    for place in sorted(names, key=len, reverse=True):
        told = told.replace(place, names[place])
    return told


def main() -> None:
    """Draw the page."""
    st.title("Compare runs", anchor=False)
    st.markdown("Each was judged on the latest searches of every user, which it was not trained on.")
    wanted = chosen(runs())
    if not wanted:
        st.info("Choose at least one run.")
        return
    names = {str(place): name for name, place in wanted.items()}
    found = judge_runs(wanted)
    if found.left_out:
        left = [(names.get(row["run"], row["run"]), in_names(row["why"], names)) for row in found.left_out]
        st.warning(f"{len(left)} of {len(wanted)} runs are left out.")
        draw_table(Table("Left out", ("run", "why"), left, words=2))
    for number, dataset in enumerate(found.datasets, start=1):
        if len(found.datasets) > 1:
            kind = literal(f"{dataset['kind'] or 'data'} {dataset['fingerprint']}")
            st.header(f"Dataset {number}: {kind}", anchor=False)
            st.caption("Runs on other data are never compared with these.")
        draw(dataset, found, names)


main()
