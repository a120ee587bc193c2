"""The page Train: choose data and an algorithm, see the command line, and watch it learn."""

import re
from pathlib import Path

import streamlit as st

from app.runs.settings import ConfigError
from app.runs.shell import command
from app.web import jobs
from app.web.job_list import job_list, shown_place
from app.web.literal import literal
from app.web.opened import RUNS, datasets, opened
from app.web.training_form import Chosen, training_form
from data.storage import read_manifest

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
ODD = re.compile(r"[^a-z0-9]+")


def data_chosen(known: dict[str, Path]) -> str:
    """The dataset to train on: that of the address, if there is such a one, or another of the list."""
    asked = st.query_params.get("data")
    if asked is not None and asked not in known:
        st.warning("There is no dataset of the name in the address: choose one from the list.")
    names = list(known)
    usual = names.index(asked) if asked in known else 0
    chosen = st.selectbox("Data", names, index=usual, key=f"data {asked} {names}")
    return chosen if chosen is not None and chosen in known else names[usual]


def free_name(folder: Path, wish: str) -> str:
    """A name of a new run that nobody has."""
    plain = ODD.sub("-", wish.lower()).strip("-")[:50] or "run"
    names = [plain, *(f"{plain}-{number}" for number in range(2, 1000))]
    return next((name for name in names if not (folder / RUNS / name).exists()), plain)


def what_is_wrong(folder: Path, name: str) -> str | None:
    """Why a run cannot have this name, if it cannot."""
    if not NAME.fullmatch(name):
        return (
            "A name has small letters, digits, dots and dashes, up to 60, and begins with a letter or digit."
        )
    if (folder / RUNS / name).exists():
        return f"There is something at {RUNS}/{name} already: choose another name."
    return None


def start(folder: Path, data: Path, dataset: str, chosen: Chosen) -> None:
    """The name of the run, the command, and the button that runs it."""
    wish = f"{Path(dataset).name}-{chosen.settings.label}-{chosen.settings.ranker_name}"
    usual = free_name(folder, wish)
    name = st.text_input("Name of the run", usual, max_chars=60, key=f"name {usual}").strip() or usual
    wrong = what_is_wrong(folder, name)
    if wrong:
        st.error(literal(wrong))
        return
    out = folder / RUNS / name
    words = ["train", "--data", shown_place(data, folder), "--out", shown_place(out, folder), *chosen.words]
    st.markdown("This is what will be run, and what you can run in a terminal:")
    st.code(command(*words), language="bash", wrap_lines=True)
    if st.button("Start training", type="primary", icon=":material/play_arrow:"):
        try:
            jobs.start(folder, words, out)
        except jobs.JobError as error:
            st.error(literal(f"This training was not started: {error}"))
            return
        st.rerun()


def main() -> None:
    """Draw the page."""
    st.title("Train", anchor=False)
    folder, known = opened().folder, datasets()
    if known:
        st.markdown("Train a ranker on a dataset. It runs beside this page, and goes on if you close it.")
        dataset = data_chosen(known)
        read_manifest(known[dataset])  # what is no dataset any more is a sentence, not a form
        try:
            start(folder, known[dataset], dataset, training_form(known[dataset]))
        except ConfigError as error:
            st.error(literal(f"These settings do not go together: {error}"))
    else:
        st.info("There is no data to train on yet: import a log, or simulate users.")
        st.page_link("screens/data.py", label="Go to Data", icon=":material/table_rows:")
    st.subheader("Trainings", anchor=False)
    st.caption(
        "When the app is ended in its terminal, trainings are saved and stopped; Resume goes on with them."
    )
    job_list(folder, [("train",), ("resume",)])


main()
