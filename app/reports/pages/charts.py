"""The charts of a report, as Vega-Lite specifications and as SVG.

Whatever tells groups apart does so without colour: rows of their own, or their letters at the marks and
dashes of the lines. Texts and axes have the colour of the page around them, so that they are seen on light
and on dark. The specifications are those that Altair would write; a report has to be there in seconds, and
Altair's checks of each would take half of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert

WIDTH, ROW = 640, 22
COLOURS = ("#0072b2", "#d55e00", "#00835f", "#b0508a", "#7a5fc9", "#8a6d00", "#2a8fc7", "#7f7f7f")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 4), (12, 4), (1, 4))
"""Seven to eight colours: fifty-six groups look unlike each other."""

INK = "currentColor"
Rows = Sequence[Mapping[str, Any]]
Specification = dict[str, Any]

CONFIG: Specification = {
    "aria": False,  # the whole picture has its own words
    "background": None,
    "font": "Arial, Helvetica, sans-serif",
    "padding": {"left": 40, "right": 40, "top": 5, "bottom": 5},  # other fonts may be wider
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "labelOverlap": "greedy",
        "labelSeparation": 6,
        "gridColor": INK,
        "gridOpacity": 0.15,
        "labelLimit": 400,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "title": {"color": INK, "anchor": "start", "fontWeight": "normal"},
    "text": {"color": INK},
}


def svg(specification: Specification) -> str:
    """The picture."""
    return str(vl_convert.vegalite_to_svg({**specification, "config": CONFIG}))


def dots(rows: Rows, x: str, zero_line: bool = False) -> Specification:
    """A row for each of ``rows``: a point at ``value``, and a bar from ``low`` to ``high`` if it has one.

    Args:
        rows: with ``name``, which must be unlike, ``value``, ``low`` and ``high``.
        x: what the values are.
        zero_line: whether 0 is what they are compared with.
    """
    y = {"field": "name", "type": "nominal", "sort": [row["name"] for row in rows], "title": None}
    across: Specification = {"type": "quantitative", "title": x, "scale": {"zero": zero_line}}
    across["axis"] = {"tickCount": 8}
    layers: list[Specification] = [_line_at_zero("x")] if zero_line else []
    layers += [
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {
                "x": {"field": "low", **across},
                "x2": {"field": "high"},
                "y": y,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "color": INK, "opacity": 1},
            "encoding": {"x": {"field": "value", **across}, "y": y},
        },
    ]
    height = ROW * max(len(rows), 2)
    return {"data": {"values": list(rows)}, "width": WIDTH, "height": height, "layer": layers}


def lines(rows: Rows, groups: Sequence[str], x: str, y: str, width: int = WIDTH) -> Specification:
    """A line for each group, with its letter on it.

    Args:
        rows: with ``group``, ``x`` and ``y``, perhaps with ``low`` and ``high``, by group and then x.
        groups: all of them, in the order that decides how they look.
        x: what ``x`` is.
        y: what ``y`` is.
        width: in pixels.
    """
    across: Specification = {"field": "x", "type": "quantitative", "title": x, "scale": {"zero": False}}
    across["axis"] = {"tickMinStep": 1}
    up: Specification = {"field": "y", "type": "quantitative", "title": y, "scale": {"zero": False}}
    colour, dash = _looks(groups)
    labels = [row for number, row in enumerate(rows) if _has_label(rows, number, groups)]
    band = {
        "transform": [{"filter": "datum.high > datum.low"}],
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {"x": across, "y": {**up, "field": "low"}, "y2": {"field": "high"}, "color": colour},
    }
    layers: list[Specification] = [
        *([band] if any(row.get("high", 0) > row.get("low", 0) for row in rows) else []),
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": across, "y": up, "color": colour, "strokeDash": dash},
        },
        {
            "data": {"values": labels},
            "mark": {"type": "text", "dy": -8, "fontWeight": "bold", "fontSize": 12},
            "encoding": {"x": across, "y": up, "text": {"field": "group"}},
        },
    ]
    return {"data": {"values": list(rows)}, "width": width, "height": 280, "layer": layers}


def _has_label(rows: Rows, number: int, groups: Sequence[str]) -> bool:
    """Letters stand at other places on each line, so that those of lines that coincide can be read."""
    group = rows[number]["group"]
    mine = [place for place, row in enumerate(rows) if row["group"] == group]
    every = max(1, len(mine) // 3)
    shift = every * groups.index(group) // len(groups)
    return (mine.index(number) - shift) % every == 0


def letters(rows: Rows, groups: Sequence[str], bins: Sequence[str], x: str, y: str) -> Specification:
    """In each bin the letters of all groups side by side, each on a bar from ``low`` to ``high``.

    Args:
        rows: with ``group``, ``bin``, ``mean``, ``low`` and ``high``.
        groups: all of them.
        bins: all of them, from left to right.
        x: what the bins are of.
        y: what the values are.
    """
    across: Specification = {"field": "bin", "type": "nominal", "sort": list(bins), "title": x}
    across |= {"axis": {"labelAngle": 0}, "scale": {"type": "band", "paddingInner": 0.2}}
    beside: Specification = {"field": "group", "type": "nominal", "sort": list(groups)}
    beside["scale"] = {"type": "band"}
    common: Specification = {"x": across, "xOffset": beside}
    layers: list[Specification] = [
        _line_at_zero("y"),
        {
            "mark": {"type": "rule", "color": INK, "opacity": 0.5, "strokeWidth": 1.5},
            "encoding": {
                **common,
                "y": {"field": "low", "type": "quantitative", "title": y},
                "y2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "text", "fontWeight": "bold", "fontSize": 12},
            "encoding": {
                **common,
                "y": {"field": "mean", "type": "quantitative", "title": y},
                "text": {"field": "group"},
            },
        },
    ]
    width = max(WIDTH, 11 * len(groups) * len(bins))
    return {"data": {"values": list(rows)}, "width": width, "height": 190, "layer": layers}


def beside(*panels: Specification) -> Specification:
    """Charts from left to right."""
    return {"hconcat": list(panels), "spacing": 30}


def below(*panels: Specification) -> Specification:
    """Charts from top to bottom."""
    own = {"scale": {"xOffset": "independent"}}
    return {"vconcat": list(panels), "spacing": 30, "resolve": own}


def _looks(groups: Sequence[str]) -> tuple[Specification, Specification]:
    """The colour and the dashes of each group; their letters stand in the chart, so there is no legend."""
    numbers = range(len(groups))
    field: Specification = {"field": "group", "type": "nominal", "legend": None}
    colours = [COLOURS[number % len(COLOURS)] for number in numbers]
    dashes = [list(DASHES[number % len(DASHES)]) for number in numbers]
    return (
        {**field, "scale": {"domain": list(groups), "range": colours}},
        {**field, "scale": {"domain": list(groups), "range": dashes}},
    )


def _line_at_zero(axis: str) -> Specification:
    return {
        "data": {"values": [{"at": 0}]},
        "mark": {"type": "rule", "color": INK, "strokeDash": [3, 3], "opacity": 0.7},
        "encoding": {axis: {"field": "at", "type": "quantitative"}},
    }
