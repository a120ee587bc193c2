"""The page Train: choose data and an algorithm, see the command line, and watch it learn."""

from pathlib import Path

import streamlit as st

from app.runs.settings import ConfigError
from app.runs.shell import command
from app.web import jobs
from app.web.job_list import job_list, shown_place
from app.web.literal import literal
from app.web.names import LONGEST, free_name, what_is_wrong
from app.web.opened import RUNS, datasets, opened
from app.web.training_form import Chosen, training_form
from data.storage import read_manifest


def data_chosen(known: dict[str, Path]) -> str:
    """The dataset to train on: that of the address, if there is such a one, or another of the list."""
    asked = st.query_params.get("data")
    if asked is not None and asked not in known:
        st.warning("There is no dataset of the name in the address: choose one from the list.")
    names = list(known)
    usual = names.index(asked) if asked in known else 0
    chosen = st.selectbox("Data", names, index=usual, key=f"data {asked} {names}")
    return chosen if chosen is not None and chosen in known else names[usual]


def start(folder: Path, data: Path, dataset: str, chosen: Chosen) -> None:
    """The name of the run, the command, and the button that runs it."""
    wish = f"{Path(dataset).name}-{chosen.settings.label}-{chosen.settings.ranker_name}"
    room = folder / RUNS
    usual = free_name(room, wish, "run")
    name = st.text_input("Name of the run", usual, max_chars=LONGEST, key=f"name {usual}").strip() or usual
    wrong = what_is_wrong(room, name)
    if wrong:
        st.error(literal(wrong))
        return
    out = room / name
    words = ["train", "--data", shown_place(data, folder), "--out", shown_place(out, folder), *chosen.words]
    st.markdown("This is what will be run, and what you can run in a terminal:")
    st.code(command(*words), language=None, wrap_lines=True)
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
