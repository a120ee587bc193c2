"""What the pages that need a run show before there is one: what to do next."""

import streamlit as st

from app.web.literal import literal
from app.web.opened import RUNS, opened


def first_steps(data: st.Page, train: st.Page) -> None:
    """Two ways to a first run.

    Args:
        data: the page on which a log is imported.
        train: the page on which a run is trained.
    """
    st.title("No ranker has been trained yet", anchor=False)
    st.markdown("There are two ways to the first suggestions:")
    own, prepared = st.columns(2, gap="medium")
    with own.container(border=True, height="stretch"):
        st.subheader("With your own searches", anchor=False)
        st.markdown("1. Import a log: who searched for what, and when.")
        st.page_link(data, label="Import a log", icon=":material/upload:")
        st.markdown("2. Train a ranker on it, which takes a minute or two.")
        st.page_link(train, label="Train a ranker", icon=":material/model_training:")
        st.markdown("3. Come back here and type.")
    with prepared.container(border=True, height="stretch"):
        st.subheader("With 200 simulated users", anchor=False)
        st.markdown("In a terminal, run this. It takes about a minute, and opens the app again:")
        st.code("persarank demo", language="bash")
    st.caption(f"Runs are looked for in {literal(str(opened().folder / RUNS))}.")
