"""Charts of distributions and of learning, as blocks that `app.web.drawing` draws."""

from collections.abc import Sequence
from typing import Any

from app.reports.distributions import Bars
from app.reports.pages.blocks import Chart, Table
from app.reports.pages.charts import INK

HEIGHT = 150

WHOLE = {"tickMinStep": 1, "format": ",d"}
"""An axis that counts: no fractions."""


def bars(shown: Bars) -> Chart:
    """A bar chart with its figures."""
    share = shown.upward.startswith("share")
    across = {
        "field": "bin",
        "type": "nominal",
        "sort": None,
        "title": shown.across,
        "axis": {"labelAngle": 0},
    }
    upward: dict[str, Any] = {"field": "count", "type": "quantitative", "title": shown.upward}
    if share:
        upward |= {"axis": {"format": "%"}, "scale": {"domain": [0, 1]}}
    else:
        upward |= {"axis": WHOLE}
    layer = {
        "mark": {"type": "bar", "aria": False, "color": INK, "opacity": 0.65},
        "encoding": {"x": across, "y": upward, "tooltip": [{"field": "bin"}, {"field": "count"}]},
    }
    values = [{"bin": label, "count": height} for label, height in shown.bars]
    rows = [(label, f"{height:.1%}" if share else f"{height:,.0f}") for label, height in shown.bars]
    table = Table(shown.title, (shown.across, shown.upward), rows, words=1)
    return Chart(
        shown.title,
        f"{shown.title}. {shown.told}",
        {"data": {"values": values}, "height": HEIGHT, "layer": [layer]},
        table,
    )


def learning(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """NMRR against updates, as a specification for `drawing.specification`."""
    across = {"field": "updates", "type": "quantitative", "axis": {"tickMinStep": 1}, "scale": {"zero": True}}
    upward = {"field": "nmrr", "type": "quantitative", "title": "NMRR, validation", "scale": {"zero": False}}
    seen = {"x": across, "y": upward}
    marks = ({"type": "line"}, {"type": "point", "filled": True, "opacity": 1})
    layers = [{"mark": {**mark, "color": INK, "aria": False}, "encoding": seen} for mark in marks]
    return {"data": {"values": list(curve)}, "height": HEIGHT, "layer": layers}
