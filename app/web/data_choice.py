"""Which dataset a page is about: that of the address, or another of the list."""

from pathlib import Path

import streamlit as st


def choose_dataset(label: str, known: dict[str, Path], usual: str) -> str:
    """The name of one of some datasets.

    Args:
        label: of the field.
        known: what there is, by name; not empty.
        usual: the name of the one that is taken unless the address (?data=) says another.
    """
    asked = st.query_params.get("data")
    if asked is not None and asked not in known:
        st.warning("There is no dataset of the name in the address: choose one from the list.")
    names = list(known)
    first = asked if asked in known else usual
    chosen = st.selectbox(label, names, index=names.index(first), key=f"{label} {asked} {usual} {names}")
    return chosen if chosen is not None and chosen in known else first
