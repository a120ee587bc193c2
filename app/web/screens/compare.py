"""The page Compare."""

import streamlit as st

st.title("Compare", anchor=False)
