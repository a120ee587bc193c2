"""The page Suggest."""

import streamlit as st

st.title("Suggest", anchor=False)
