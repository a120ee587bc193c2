"""The app's entry and router; every page is a flat script in screens/."""

import streamlit as st

from app.web.first import first_steps
from app.web.guard import guarded
from app.web.opened import runs

STYLE = """<style>
.stMainBlockContainer {padding-top: 4.5rem; padding-bottom: 3rem; max-width: 76rem}
.stMainBlockContainer h1 {font-size: 2.1rem; padding: .5rem 0}
.stMainBlockContainer h2 {font-size: 1.5rem; padding: 1rem 0 .25rem}
.stMainBlockContainer h3 {font-size: 1.2rem; padding: .5rem 0}
[data-testid=stCaptionContainer] {color: inherit; opacity: .8}
[data-testid=stCode] .token {color: inherit}
@media (max-width: 640px) {.stMainBlockContainer {padding-left: 1rem; padding-right: 1rem}}
</style>"""

st.set_page_config(page_title="PersaRank", page_icon="🔎", layout="wide")
SUGGEST = st.Page("screens/suggest.py", title="Suggest", icon=":material/search:", default=True)
COMPARE = st.Page("screens/compare.py", title="Compare", icon=":material/bar_chart:")
TRAIN = st.Page("screens/train.py", title="Train", icon=":material/model_training:")
DATA = st.Page("screens/data.py", title="Data", icon=":material/table_rows:")
ABOUT = st.Page("screens/about.py", title="About", icon=":material/info:")

page = st.navigation([SUGGEST, COMPARE, TRAIN, DATA, ABOUT], position="top")
st.html(STYLE)
if page is SUGGEST:
    st.html("<style>#vg-tooltip-element {display: none}</style>")  # of the chart from which somebody came
with guarded():
    if page in (SUGGEST, COMPARE) and not runs():
        first_steps(DATA, TRAIN)
    else:
        page.run()
