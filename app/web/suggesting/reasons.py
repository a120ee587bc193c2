"""Why a suggestion has its place: a dialog with sentences, a chart of contributions, and the features."""

import math

import streamlit as st

from app.reports.pages.blocks import Chart, Table
from app.reports.pages.charts import INK, ROW, Specification
from app.suggestions.reasons import NotSuggestedError, Part, Reasons
from app.suggestions.suggester import Suggester
from app.suggestions.visit import Visit
from app.web.drawing import draw_chart, draw_table
from app.web.guard import guarded
from app.web.literal import literal
from app.web.suggesting.visits import current, not_why, visits
from ranking.units import AGO, SHARE, YES, Quantity


def show(service: Suggester, of: str, user: int) -> None:
    """Open the dialog if somebody has asked why, of this list."""
    why = visits().why
    if why is not None and why[0] == of:
        _dialog(service, current(service, of, user).visit, *why[1:])


@st.dialog("Why this order", width="medium", on_dismiss=not_why)
def _dialog(service: Suggester, visit: Visit, typed: str, text: str) -> None:
    with guarded():
        try:
            found = service.explain(visit, typed, text)
        except NotSuggestedError as error:
            st.info(literal(f"There is nothing to explain any more: {error}"))
            return
        st.markdown(f"**{literal(found.text)}**, for “{literal(found.prefix)}”")
        st.markdown("\n".join(f"- {literal(sentence)}" for sentence in found.sentences))
        draw_chart(_chart(found))
        draw_table(_features(found))
        st.caption(literal(found.method))


def _chart(found: Reasons) -> Chart:
    """What each family of features contributes, for the user and for everyone."""
    common = "everyone" in found.scores
    headings = ["what is looked at", "for you", *(["for everyone"] if common else [])]
    rows = [
        (part.name, _signed(part.personal), *([_signed(part.everyone)] if common else []))
        for part in found.parts
    ]
    total = {name: found.scores[name] - found.medians[name] for name in found.scores}
    rows.append(("all together", *(_signed(total[name]) for name in total)))
    return Chart(
        caption="What each kind of feature adds to its score",
        alternative=_alternative(found.parts, common),
        specification=_drawing(found.parts, common),
        table=Table("Contributions to the score, beside the median of the candidates", headings, rows),
        key="Bars: by this user's own model. Diamonds: by the model for everyone." if common else "",
    )


def _alternative(parts: tuple[Part, ...], common: bool) -> str:
    """The chart in words: the contributions that matter most."""
    told = [
        f"{part.name} {_signed(part.personal)}" + (f" against {_signed(part.everyone)}" if common else "")
        for part in parts[:5]
    ]
    beside = ", for you against for everyone" if common else ""
    return f"Contributions to the score{beside}: {'; '.join(told)}."


def _drawing(parts: tuple[Part, ...], common: bool) -> Specification:
    """A row for each family: a bar for the user, and a diamond for everyone where there is that."""
    rows = [{"name": part.name, "you": part.personal, "everyone": part.everyone} for part in parts]
    axis = {"labelLimit": 220}
    y: Specification = {
        "field": "name",
        "type": "nominal",
        "sort": [part.name for part in parts],
        "title": None,
    }
    y["axis"] = axis
    across: Specification = {"type": "quantitative", "title": None, "axis": {"tickCount": 6}}
    layers: list[Specification] = [
        {
            "mark": {"type": "bar", "color": "#4c8dd6", "height": {"band": 0.6}},
            "encoding": {"x": {"field": "you", **across}, "y": y},
        },
        {
            "mark": {
                "type": "point",
                "shape": "diamond",
                "filled": True,
                "size": 90,
                "color": INK,
                "opacity": 1,
            },
            "encoding": {"x": {"field": "everyone", **across}, "y": y},
        },
    ]
    layers = layers if common else layers[:1]  # a layer without a value would have no scale
    return {"data": {"values": rows}, "height": ROW * max(len(rows), 2), "layer": layers}


def _features(found: Reasons) -> Table:
    """Every feature beside the median of the candidates."""
    values = [(part.name, value) for part in found.parts for value in part.values]
    rows = [(value.name, family, _words(value.meaning), _words(value.usual)) for family, value in values]
    headings = ("feature", "part of", "here", "median of the candidates")
    return Table("All features that the model reads", headings, rows, words=2, folded=True)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _words(quantity: Quantity) -> str:
    """A quantity as people say it."""
    number, unit = quantity
    if unit == SHARE:
        return f"{number:.0%}"
    if unit == YES:
        return "yes" if number > 0.5 else "no"
    if unit == AGO:
        return "never" if math.isinf(number) else f"{number:,.4g} {unit}"
    return f"{number:,.4g} {unit}"
