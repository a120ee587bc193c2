"""Curves with bands, and ways through the plane, side by side, as PNG and SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 330, 260


@dataclass(frozen=True)
class Curve:
    """A middle with a band (T,) at T places x: by `of`, median and quartiles of some runs."""

    x: ArrayLike
    median: ArrayLike
    low: ArrayLike
    high: ArrayLike

    @classmethod
    def of(cls, x: ArrayLike, runs: ArrayLike) -> "Curve":
        """Of values (R, T)."""
        low, median, high = np.percentile(np.asarray(runs), [25, 50, 75], axis=0)
        return cls(x, median, low, high)

    def to_dict(self, x: str) -> dict[str, list[float]]:
        """As JSON takes it; the places are named ``x``."""
        columns = {x: self.x, "median": self.median, "low": self.low, "high": self.high}
        return {name: np.asarray(values).tolist() for name, values in columns.items()}


@dataclass(frozen=True)
class Interval:
    """A figure with its interval, in a row of a chart, of one of several series."""

    row: str
    series: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """What one of several charts shows: curves, and perhaps levels to compare with, by their names.

    Where x is logarithmic (``log``), each place has a point.
    """

    title: str
    x: str
    y: str
    curves: Mapping[str, Curve]
    levels: Mapping[str, float] = field(default_factory=dict)
    log: bool = False


def draw(path: Path, legend: str, panels: Sequence[Panel]) -> None:
    """Write ``path`` with the suffixes .png and .svg.

    Args:
        path: without a suffix.
        legend: what the names of the curves are names of.
        panels: from left to right; all have curves of the same names.
    """
    order = list(panels[0].curves)
    charts = [_chart(panel, legend, order) for panel in panels]
    _save(alt.hconcat(*charts, spacing=30).resolve_scale(color="shared"), path)


def draw_intervals(path: Path, panels: Mapping[str, Sequence[Interval]], title: str) -> None:
    """Write ``path`` with the suffixes .png and .svg: means with their intervals, side by side.

    Args:
        path: without a suffix.
        panels: by their titles, from left to right.
        title: of the axis.
    """
    charts = []
    for name, intervals in panels.items():
        order = list(dict.fromkeys(one.row for one in intervals))
        series = list(dict.fromkeys(one.series for one in intervals))
        base = alt.Chart(pd.DataFrame(map(asdict, intervals))).encode(
            y=alt.Y("row:N", title=None, sort=order, scale=alt.Scale(paddingInner=0.3)),
            yOffset=alt.YOffset("series:N", sort=series),
            color=alt.Color("series:N", title=None, sort=series),
        )
        scale = alt.Scale(zero=False)
        range_ = base.mark_rule().encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
        point = base.mark_point(filled=True, size=35).encode(
            x=alt.X("mean:Q", title=title, scale=scale), shape=alt.Shape("series:N", sort=series)
        )
        height = alt.Step(9)
        charts.append(alt.layer(range_, point).properties(title=name, width=WIDTH, height=height))
    _save(alt.hconcat(*charts, spacing=30), path)


def draw_paths(path: Path, goals: ArrayLike, panels: Mapping[str, ArrayLike]) -> None:
    """Write ``path`` with the suffixes .png and .svg: ways through the plane, in one colour for each goal.

    Args:
        path: without a suffix.
        goals: (U, 2), each drawn as a cross.
        panels: by their titles, from left to right: positions (U, N, H, 2), NaN where there is none.
    """
    targets = pd.DataFrame(np.asarray(goals), columns=["x", "y"]).rename_axis("goal").reset_index()
    reach = alt.Scale(domain=[-0.8, 0.8])
    colour = alt.Color("goal:N", legend=None, scale=alt.Scale(scheme="tableau10"))
    where = {"x": alt.X("x:Q", title=None, scale=reach), "y": alt.Y("y:Q", title=None, scale=reach)}
    crosses = alt.Chart(targets).mark_point(shape="cross", size=150, filled=True)
    charts = []
    for title, positions in panels.items():
        lines = alt.Chart(_long(np.asarray(positions))).mark_line(strokeWidth=1.2, opacity=0.7, clip=True)
        lines = lines.encode(**where, color=colour, detail="episode:N", order="step:Q")
        layers = alt.layer(lines, crosses.encode(**where, color=colour, stroke=alt.value("black")))
        charts.append(layers.properties(title=title, width=HEIGHT, height=HEIGHT))
    _save(alt.hconcat(*charts, spacing=30), path)


def _long(positions: NDArray[Any]) -> pd.DataFrame:
    """A row for each position (U, N, H, 2) there is."""
    index = pd.MultiIndex.from_product(
        [range(n) for n in positions.shape[:3]], names=["goal", "episode", "step"]
    )
    return pd.DataFrame(positions.reshape(-1, 2), index, ["x", "y"]).dropna().reset_index()


def _save(chart: alt.HConcatChart, path: Path) -> None:
    chart = chart.configure_axis(titleFontWeight="normal").configure_legend(titleFontWeight="normal")
    for suffix in (".svg", ".png"):
        chart.save(str(path.with_suffix(suffix)), scale_factor=2)


def _places(panel: Panel, x: "pd.Series[float]") -> dict[str, Any]:
    """Axis and scale of x."""
    if not panel.log:
        return {"axis": alt.Axis(tickMinStep=1)}
    return {
        "scale": alt.Scale(type="log", nice=False, padding=12),
        "axis": alt.Axis(values=sorted(set(x)), format=".3~g"),
    }


def _chart(panel: Panel, legend: str, order: list[str]) -> alt.LayerChart | alt.FacetChart:
    frame = pd.concat(
        [pd.DataFrame({**curve.to_dict("x"), "name": name}) for name, curve in panel.curves.items()]
    )
    colours = alt.Scale(scheme="tableau10", domain=order)
    strokes = alt.Legend(symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3)
    base = alt.Chart(frame).encode(
        x=alt.X("x:Q", title=panel.x, **_places(panel, frame["x"])),
        color=alt.Color("name:N", title=legend, sort=order, scale=colours, legend=strokes),
    )
    scale = alt.Scale(zero=False)
    band = base.mark_area(opacity=0.1).encode(
        y=alt.Y("low:Q", title=panel.y, scale=scale), y2=alt.Y2("high:Q")
    )
    line = base.mark_line(strokeWidth=2, point=panel.log).encode(
        y=alt.Y("median:Q", title=panel.y, scale=scale)
    )
    layers: list[alt.Chart] = [band, line]
    highest = max(panel.levels.values(), default=0.0)
    for name, level in panel.levels.items():
        rule = alt.Chart(pd.DataFrame({"name": [name], "y": [level]})).encode(y="y:Q")
        label = rule.mark_text(align="left", dx=4, dy=-6 if level == highest else 8, color="#555")
        layers += [
            rule.mark_rule(strokeDash=[4, 4], color="#555"),
            label.encode(x=alt.value(0), text="name:N"),
        ]
    return alt.layer(*layers).properties(title=panel.title, width=WIDTH, height=HEIGHT)
