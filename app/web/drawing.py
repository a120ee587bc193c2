"""Tables and charts of reports, drawn on the app's pages: light and dark, and readable by ear."""

from typing import Any

import streamlit as st

from app.reports.pages.blocks import Chart, Table
from app.reports.pages.charts import CONFIG, Specification
from app.reports.pages.html import table
from app.web.literal import literal

STYLE = """<style>
.scroll {overflow-x: auto; max-width: 100%}
.scroll table {border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums}
.scroll caption {caption-side: top; text-align: left; font-weight: 600; color: inherit;
  padding: .2rem 0 .4rem}
.scroll th, .scroll td {padding: .3rem .6rem; border: 0; border-bottom: 1px solid rgba(128, 128, 128, .35);
  text-align: right; vertical-align: top; white-space: nowrap}
.scroll thead th {font-weight: 600; background: rgba(128, 128, 128, .1)}
.scroll tbody th {font-weight: 400}
.scroll .words {text-align: left}
.scroll .long {white-space: normal; min-width: 12rem; overflow-wrap: anywhere}
</style>"""


def draw_table(block: Table) -> None:
    """A table; every cell is shown as it is."""
    if block.folded:
        with st.expander(literal(block.caption)):
            st.html(STYLE + table(block))
    else:
        st.html(STYLE + table(block))


def draw_chart(block: Chart) -> None:
    """A chart, with its key below, and its figures for those who want them or cannot see it."""
    st.markdown(f"**{literal(block.caption)}**")
    panels = block.specification.get("hconcat", [block.specification])
    for place, panel in zip(st.columns(len(panels)), panels, strict=True):
        place.vega_lite_chart(specification(panel), theme=None, width="stretch", alt=block.alternative)
    if block.key:
        st.caption(literal(block.key))
    with st.expander("The figures in this chart"):
        st.html(STYLE + table(block.table))


def specification(of_report: Specification) -> dict[str, Any]:
    """A chart for the browser, as wide as there is room.

    It is drawn as SVG, whose texts and axes take the colour of the page around them. Data stand in each
    layer: Streamlit sends those of a whole chart later, and Vega complains of charts without any. Of what is
    drawn only the whole speaks.
    """
    whole = {name: value for name, value in of_report.items() if name not in ("width", "data", "layer")}
    return {
        **whole,
        "layer": [
            {"data": of_report["data"], **layer, "mark": {**layer["mark"], "aria": False}}
            for layer in of_report["layer"]
        ],
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {**CONFIG, "padding": 5, "font": "Source Sans, sans-serif"},
        "usermeta": {"embedOptions": {"renderer": "svg"}},
    }
