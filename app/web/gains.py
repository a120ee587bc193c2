"""Who gains and who loses by own models: every user in a chart and a table, and the way to each of them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.reports.evidence.people import CLEARLY
from app.reports.pages.blocks import change, count, figure, people, visible
from app.reports.pages.charts import INK, Rows, Specification
from app.reports.pages.words import AGAINST
from app.web.charts import WHOLE
from app.web.drawing import specification
from app.web.literal import literal

SUGGEST = "screens/suggest.py"
DRAWN = 2000
"""So many users are drawn as points; of more, those in the middle are left to the table."""

Person = Mapping[str, Any]


def who_gains(dataset: dict[str, Any], names: dict[str, str]) -> None:
    """Draw it for one dataset.

    Args:
        dataset: of a report.
        names: of the runs, by their directory as the report has it.
    """
    mark = dataset["fingerprint"]
    groups = {f"{group['group']}: {group['label']}": group for group in dataset["groups"]}
    left, right, _ = st.columns([2, 1, 1])
    wanted = left.selectbox("Own models of", list(groups), key=f"gain-{mark}")
    group = groups.get(wanted, next(iter(groups.values())))
    against = _against(dataset, group)
    than = right.selectbox("Compared with", list(against), key=f"than-{mark}")
    before = against.get(than, next(iter(against.values())))
    rows = _people(dataset, group["group"], before)
    st.caption(_told(rows))
    chosen = {"chart": _picture(rows, mark), "table": _table(rows, mark)}
    picked = chosen[st.session_state.get(f"picked-{mark}", "table")]
    run = next((names[run] for run in group["runs"] if run in names), None)
    if picked is not None and picked < len(rows) and run is not None:
        _way(rows[picked], run)
    else:
        st.caption("Choose a user in the chart or in the table, and type as they would.")


def _against(dataset: dict[str, Any], group: dict[str, Any]) -> dict[str, Callable[[Person], float]]:
    """What a group's own models can be compared with, each as a function of a user's row."""
    letter = group["group"]
    found: dict[str, Callable[[Person], float]] = {}
    if group["metrics"]["global"] is not None:
        found[AGAINST["global"]] = lambda row: row["groups"][letter]["global"]
    if dataset["users_by_name"][0]["history"] is not None:
        found[AGAINST["history"]] = lambda row: row["history"]
    for other in dataset["groups"]:
        if other is not group:
            found[f"own models of {other['group']}"] = _own(other["group"])
    return found


def _own(letter: str) -> Callable[[Person], float]:
    return lambda row: float(row["groups"][letter]["personal"])


def _people(dataset: dict[str, Any], letter: str, before: Callable[[Person], float]) -> list[dict[str, Any]]:
    """A row for each user, those who gain most first."""
    rows = [
        {
            "user": visible(row["user"]),
            "name": row["user"],
            "slates": row["slates"],
            "learned": row["training_events"],
            "before": float(before(row)),
            "own": float(row["groups"][letter]["personal"]),
        }
        for row in dataset["users_by_name"]
    ]
    for row in rows:
        row["change"] = row["own"] - row["before"]
    rows.sort(key=lambda row: -row["change"])
    return [row | {"place": place} for place, row in enumerate(rows, start=1)]


def _told(rows: list[dict[str, Any]]) -> str:
    """How many gain and lose, in a sentence."""
    better = sum(row["change"] > CLEARLY for row in rows)
    worse = sum(row["change"] < -CLEARLY for row in rows)
    same = len(rows) - better - worse
    return (
        f"{people(better)} gain, {count(worse)} lose, and for {count(same)} it is about the same: their NMRR "
        f"changes by no more than {CLEARLY}."
    )


def _picture(rows: list[dict[str, Any]], mark: str) -> int | None:
    """A point for each user; returns the number of the one that was chosen."""
    drawn = rows if len(rows) <= DRAWN else rows[: DRAWN // 2] + rows[-DRAWN // 2 :]
    if len(drawn) < len(rows):
        st.caption(
            f"Drawn are the {count(DRAWN // 2)} who gain most and the {count(DRAWN // 2)} who lose most; the "
            f"table has all {count(len(rows))}."
        )
    first, last = rows[0], rows[-1]
    alternative = (
        f"Users from the largest gain of NMRR, {change(first['change'])}, to the largest loss or smallest "
        f"gain, {change(last['change'])}. The table below has the same figures."
    )
    event = st.vega_lite_chart(
        specification(_points(drawn)),
        theme=None,
        width="stretch",
        alt=alternative,
        on_select=partial(_note, mark, "chart"),
        selection_mode="chosen",
        key=f"points-{mark}",
    )
    points = event["selection"].get("chosen") or []
    return _place(points[0].get("place"), rows) if points else None


def _note(mark: str, where: str) -> None:
    """Of a choice in the chart and one in the table, the later counts."""
    st.session_state[f"picked-{mark}"] = where


def _points(rows: Rows) -> Specification:
    """Users by their change, the best at the left; above the line they gain, below it they lose."""
    own = ("user", "place", "change", "before", "own")
    across: Specification = {
        "type": "quantitative",
        "title": "users, from the largest gain to the largest loss",
        "axis": WHOLE,
    }
    return {
        "data": {"values": [{name: row[name] for name in own} for row in rows]},
        "height": 240,
        "layer": [
            {
                "data": {"values": [{"at": 0}]},
                "mark": {"type": "rule", "color": INK, "strokeDash": [3, 3]},
                "encoding": {"y": {"field": "at", "type": "quantitative"}},
            },
            {
                "params": [{"name": "chosen", "select": {"type": "point", "fields": ["place"]}}],
                "mark": {"type": "point", "filled": True, "color": "#0072b2", "cursor": "pointer"},
                "encoding": {
                    "x": {"field": "place", **across, "scale": {"nice": False}},
                    "y": {"field": "change", "type": "quantitative", "title": "change of NMRR"},
                    "size": {"condition": {"param": "chosen", "empty": False, "value": 200}, "value": 45},
                    "tooltip": [
                        {"field": "user", "type": "nominal", "title": "user"},
                        {"field": "change", "type": "quantitative", "format": "+.4f", "title": "change"},
                    ],
                },
            },
        ],
    }


def _place(place: object, rows: list[dict[str, Any]]) -> int | None:
    """Which row has this place; what a browser says is not taken on trust."""
    return place - 1 if isinstance(place, int) and 1 <= place <= len(rows) else None


def _table(rows: list[dict[str, Any]], mark: str) -> int | None:
    """All users with their figures; returns the number of the one that was chosen."""
    titles = {
        "user": "User",
        "change": "Change of NMRR",
        "before": "Before",
        "own": "Own model",
        "slates": "Searches judged",
        "learned": "Searches learned from",
    }
    frame = pd.DataFrame(rows)[list(titles)].rename(columns=titles)
    formats = {"Change of NMRR": "%+.4f", "Before": "%.4f", "Own model": "%.4f"}
    event = st.dataframe(
        frame,
        hide_index=True,
        height=248,
        on_select=partial(_note, mark, "table"),
        selection_mode="single-row",
        column_config={name: st.column_config.NumberColumn(format=form) for name, form in formats.items()},
        key=f"people-{mark}",
    )
    picked = event["selection"]["rows"]
    return _place(picked[0] + 1, rows) if picked else None


def _way(row: dict[str, Any], run: str) -> None:
    """What is known of one user, and the link to their suggestions."""
    with st.container(border=True):
        told = (
            f"**{literal(row['name'])}**: NMRR {figure(row['before'])} before, {figure(row['own'])} with the "
            f"own model ({change(row['change'])}), over {count(row['slates'])} searches."
        )
        st.markdown(told)
        st.page_link(
            SUGGEST,
            label=f"Type as {literal(row['name'])}",
            icon=":material/search:",
            query_params={"run": run, "user": row["name"]},
        )
