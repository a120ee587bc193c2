"""The web app's entry and router; every page is a flat script in screens/."""

import streamlit as st

st.set_page_config(page_title="PersaRank", page_icon="🔎", layout="wide")
st.navigation([st.Page("screens/search.py", title="Search", icon="🔎")], position="top").run()
