"""The page Train: choose data and an algorithm, see the command line, and watch it learn."""

from pathlib import Path

import streamlit as st

from app.runs.checks import ConfigError
from app.web.data_choice import choose_dataset
from app.web.job_list import job_list, shown_place
from app.web.literal import literal
from app.web.opened import RUNS, datasets, opened
from app.web.starting import new_place, start_button
from app.web.training_form import Chosen, training_form


def start(folder: Path, data: Path, dataset: str, chosen: Chosen) -> None:
    """The name of the run, the command, and the button that runs it."""
    wish = f"{Path(dataset).name}-{chosen.settings.label}-{chosen.settings.ranker_name}"
    out, wrong = new_place("Name of the run", folder / RUNS, wish, "run")
    words = ["train", "--data", shown_place(data, folder), "--out", shown_place(out, folder), *chosen.words]
    if start_button("Start training", folder, words, out, wrong):
        st.rerun()


def main() -> None:
    """Draw the page."""
    st.title("Train", anchor=False)
    folder, known = opened().folder, datasets()
    if known:
        st.markdown("Train a ranker on a dataset. It runs beside this page, and goes on if you close it.")
        dataset = choose_dataset("Data", known, next(iter(known)))
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
